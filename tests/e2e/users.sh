#!/usr/bin/env bash
# What people and programs do with a cluster beyond the path (path.sh): what kubectl, Python's client and scripts see when
# something is not there yet, and the small things that a cluster has everywhere else.
. "$(dirname "$0")/lib.sh"

out() { k "$@" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }; cat "$work/answer"; }
says() { # PATTERN COMMAND…
	local pattern=$1
	shift
	out "$@" | grep -E -- "$pattern" && return
	cat "$work/answer"
	return 1
}
fails() { # PATTERN COMMAND…
	local pattern=$1
	shift
	k "$@" >"$work/answer" 2>&1 && { cat "$work/answer"; return 1; }
	grep -E -- "$pattern" "$work/answer" && return
	cat "$work/answer"
	return 1
}

busybox_image "$work"
cat >"$work/pods.yaml" <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: box, image: busybox, command: [sleep, "1000"], imagePullPolicy: IfNotPresent}
  - {name: hello, image: monokube/hello, imagePullPolicy: IfNotPresent}
---
apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: nowhere.example/none:1}]
---
# Its server listens a third of a second after the start; the period of the probe is the default, ten seconds.
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "sleep 0.3; mkdir /w; echo ok >/w/index.html; exec httpd -f -p 80 -h /w"]
    readinessProbe: {httpGet: {path: /, port: 80}}
Y

ok "image load" monokube image load "$work/busybox.tar"
ok "start" monokube start -p $P --nodes 2
ok "apply" k apply -f "$work/pods.yaml"
ok "a server that listens late is ready at once then" k wait pod/late --for=condition=Ready --timeout=5s
ok "and nothing is said of what was asked too early" sh -c "! timeout 20 kubectl get events | grep Unhealthy"
ok "a pod runs" k wait pod/two --for=condition=Ready --timeout=20s

# A cluster has these everywhere else.
ok "the first node has a role" says "^$P +Ready +control-plane " get nodes
ok "the second has none" says "^$P-m02 +Ready +<none> " get nodes
ok "DNS is a Service" says 'kube-dns +ClusterIP +10.96.0.10 +<none> +53/UDP,53/TCP' get service -n kube-system
ok "cluster-info names it" says 'CoreDNS' cluster-info
ok "pods find it by name" says '10\.96\.0\.10$' exec two -c box -- nslookup kube-dns.kube-system.svc.cluster.local
ok "status tells of each node" sh -c "'$program' -p $P status | grep -c 'kubelet: Running' | grep -qx 2"
ok "status -o json is a list of them" sh -c "'$program' -p $P status -o json | python3 -c 'import json,sys; assert [n[\"Worker\"] for n in json.load(sys.stdin)] == [False, True]'"

# Why there is no log.
ok "logs of an image that is not there" fails 'BadRequest.*container "c" in pod "bad" is waiting to start: (trying and failing to pull image|image can.t be pulled)' logs bad
ok "logs of a run that there was not" fails 'BadRequest.*previous terminated container "box" in pod "two" not found' logs two -c box --previous

# Python writes True where Go writes true.
python_client() {
	/usr/bin/python3 - <<'P'
from kubernetes import client, config
from kubernetes.stream import stream
config.load_kube_config()
v1 = client.CoreV1Api()
def run(*command, **more):
    return stream(v1.connect_get_namespaced_pod_exec, "two", "default", container="box", command=list(command),
                  stdout=True, stderr=True, **more)
assert run("sh", "-c", "echo out; sleep 0.1; echo err >&2", stdin=False, tty=False) == "out\nerr\n"
shell = run("sh", stdin=True, tty=False, _preload_content=False)
shell.write_stdin("echo a b\n")
assert shell.readline_stdout(timeout=10) == "a b"
shell.write_stdin("exit 3\n")
shell.run_forever(timeout=10)
assert shell.returncode == 3, shell.returncode
screen = run("sh", "-c", "read go; stty size", stdin=True, tty=True, _preload_content=False)
screen.write_channel(4, '{"Width":100,"Height":30}')
screen.write_stdin("go\n")
lines = [screen.readline_stdout(timeout=5) for _ in range(2)]
assert lines == ["go\r", "30 100\r"], lines
screen.close()
assert v1.read_namespaced_pod_log("two", "default", container="hello", follow=False, timestamps=True).count("listening") == 1
P
}
ok "Python's client" python_client
