// What programs that use client-go ask of a server: discovery, informers of every kind in each form, leader election, server-side
// apply, patches, events, custom resources, remote commands and port-forwards both ways. TAP; the cluster is that of KUBECONFIG.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"io"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/discovery/cached/disk"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/retry"
)

var (
	number, failures int
	ctx              context.Context
	config           *rest.Config
	cs, pcs          *kubernetes.Clientset // JSON, protobuf
	dyn              dynamic.Interface
	meta             metadata.Interface
	resources        []schema.GroupVersionResource // that can be watched
)

func ok(what string, f func() error) {
	number++
	if err := f(); err != nil {
		failures++
		fmt.Printf("not ok %d - %s\n# %v\n", number, what, err)
		return
	}
	fmt.Printf("ok %d - %s\n", number, what)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

const ns = "gotest"
const image = "busybox:latest"

func main() {
	var cancel context.CancelFunc
	var err error
	config, err = clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	must(err)
	config.QPS = -1
	ctx, cancel = context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	pb := rest.CopyConfig(config)
	pb.ContentType = "application/vnd.kubernetes.protobuf"
	pb.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	cs = kubernetes.NewForConfigOrDie(config)
	pcs = kubernetes.NewForConfigOrDie(pb)
	dyn = dynamic.NewForConfigOrDie(config)
	meta = metadata.NewForConfigOrDie(config)
	ok("namespace", func() error {
		_, err := cs.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
		return err
	})
	discover()
	inform()
	write()
	custom()
	remote()
	ok("the namespace goes", func() error {
		if err := cs.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			return err
		}
		for i := 0; i < 200; i++ {
			if _, err := cs.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{}); err != nil {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return fmt.Errorf("stays")
	})
	fmt.Printf("1..%d\n", number)
	if failures > 0 {
		os.Exit(1)
	}
}

func discover() {
	ok("discovery, in memory and on disk", func() error {
		mem := memory.NewMemCacheClient(cs.Discovery())
		dc, err := disk.NewCachedDiscoveryClientForConfig(config, os.TempDir()+"/discovery", os.TempDir()+"/http", time.Minute)
		if err != nil {
			return err
		}
		a, err := mem.ServerPreferredResources()
		if err != nil {
			return err
		}
		b, err := dc.ServerPreferredResources()
		if err != nil || len(a) != len(b) || len(a) < 15 {
			return fmt.Errorf("%d %d %v", len(a), len(b), err)
		}
		for _, l := range a {
			gv, _ := schema.ParseGroupVersion(l.GroupVersion)
			for _, r := range l.APIResources {
				if strings.Contains(strings.Join(r.Verbs, ","), "watch") {
					resources = append(resources, gv.WithResource(r.Name))
				}
			}
		}
		mapper := restmapper.NewDeferredDiscoveryRESTMapper(mem)
		m, err := mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
		if err != nil || m.Resource.Resource != "deployments" {
			return fmt.Errorf("%v %v", m, err)
		}
		return nil
	})
}

func inform() {
	ok(fmt.Sprintf("informers, dynamic, of %d kinds", len(resources)), func() error {
		stop := make(chan struct{})
		defer close(stop)
		f := dynamicinformer.NewDynamicSharedInformerFactory(dyn, 0)
		for _, r := range resources {
			f.ForResource(r).Informer()
		}
		f.Start(stop)
		for r, synced := range f.WaitForCacheSync(stop) {
			if !synced {
				return fmt.Errorf("%v", r)
			}
		}
		return nil
	})
	ok("informers, metadata", func() error {
		stop := make(chan struct{})
		defer close(stop)
		f := metadatainformer.NewSharedInformerFactory(meta, 0)
		for _, r := range resources {
			f.ForResource(r).Informer()
		}
		f.Start(stop)
		for r, synced := range f.WaitForCacheSync(stop) {
			if !synced {
				return fmt.Errorf("%v", r)
			}
		}
		return nil
	})
	for name, c := range map[string]*kubernetes.Clientset{"json": cs, "protobuf": pcs} {
		ok("informers, typed, "+name, func() error {
			stop := make(chan struct{})
			defer close(stop)
			f := informers.NewSharedInformerFactory(c, 0)
			seen := make(chan string, 100)
			inf := f.Core().V1().ConfigMaps().Informer()
			inf.AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc: func(o any) {
					if m := o.(*corev1.ConfigMap); m.Name == "i-"+name {
						seen <- "add"
					}
				},
				UpdateFunc: func(_, o any) {
					if m := o.(*corev1.ConfigMap); m.Name == "i-"+name {
						seen <- "update"
					}
				},
				DeleteFunc: func(o any) {
					if m := o.(*corev1.ConfigMap); m.Name == "i-"+name {
						seen <- "delete"
					}
				}})
			f.Apps().V1().Deployments().Informer()
			f.Core().V1().Pods().Informer()
			f.Core().V1().Secrets().Informer()
			f.Core().V1().Nodes().Informer()
			f.Discovery().V1().EndpointSlices().Informer()
			f.Start(stop)
			f.WaitForCacheSync(stop)
			m, err := c.CoreV1().ConfigMaps(ns).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "i-" + name}}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			m.Data = map[string]string{"a": "b"}
			if _, err = c.CoreV1().ConfigMaps(ns).Update(ctx, m, metav1.UpdateOptions{}); err != nil {
				return err
			}
			if err = c.CoreV1().ConfigMaps(ns).Delete(ctx, m.Name, metav1.DeleteOptions{}); err != nil {
				return err
			}
			for _, want := range []string{"add", "update", "delete"} {
				select {
				case got := <-seen:
					if got != want && !(want == "add") {
						return fmt.Errorf("%s, not %s", got, want)
					}
				case <-time.After(5 * time.Second):
					return fmt.Errorf("no %s", want)
				}
			}
			return nil
		})
	}
	ok("leader election passes on", func() error {
		won := make(chan string, 10)
		run := func(id string) context.CancelFunc {
			c, stop := context.WithCancel(ctx)
			lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "lead", Namespace: ns}, Client: cs.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: id, EventRecorder: nil}}
			go leaderelection.RunOrDie(c, leaderelection.LeaderElectionConfig{Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
				Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { won <- id }, OnStoppedLeading: func() {}}})
			return stop
		}
		a := run("a")
		if got := <-won; got != "a" {
			return fmt.Errorf("%s", got)
		}
		b := run("b")
		defer b()
		time.Sleep(500 * time.Millisecond)
		a()
		select {
		case got := <-won:
			if got != "b" {
				return fmt.Errorf("%s", got)
			}
		case <-time.After(6 * time.Second):
			return fmt.Errorf("nobody")
		}
		return nil
	})
}

