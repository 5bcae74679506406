#!/usr/bin/env bash
# The path: a person starts a cluster, deploys an application with stock kubectl, reaches it, kills the server, finds the
# application still answering, stops, starts, deletes, and the machine is as before.
. "$(dirname "$0")/lib.sh"

machine >"$work/before"

ok "start makes two nodes ready" monokube start -p $P --nodes 2
ok "status says that all runs" monokube status -p $P
nodes_ready() { [ "$(k get nodes --no-headers | grep -cw Ready)" = 2 ]; }
ok "both nodes are Ready" within 10 nodes_ready

ok "a deployment is created" k create deployment web --image=monokube/hello --replicas=3
ok "it is exposed" k expose deployment web --port=80 --target-port=8080 --type=LoadBalancer
ok "its pods become ready" k rollout status deployment web --timeout=30s
pods() { k get pods -l app=web --no-headers -o custom-columns=:metadata.name,:metadata.uid,:status.containerStatuses[0].containerID,:status.containerStatuses[0].restartCount | sort; }

address() { k get service web -o jsonpath='{.status.loadBalancer.ingress[0].ip}'; }
has_address() { [ -n "$(address)" ]; }
ok "the service has an address" within 5 has_address
lb=$(address)
node_ip=$(k get node $P -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')
port=$(k get service web -o jsonpath='{.spec.ports[0].nodePort}')
ok "the load balancer address answers on the host" within 5 get "http://$lb/"
ok "the node port answers on the host" within 5 get "http://$node_ip:$port/"
all_answer() { for _ in $(seq 30); do get "http://$lb/"; done | awk '{print $4}' | sort -u | wc -l | grep -qx 3; }
ok "all three pods take part" all_answer

ok "get all -A -o wide" k get all -A -o wide
ok "describe a pod" k describe pods -l app=web
ok "events tell the story" sh -c "timeout 20 kubectl get events | grep -q 'Container started'"
ok "logs" sh -c "timeout 20 kubectl logs -l app=web --tail=-1 | grep -q listening"
web_pod=$(k get pods -l app=web -o jsonpath='{.items[0].metadata.name}')
raw=/api/v1/namespaces/default
says() { # PATTERN COMMAND…: its output or its error has it
	local pattern=$1
	shift
	"$@" 2>&1 | tee "$work/said" | grep -q -- "$pattern" || { cat "$work/said"; return 1; }
}
ok "the API server passes a request on to a pod" says "Hello from pod $web_pod" k get --raw "$raw/pods/$web_pod:8080/proxy/"
ok "and to a Service, by the number of its port" says 'Hello from pod web-' k get --raw "$raw/services/http:web:80/proxy/any/path?q=1"
ok "and to a node" says '^ok$' k get --raw "/api/v1/nodes/$P/proxy/healthz"
ok "a port where nobody listens" says 'error trying to reach service: dial tcp 10.244.*:81: connect: connection refused' k get --raw "$raw/pods/$web_pod:81/proxy/"
ok "a port that the Service does not have" says 'no service port 82 found for service "web"' k get --raw "$raw/services/web:82/proxy/"
cat >"$work/elsewhere.yaml" <<Y
apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec: {type: NodePort, ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: elsewhere}
subsets: [{addresses: [{ip: $(k get pod "$web_pod" -o jsonpath='{.status.podIP}')}], ports: [{port: 8080}]}]
Y
k apply -f "$work/elsewhere.yaml" >/dev/null 2>&1
elsewhere=$(k get service elsewhere -o jsonpath='{.spec.ports[0].nodePort}')
ok "a Service without selector has the endpoints that somebody wrote" within 5 says "Hello from pod $web_pod" get "http://$node_ip:$elsewhere/"
k delete -f "$work/elsewhere.yaml" >/dev/null 2>&1
ok "explain" k explain deployment.spec
ok "api-resources" k api-resources
ok "scale" k scale deployment web --replicas=4
ok "the scaled deployment is ready" k rollout status deployment web --timeout=30s

( errors=0; until [ -e "$work/enough" ]; do get "http://$lb/" >/dev/null 2>>"$work/errors" || errors=$((errors + 1)); done; echo $errors >"$work/failed-requests" ) &
load=$!
ok "set env starts a rolling update" k set env deployment/web VERSION=2
ok "the update completes" k rollout status deployment web --timeout=60s
touch "$work/enough"; wait $load
ok "no request failed while it ran" grep -qx 0 "$work/failed-requests"
ok "the new version answers" sh -c "curl --noproxy '*' -fsS --max-time 3 http://$lb/ | grep -q 'version 2'"
ok "rollout undo" k rollout undo deployment web
ok "the undone deployment is ready" k rollout status deployment web --timeout=60s

pod=pod/$(k get pods -l app=web --no-headers | awk '$3 == "Running" {print $1; exit}') # not one of the old template that still ends
ok "delete a pod" k delete "$pod" --timeout=40s
four_ready() { [ "$(k get deployment web -o jsonpath='{.status.readyReplicas}')" = 4 ]; }
ok "it returns" within 20 four_ready

cat >"$work/app.yaml" <<'Y'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {GREETING: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {token: czNjcmV0}
---
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: busybox, command: [sh, -c, "echo from-init > /work/file"], volumeMounts: [{name: work, mountPath: /work}]}
  containers:
  - name: box
    image: busybox
    command: [sh, -c, 'echo "$GREETING $(cat /keys/token) $(cat /work/file)"; wget -qO- http://web.default.svc.cluster.local/; sleep 3600']
    env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: settings, key: GREETING}}}]
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
    volumeMounts: [{name: work, mountPath: /work}, {name: keys, mountPath: /keys}]
  volumes:
  - {name: work, emptyDir: {}}
  - {name: keys, secret: {secretName: keys}}
