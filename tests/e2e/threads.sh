#!/usr/bin/env bash
# The whole cluster under the thread sanitizer: what runs beside the loop (the store, jobs of the network, of files, of packing)
# must not share what it does not own. Its program is a build of its own; monokube/hello cannot run from it, busybox can.
here=$(dirname "$0")
set -- "${TSAN_PROGRAM:-$here/../../build/tsan/monokube}"
. "$here/lib.sh"
export TSAN_OPTIONS="log_path=$work/race exitcode=0 atexit_sleep_ms=0 die_after_fork=0"

no_races() { [ -z "$(ls "$work" | grep '^race')" ] || { cat "$work"/race* | head -n 60; return 1; }; }
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

ok "start" monokube start -p $P --nodes 2
busybox_image "$work/image"
ok "an image" monokube image load "$work/image/busybox.tar"
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
ok "an application" k apply -f "$work/app.yaml"
ok "it runs" k rollout status deployment box --timeout=60s
ok "its logs" within 10 k logs -l app=box --tail=1
ok "long answers" long_list
ok "stop" monokube stop -p $P
ok "start again" monokube start -p $P
ok "it runs again" k rollout status deployment box --timeout=60s
ok "it goes" k delete -f "$work/app.yaml" --timeout=60s
ok "its pods go" within 60 gone
ok "delete" monokube delete -p $P
ok "no two threads touched the same" no_races