func write() {
	ok("server-side apply, typed, and extract", func() error {
		d := appsac.Deployment("d", ns).WithSpec(appsac.DeploymentSpec().WithReplicas(1).WithSelector(metaac.LabelSelector().WithMatchLabels(map[string]string{"a": "b"})).WithTemplate(coreac.PodTemplateSpec().WithLabels(map[string]string{"a": "b"}).WithSpec(coreac.PodSpec().WithContainers(coreac.Container().WithName("c").WithImage("monokube/hello").WithPorts(coreac.ContainerPort().WithContainerPort(8080))))))
		got, err := cs.AppsV1().Deployments(ns).Apply(ctx, d, metav1.ApplyOptions{FieldManager: "me"})
		if err != nil {
			return err
		}
		ex, err := appsac.ExtractDeployment(got, "me")
		if err != nil {
			return err
		}
		if *ex.Spec.Replicas != 1 || len(ex.Spec.Template.Spec.Containers) != 1 {
			return fmt.Errorf("%v", ex)
		}
		ex.Spec.WithReplicas(2)
		_, err = pcs.AppsV1().Deployments(ns).Apply(ctx, ex, metav1.ApplyOptions{FieldManager: "me", Force: true})
		return err
	})
	ok("retry on conflict, scale, patches", func() error {
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			d, err := pcs.AppsV1().Deployments(ns).Get(ctx, "d", metav1.GetOptions{})
			if err != nil {
				return err
			}
			d.Annotations = map[string]string{"x": "y"}
			_, err = pcs.AppsV1().Deployments(ns).Update(ctx, d, metav1.UpdateOptions{})
			return err
		})
		if err != nil {
			return err
		}
		err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
			s, err := pcs.AppsV1().Deployments(ns).GetScale(ctx, "d", metav1.GetOptions{})
			if err != nil {
				return err
			}
			s.Spec.Replicas = 1
			_, err = pcs.AppsV1().Deployments(ns).UpdateScale(ctx, "d", s, metav1.UpdateOptions{})
			return err
		})
		if err != nil {
			return err
		}
		var d *appsv1.Deployment
		for t, p := range map[types.PatchType]string{types.MergePatchType: `{"metadata":{"labels":{"m":"1"}}}`, types.StrategicMergePatchType: `{"metadata":{"labels":{"s":"1"}}}`, types.JSONPatchType: `[{"op":"add","path":"/metadata/annotations/j","value":"1"}]`} {
			if d, err = pcs.AppsV1().Deployments(ns).Patch(ctx, "d", t, []byte(p), metav1.PatchOptions{}); err != nil {
				return err
			}
		}
		if d.Labels["m"]+d.Labels["s"]+d.Annotations["j"] != "111" {
			return fmt.Errorf("%v", d.ObjectMeta)
		}
		return nil
	})
	ok("events by a recorder", func() error {
		b := record.NewBroadcaster()
		b.StartRecordingToSink(&eventSink{cs, ctx})
		d, err := cs.AppsV1().Deployments(ns).Get(ctx, "d", metav1.GetOptions{})
		if err != nil {
			return err
		}
		r := b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "gotest"})
		for i := 0; i < 3; i++ {
			r.Eventf(d, "Normal", "Tested", "said %s", "so")
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond)
		l, err := cs.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=Tested"})
		if err != nil || len(l.Items) != 1 || l.Items[0].Count != 3 {
			return fmt.Errorf("%d %v", len(l.Items), err)
		}
		return nil
	})
}

