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
metadata: {name: screen}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: sh, image: busybox, command: [sh], stdin: true, tty: true, imagePullPolicy: IfNotPresent}]
---
apiVersion: v1
kind: Pod
metadata: {name: listener}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: cat, image: busybox, command: [cat], stdin: true, imagePullPolicy: IfNotPresent}]
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

# What is not there yet says so instead of keeping people waiting. (kubectl before 1.22 sends a kind that is gone since.)
ok "debug says that there are no ephemeral containers" fails 'runs no ephemeral containers|no kind "EphemeralContainers" is registered' debug -i two --image=busybox -- echo hi
ok "top says what is missing" fails 'Metrics API not available|metrics not available' top pods

# Remote commands: kubectl speaks SPDY before 1.31, WebSocket since, and falls back to SPDY where that is refused.
remote() { # a kubectl's path is in KUBECTL
	ok "$1: exec in a container that does not run" fails 'container not found \("c"\)' exec bad -- true
	ok "$1: exec tells both outputs apart" both
	ok "$1: exec ends with the command's exit code" code 7 exec two -c box -- sh -c 'exit 7'
	ok "$1: a command that is not there" fails 'no such file or directory' exec two -c box -- /none
	ok "$1: 20 MB through cat" through_cat
	ok "$1: a terminal has the size of the person's" terminal exec -it two -c box -- sh
	ok "$1: attach to a terminal" terminal attach -it screen
	ok "$1: who attaches and has said all leaves, and the container goes on" attached
	ok "$1: a command of 20 kB" says '^a{20000}$' exec two -c box -- echo "$(head -c 20000 /dev/zero | tr '\0' a)"
	ok "$1: run -i --rm shows what it says" says 'from within' run once -i --rm --restart=Never --image=busybox \
		--image-pull-policy=IfNotPresent -- sh -c 'sleep 0.5; echo from within'
	ok "$1: cp there and back" copies
	ok "$1: port-forward" forwards
	ok "$1: port-forward to a port where nobody listens" refused_forward
}
code() {
	local want=$1
	shift
	k "$@"
	[ $? = "$want" ]
}
both() {
	k exec two -c box -- sh -c 'echo out; echo err >&2' >"$work/out" 2>"$work/err"
	cat "$work/out" "$work/err"
	[ "$(cat "$work/out")" = out ] && [ "$(cat "$work/err")" = err ]
}
head -c 20000000 /dev/urandom >"$work/random"
through_cat() { k exec -i two -c box -- cat <"$work/random" | cmp - "$work/random"; }
attached() {
	echo "from $KUBECTL" | k attach -i listener && within 5 sh -c "timeout 20 kubectl logs listener | grep -qx 'from $KUBECTL'" &&
		[ "$(kubectl get pod listener -o 'jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}')" = "Running 0" ]
}
copies() {
	rm -rf "$work/there" "$work/back"
	mkdir -p "$work/there/sub"
	cp "$work/random" "$work/there/sub/file"
	echo small >"$work/there/small"
	k exec two -c box -- rm -rf /there
	k cp "$work/there" two:/there -c box && k cp two:/there "$work/back" -c box && diff -r "$work/there" "$work/back"
}
# A person's terminal of 33 lines, then of 44.
terminal() {
	/usr/bin/python3 - "${KUBECTL:-kubectl}" "$@" <<'P'
import fcntl, os, pty, re, select, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
def size(rows): fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 111, 0, 0))
def until(pattern, ask=None):
    global seen
    end = time.time() + 15
    while not re.search(pattern, seen):
        assert time.time() < end, seen
        if ask and not select.select([fd], [], [], 0.3)[0]:
            os.write(fd, ask)
        if select.select([fd], [], [], 0.3)[0]:
            seen += os.read(fd, 65536)
size(33)
until(rb"33 111", b"stty size\n")
size(44)
until(rb"44 111", b"stty size\n")
os.kill(pid, 9)
os.waitpid(pid, 0)
P
}
forward() { # TARGET PORT: $port is on this machine then, and $! the process
	rm -f "$work/forward"
	timeout 60 "${KUBECTL:-kubectl}" port-forward --address 127.0.0.1 "$1" ":$2" >"$work/forward" 2>&1 &
	within 10 grep -q 'Forwarding from' "$work/forward" || { cat "$work/forward"; return 1; }
	port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$work/forward")
}
forwards() {
	local i answers=0 of=0
	forward pod/late 80 || return 1
	for i in $(seq 30); do
		get "http://127.0.0.1:$port/" >"$work/forwarded.$i" &
		of="$of $!"
	done
	# shellcheck disable=SC2086
	wait ${of#0}
	answers=$(cat "$work"/forwarded.* | grep -c '^ok$')
	kill %% 2>/dev/null
	cat "$work/forward"
	[ "$answers" = 30 ]
}
refused_forward() {
	forward pod/two 81 || return 1
	get "http://127.0.0.1:$port/" && return 1
	within 5 grep -q 'error forwarding port 81 to pod two.*connection refused' "$work/forward" || { cat "$work/forward"; return 1; }
	kill %% 2>/dev/null
	return 0
}
ok "a terminal's pod runs" k wait pod/screen --for=condition=Ready --timeout=20s
beside=$(dirname "$(readlink -f "$(command -v kubectl)")")
for KUBECTL in kubectl "$beside/kubectl.1.27" "${KUBECTL_NEWEST:-/var/cache/monokube-upstream/bin/kubectl}"; do
	if command -v "$KUBECTL" >/dev/null; then
		remote "$("$KUBECTL" version --client -o json | sed -n 's/.*"gitVersion": "\(v[0-9.]*\).*/\1/p')"
	else
		skip "$KUBECTL" "this version of kubectl is not on this machine"
	fi
done
unset KUBECTL

# Python writes True where Go writes true.
python_client() {
	/usr/bin/python3 - <<'P'
import time
from kubernetes import client, config
from kubernetes.stream import portforward, stream
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
forward = portforward(v1.connect_get_namespaced_pod_portforward, "late", "default", ports="80,81")
socket = forward.socket(80)
socket.settimeout(10)
socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
page = b""
while b"ok\n" not in page:
    more = socket.recv(1000)
    assert more, page
    page += more
end = time.time() + 10
while not forward.error(81):
    assert time.time() < end
    time.sleep(0.1)
assert "connection refused" in forward.error(81), forward.error(81)
assert v1.read_namespaced_pod_log("two", "default", container="hello", follow=False, timestamps=True).count("listening") == 1
P
}
ok "Python's client" python_client
