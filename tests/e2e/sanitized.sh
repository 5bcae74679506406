#!/usr/bin/env bash
# A whole cluster under the sanitizers: for threads (what runs beside the loop must not share what it does not own), and for
# addresses and undefined behaviour. Their programs are builds of their own, from which monokube/hello cannot run; busybox can.
here=$(dirname "$0")
. "$here/lib.sh"
builds=$(realpath "$here/../../build")
export TSAN_OPTIONS="log_path=$work/found exitcode=0 atexit_sleep_ms=0 die_after_fork=0"
export ASAN_OPTIONS="log_path=$work/found" UBSAN_OPTIONS="log_path=$work/found:print_stacktrace=1"

# What was found is shown once: it is not the next build's.
nothing_found() { [ -z "$(ls "$work" | grep '^found')" ] || { head -qn 40 "$work"/found*; rm "$work"/found*; return 1; }; }
gone() { [ -z "$(k get pods -o name)" ]; }
long_list() {
	for i in 1 2 3 4; do
		head -c 100000 /dev/zero | tr '\0' x >"$work/long"
		k create configmap "long$i" --from-file="$work/long" || return 1
	done
	python3 - "$here/../twin" "$KUBECONFIG" <<'P'
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from client import Server
for accept in ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf"):
    answer = Server(sys.argv[2]).send("GET", "/api/v1/namespaces/default/configmaps", [("Accept", accept), ("Accept-Encoding", "gzip")], None)
    assert answer.status == 200 and answer.header("content-encoding") == "gzip", answer.headers
P
}
# Large writes have steps on threads: several clients write, patch, apply and list at once.
busy() {
	python3 - "$here/../twin" "$KUBECONFIG" <<'P'
import json, sys, threading
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from client import Server
wrong = []
def work(n):
    server, base = Server(sys.argv[2]), "/apis/apps/v1/namespaces/default/deployments"
    for i in range(3):
        name = "large-%d-%d" % (n, i)
        env = [{"name": "V%d" % k, "value": "x" * 60} for k in range(400)]
        tree = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"large": "1"}},
                "spec": {"replicas": 0, "selector": {"matchLabels": {"a": name}},
                         "template": {"metadata": {"labels": {"a": name}}, "spec": {"containers": [{"name": "c", "image": "i", "env": env}]}}}}
        other = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env[:200] + [{"name": "W", "value": "1"}]}]}}}}
        bad = json.loads(json.dumps(tree).replace('"V1"', '"V 1"'))
        table = "application/json;as=Table;v=v1;g=meta.k8s.io"
        for want, method, target, kind, body in (
                (201, "POST", base, "application/json", tree),
                (422, "POST", base + "?fieldValidation=Strict", "application/json", dict(bad, metadata={"name": "Bad"})),
                (200, "PATCH", base + "/" + name, "application/strategic-merge-patch+json", other),
                (200, "PATCH", base + "/" + name + "?fieldManager=me&force=true", "application/apply-patch+yaml", tree),
                (200, "PATCH", base + "/large-0-0?fieldManager=%d" % n, "application/merge-patch+json", {"metadata": {"labels": {"n%d" % n: "x"}}}),
                (200, "GET", base, None, None), (200, "DELETE", base + "/" + name if i else base + "/none", None, None)):
            headers = [("Content-Type", kind)] if kind else [("Accept", table)]
            answer = server.send(method, target, headers, json.dumps(body).encode() if body is not None else None)
            if answer.status not in (want, 404):
                wrong.append((method, target, answer.status, answer.body[:300]))
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
Server(sys.argv[2]).send("DELETE", "/apis/apps/v1/namespaces/default/deployments?labelSelector=large=1", [], None)
print(wrong)
sys.exit(1 if wrong else 0)
P
}
walk() { # BUILD
	ok "$1: start" monokube start -p $P --nodes 2
	ok "$1: an image" monokube image load "$work/image/busybox.tar"
	ok "$1: an application" k apply -f "$work/app.yaml"
	ok "$1: it runs" k rollout status deployment box --timeout=60s
	ok "$1: its logs" within 10 k logs -l app=box --tail=1
	ok "$1: long answers" long_list
	ok "$1: large writes by several clients at once" busy
	ok "$1: stop" monokube stop -p $P
	ok "$1: start again" monokube start -p $P
	ok "$1: it runs again" k rollout status deployment box --timeout=60s
	ok "$1: it goes" k delete -f "$work/app.yaml" --timeout=60s
	ok "$1: its pods go" within 60 gone
	ok "$1: delete" monokube delete -p $P
	ok "$1: nothing was found" nothing_found
}
cat >"$work/app.yaml" <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: box}
spec:
  replicas: 4
  selector: {matchLabels: {app: box}}
  template:
    metadata: {labels: {app: box}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: box
        image: busybox
        command: [sh, -c, "while sleep 0.2; do date; done"]
        readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
        volumeMounts: [{name: work, mountPath: /work}, {name: info, mountPath: /info}]
      volumes: [{name: work, emptyDir: {}}, {name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]
---
apiVersion: v1
kind: Service
metadata: {name: box}
spec: {selector: {app: box}, ports: [{port: 80}]}
Y
busybox_image "$work/image"
for build in tsan asan; do
	program=$builds/$build/monokube
	walk "$build"
done
