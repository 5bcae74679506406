// An informer as people write it, with client-go. Each line on stdin is answered by one line of JSON: what its store has, by
// uid and revision, how many events its watches saw, and what was wrong with them. The last line of stdin ends it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type seen struct {
	sync.Mutex
	Watches, Events int
	Wrong           []string
}

var all seen

// Within one watch revisions only grow; what an initial list is made of comes before.
func judged(from watch.Interface, options metav1.ListOptions) watch.Interface {
	last, _ := strconv.ParseUint(options.ResourceVersion, 10, 64)
	initial := options.SendInitialEvents != nil && *options.SendInitialEvents
	all.Lock()
	all.Watches++
	all.Unlock()
	return watch.Filter(from, func(event watch.Event) (watch.Event, bool) {
		object, err := meta.Accessor(event.Object)
		if err != nil || event.Type == watch.Error {
			return event, true
		}
		revision, _ := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
		if event.Type == watch.Bookmark {
			initial = initial && object.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true"
			if revision > last {
				last = revision
			}
			return event, true
		}
		all.Lock()
		defer all.Unlock()
		all.Events++
		if initial {
			return event, true
		}
		if revision <= last {
			all.Wrong = append(all.Wrong, fmt.Sprintf("%s %s: revision %d after %d", event.Type, object.GetName(), revision, last))
		}
		last = revision
		return event, true
	})
}

// A test of the test: the second 6 is seen.
func planted() {
	fake := watch.NewFakeWithChanSize(4, false)
	for _, revision := range []string{"5", "6", "6", "7"} {
		object := &unstructured.Unstructured{}
		object.SetName("a")
		object.SetResourceVersion(revision)
		fake.Modify(object)
	}
	from := judged(fake, metav1.ListOptions{ResourceVersion: "4"})
	for range 4 {
		<-from.ResultChan()
	}
	line, _ := json.Marshal(map[string]any{"wrong": all.Wrong})
	fmt.Println(string(line))
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "planted" {
		planted()
		return
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	client := dynamic.NewForConfigOrDie(config).Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace("default")
	source := &cache.ListWatch{
		ListFunc: func(options metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, options) },
		WatchFunc: func(options metav1.ListOptions) (watch.Interface, error) {
			from, err := client.Watch(ctx, options)
			if err != nil {
				return nil, err
			}
			return judged(from, options), nil
		},
	}
	informer := cache.NewSharedIndexInformer(source, &unstructured.Unstructured{}, 0, cache.Indexers{})
	go informer.Run(ctx.Done())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		store := map[string][2]string{}
		for _, it := range informer.GetStore().List() {
			object := it.(*unstructured.Unstructured)
			store[object.GetName()] = [2]string{string(object.GetUID()), object.GetResourceVersion()}
		}
		all.Lock()
		line, _ := json.Marshal(map[string]any{"store": store, "synced": informer.HasSynced(), "events": all.Events, "watches": all.Watches, "wrong": all.Wrong})
		all.Unlock()
		fmt.Println(string(line))
	}
}