Y
busybox_image "$work/image"
ok "image load" monokube image load "$work/image/busybox.tar"
ok "image ls shows it" sh -c "'$program' image ls | grep -q busybox"
ok "apply several documents" k apply -f "$work/app.yaml"
version() { k get pod box -o jsonpath='{.metadata.annotations} {.metadata.generation}'; }
version >"$work/before-apply"
# Of the pod kubectl says "configured", since the server added the token's mount to it; also with the real server.
ok "apply again changes nothing" sh -c "timeout 20 kubectl apply -f '$work/app.yaml' | grep -c unchanged | grep -qx 2"
ok "and nothing of the pod" sh -c "timeout 20 kubectl get pod box -o jsonpath='{.metadata.annotations} {.metadata.generation}' | cmp - '$work/before-apply'"
ok "wait for the pod" k wait --for=condition=Ready pod/box --timeout=30s
ok "its log shows ConfigMap, Secret and init container" within 10 sh -c "timeout 20 kubectl logs box | grep -q 'hello s3cret from-init'"
ok "a pod reaches the service by name" within 10 sh -c "timeout 20 kubectl logs box | grep -q 'Hello from pod'"
# Before 1.31 kubectl speaks SPDY only, which comes later.
if "${KUBECTL:-kubectl}" version --client 2>/dev/null | grep -qE 'v1\.(3[1-9]|[4-9][0-9])'; then
	ok "exec runs a program" sh -c "timeout 20 kubectl exec box -- echo hi | grep -qx hi"
	ok "exec tells the exit code" sh -c "timeout 20 kubectl exec box -- sh -c 'exit 7'; [ \$? = 7 ]"
	ok "exec takes input" sh -c "echo some input | timeout 20 kubectl exec -i box -- cat | grep -qx 'some input'"
	ok "a file is copied there and back" sh -c "timeout 20 kubectl cp '$work/app.yaml' box:/app.yaml && timeout 20 kubectl cp box:/app.yaml '$work/back.yaml' && cmp '$work/app.yaml' '$work/back.yaml'"
else
	skip "exec" "this kubectl speaks no WebSocket"
fi
cat >"$work/claim.yaml" <<'Y'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  containers: [{name: c, image: busybox, volumeMounts: [{name: v, mountPath: /v}]}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]
Y
k apply -f "$work/claim.yaml" >/dev/null
k delete pvc data --wait=false >/dev/null
claim_stays() { sleep 2; [ -n "$(k get pvc data -o jsonpath='{.metadata.deletionTimestamp}')" ]; }
ok "a claim that a pod uses stays" claim_stays
k delete pod user --grace-period=0 --force >/dev/null 2>&1
claim_goes() { ! k get pvc data; }
ok "it goes with the pod" within 10 claim_goes
ok "server-side apply says who owns what" sh -c "timeout 20 kubectl apply --server-side --field-manager=me -f '$work/app.yaml' --force-conflicts && timeout 20 kubectl get --raw /api/v1/namespaces/default/configmaps/settings | grep -q '\"manager\":\"me\"'"
ok "get -o yaml, jsonpath, custom-columns" sh -c "timeout 20 kubectl get pod box -o yaml >/dev/null && timeout 20 kubectl get pod box -o jsonpath={.status.podIP} | grep -q 10.244"

pods >"$work/pods-before"
ok "the server is killed" kill -9 "$(cat "$MONOKUBE_HOME/profiles/$P/server.pid")"
ok "the application still answers" get "http://$lb/"
ok "start brings the server back" monokube start -p $P
same_pods() { pods >"$work/pods-after" && diff "$work/pods-before" "$work/pods-after"; }
ok "same pods, nothing restarted" within 10 same_pods
ok "it still answers" within 5 get "http://$lb/"

ready_since() { k get nodes -o jsonpath='{.items[*].status.conditions[?(@.type=="Ready")].lastTransitionTime}'; }
since=$(ready_since)
ok "stop" monokube stop -p $P
ok "status says stopped" sh -c "'$program' status -p $P | grep -q 'apiserver: Stopped'"
ok "start again" monokube start -p $P
still_ready() { [ "$(ready_since)" = "$since" ] || { echo "$since"; ready_since; return 1; }; }
ok "the pods come back" within 30 four_ready
ok "and answer" within 10 get "http://$lb/"
ok "no node was said not to be ready meanwhile" still_ready

ok "delete" monokube delete -p $P
machine >"$work/after"
clean() { machine >"$work/after"; diff "$work/before" "$work/after"; }
ok "the machine is as before" within 10 clean
ok "the context is gone" sh -c "! timeout 10 kubectl config get-contexts $P"