func custom() {
	ok("a custom resource, dynamically", func() error {
		crd := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "cars.go.example.com"},
			"spec": map[string]any{"group": "go.example.com", "scope": "Namespaced", "names": map[string]any{"plural": "cars", "kind": "Car", "singular": "car"}, "versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "subresources": map[string]any{"status": map[string]any{}}, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{"spec": map[string]any{"type": "object", "properties": map[string]any{"wheels": map[string]any{"type": "integer"}}}, "status": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}}}}}
		crds := dyn.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
		if _, err := crds.Create(ctx, crd, metav1.CreateOptions{}); err != nil {
			return err
		}
		defer crds.Delete(ctx, "cars.go.example.com", metav1.DeleteOptions{})
		cars := dyn.Resource(schema.GroupVersionResource{Group: "go.example.com", Version: "v1", Resource: "cars"}).Namespace(ns)
		car := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "go.example.com/v1", "kind": "Car", "metadata": map[string]any{"name": "c"}, "spec": map[string]any{"wheels": int64(4)}}}
		var err error
		for i := 0; i < 20; i++ {
			if _, err = cars.Create(ctx, car, metav1.CreateOptions{}); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			return err
		}
		w, err := cars.Watch(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		defer w.Stop()
		got, err := cars.Apply(ctx, "c", &unstructured.Unstructured{Object: map[string]any{"apiVersion": "go.example.com/v1", "kind": "Car", "metadata": map[string]any{"name": "c"}, "spec": map[string]any{"wheels": int64(3)}}}, metav1.ApplyOptions{FieldManager: "m", Force: true})
		if err != nil {
			return err
		}
		got.Object["status"] = map[string]any{"ok": true}
		if _, err = cars.UpdateStatus(ctx, got, metav1.UpdateOptions{}); err != nil {
			return err
		}
		for i := 0; i < 3; i++ {
			select {
			case <-w.ResultChan():
			case <-time.After(3 * time.Second):
				return fmt.Errorf("event %d", i)
			}
		}
		return nil
	})
}

