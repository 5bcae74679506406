#!/usr/bin/env bash
# The essential part of the path with several versions of kubectl: those beside the one on PATH, and the newest when a copy
# of it is there.
. "$(dirname "$0")/lib.sh"

beside=$(dirname "$(readlink -f "$(command -v kubectl)")")
newest=${KUBECTL_NEWEST:-/var/cache/monokube-upstream/bin/kubectl}
ok "start" monokube start -p $P

cat >"$work/two.yaml" <<'Y'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {part: two}}
data: {GREETING: hello}
---
apiVersion: v1
kind: Service
metadata: {name: inner, labels: {part: two}}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
Y
out() { k "$@" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }; cat "$work/answer"; }
says() { # PATTERN COMMAND…
	local pattern=$1
	shift
	out "$@" | grep -E -- "$pattern" && return
	cat "$work/answer"
	return 1
}
env_of() { k get deployment web -o jsonpath='{.spec.template.spec.containers[0].env[*].value}'; }
env_is() { [ "$(env_of)" = "$1" ]; }
unchanged() { [ "$(out apply -f "$work/two.yaml" | grep -c unchanged)" = 2 ] || { cat "$work/answer"; return 1; }; }

walk() { # NAME
	local v=$1 pod
	ok "$v: create deployment" says 'deployment.apps/web created' create deployment web --image=monokube/hello --replicas=2
	ok "$v: expose" says 'service/web exposed' expose deployment web --port=80 --target-port=8080 --type=LoadBalancer
	ok "$v: wait" says 'condition met' wait --for=condition=Available deployment/web --timeout=20s
	ok "$v: get -o wide" says "web-.* 1/1 +Running .* 10\.244\.[0-9.]+ +$P " get pods -o wide
	ok "$v: get all" says 'replicaset.apps/web-.* 2 +2 +2' get all
	pod=$(k get pods -l app=web -o name | head -n 1)
	ok "$v: describe" says 'Started +.* +kubelet' describe "$pod"
	ok "$v: describe service" says 'Endpoints: +10\.244\.' describe service web
	ok "$v: logs" says 'listening on port 8080' logs "$pod"
	ok "$v: scale" says 'scaled' scale deployment web --replicas=3
	ok "$v: set env" says 'env updated' set env deployment/web VERSION=2
	ok "$v: rollout status" says 'successfully rolled out' rollout status deployment web --timeout=30s
	ok "$v: the new template is there" env_is 2
	ok "$v: rollout history" says '^2 ' rollout history deployment web
	ok "$v: rollout undo" says 'rolled back' rollout undo deployment web
	ok "$v: rollout status of the undone" says 'successfully rolled out' rollout status deployment web --timeout=30s
	ok "$v: the old template is back" env_is ''
	ok "$v: apply" says 'configmap/settings created' apply -f "$work/two.yaml"
	ok "$v: apply again changes nothing" unchanged
	ok "$v: edit by patch" says 'patched' patch configmap settings -p '{"data":{"GREETING":"bye"}}'
	ok "$v: apply puts it back" says 'configmap/settings configured' apply -f "$work/two.yaml"
	ok "$v: jsonpath" says '^hello$' get configmap settings -o jsonpath='{.data.GREETING}'
	ok "$v: label selector" says 'service/inner' get configmap,service -l part=two -o name
	ok "$v: explain" says 'template' explain deployment.spec
	ok "$v: api-resources" says '^deployments +deploy +apps/v1 +true +Deployment' api-resources
	ok "$v: version names the server" says 'Server Version.*v1\.36' version
	ok "$v: an unknown resource is refused" says 'NotFound|not found' sh_not get pods nobody
	ok "$v: delete" says 'deployment.apps "web" deleted' delete deployment/web service/web --timeout=30s
	ok "$v: delete -f" says 'configmap "settings" deleted' delete -f "$work/two.yaml" --timeout=30s
	ok "$v: the pods go" k wait --for=delete pod -l app=web --timeout=40s
}
# A command of kubectl that must fail; its message is the answer.
k() {
	if [ "$1" = sh_not ]; then
		shift
		! timeout 60 "$KUBECTL" "$@"
	else
		timeout 60 "$KUBECTL" "$@"
	fi
}

for version in "$beside/kubectl.1.27" "$beside/kubectl.1.33" "$newest"; do
	if [ -x "$version" ]; then
		KUBECTL=$version
		walk "kubectl $("$version" version --client -o json | sed -n 's/.*"gitVersion": "\(v[0-9.]*\).*/\1/p')"
	else
		skip "$version" "this version of kubectl is not on this machine"
	fi
done

# Long answers go as gzip to those who take it, whichever form they have; what comes in pieces, too. The answers must be the
# same unpacked. (The kubeconfig tells kubectl not to ask: nothing is far away.)
packed() {
	python3 - "$here/../twin" "$KUBECONFIG" <<'P'
import gzip, json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from client import Server
server = Server(sys.argv[2])
maps = "/api/v1/namespaces/default/configmaps"
for name in "abcdefgh":
    body = json.dumps({"metadata": {"name": name}, "data": {"text": (name + " and more, ") * 4000}})
    assert server.send("POST", maps, [], body.encode()).status == 201
table = "application/json;as=Table;v=v1;g=meta.k8s.io"
for target, accept, most in ((maps, "application/json", 30000), (maps, "application/yaml", 30000),
                             (maps, "application/vnd.kubernetes.protobuf", 30000), (maps + "?includeObject=Object", table, 30000),
                             (maps + "?limit=3", "application/json", 20000), ("/openapi/v2", "application/json", 200000)):
    plain = server.send("GET", target, [("Accept", accept)], None)
    answer = server.send("GET", target, [("Accept", accept), ("Accept-Encoding", "gzip")], None)
    print(target, accept, answer.status, answer.headers, len(plain.body), len(answer.body))
    assert plain.header("content-encoding") == "" and len(plain.body) > 131072
    assert answer.header("content-encoding") == "gzip" and "Accept-Encoding" in answer.header("vary")
    assert len(answer.body) < most and gzip.decompress(answer.body) == plain.body
short = server.send("GET", maps + "/a", [("Accept-Encoding", "gzip")], None)
assert short.header("content-encoding") == "" and json.loads(short.body)["metadata"]["name"] == "a"
P
}
here=$(dirname "$0")
ok "long answers go as gzip" packed
ok "the kubeconfig spares kubectl that" grep -q 'disable-compression: true' "$KUBECONFIG"