func remote() {
	ok("a pod runs", func() error {
		zero := int64(0)
		_, err := pcs.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &zero, Containers: []corev1.Container{{Name: "c", Image: image, ImagePullPolicy: "IfNotPresent", Command: []string{"sleep", "1000"}}, {Name: "h", Image: "monokube/hello"}}}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		for i := 0; i < 100; i++ {
			p, err := cs.CoreV1().Pods(ns).Get(ctx, "p", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if p.Status.Phase == "Running" {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return fmt.Errorf("does not")
	})
	execURL := cs.CoreV1().RESTClient().Post().Resource("pods").Namespace(ns).Name("p").SubResource("exec").VersionedParams(&corev1.PodExecOptions{Container: "c", Command: []string{"sh", "-c", "cat; echo err >&2; exit 4"}, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	sp, err := remotecommand.NewSPDYExecutor(config, "POST", execURL)
	must(err)
	wsx, err := remotecommand.NewWebSocketExecutor(config, "GET", execURL.String())
	must(err)
	for name, e := range map[string]remotecommand.Executor{"SPDY": sp, "WebSocket": wsx} {
		ok("exec by "+name, func() error {
			for i := 0; i < 20; i++ {
				var out, errs bytes.Buffer
				err := e.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: bytes.NewReader(bytes.Repeat([]byte("x"), 100000)), Stdout: &out, Stderr: &errs})
				if out.Len() != 100000 || errs.String() != "err\n" || err == nil || !strings.Contains(err.Error(), "exit code 4") {
					return fmt.Errorf("%d %q %v", out.Len(), errs.String(), err)
				}
			}
			return nil
		})
	}
	pfURL := cs.CoreV1().RESTClient().Post().Resource("pods").Namespace(ns).Name("p").SubResource("portforward").URL()
	rt, up, err := spdy.RoundTripperFor(config)
	must(err)
	ws, err := portforward.NewSPDYOverWebsocketDialer(pfURL, config)
	must(err)
	sd := spdy.NewDialer(up, &http.Client{Transport: rt}, "POST", pfURL)
	for _, d := range []struct {
		name string
		dial any
	}{{"SPDY", sd}, {"WebSocket", ws}} {
		ok("port-forward by "+d.name, func() error {
			stop, ready := make(chan struct{}), make(chan struct{})
			defer close(stop)
			var fw *portforward.PortForwarder
			var err error
			if d.name == "SPDY" {
				fw, err = portforward.New(sd, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
			} else {
				fw, err = portforward.New(ws, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
			}
			if err != nil {
				return err
			}
			failed := make(chan error, 1)
			go func() { failed <- fw.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-failed:
				return err
			}
			ports, _ := fw.GetPorts()
			for i := 0; i < 50; i++ {
				c := http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}, Timeout: 3 * time.Second}
				r, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
				if err != nil {
					return err
				}
				b, _ := io.ReadAll(r.Body)
				r.Body.Close()
				if !strings.Contains(string(b), "Hello from pod p") {
					return fmt.Errorf("%s", b)
				}
			}
			return nil
		})
	}
	ok("logs", func() error {
		s, err := cs.CoreV1().Pods(ns).GetLogs("p", &corev1.PodLogOptions{Container: "h", Follow: true}).Stream(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		b := make([]byte, 100)
		n, err := s.Read(b)
		if n == 0 {
			return err
		}
		return nil
	})
}

type eventSink struct {
	cs  *kubernetes.Clientset
	ctx context.Context
}

func (s *eventSink) Create(e *corev1.Event) (*corev1.Event, error) {
	return s.cs.CoreV1().Events(e.Namespace).CreateWithEventNamespaceWithContext(s.ctx, e)
}
func (s *eventSink) Update(e *corev1.Event) (*corev1.Event, error) {
	return s.cs.CoreV1().Events(e.Namespace).UpdateWithEventNamespaceWithContext(s.ctx, e)
}
func (s *eventSink) Patch(e *corev1.Event, d []byte) (*corev1.Event, error) {
	return s.cs.CoreV1().Events(e.Namespace).PatchWithEventNamespaceWithContext(s.ctx, e, d)
}
