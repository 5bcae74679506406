#!/usr/bin/env bash
# Commands and their answers: bad input ends with its exit code, says what, why and what to do, and changes nothing; events
# are JSON; the kubeconfig keeps what is the person's.
. "$(dirname "$0")/lib.sh"

everything() { find "$work" -path "$work/log" -prune -o -path "$work/out" -prune -o -path "$work/err" -prune -o \
	-path "$work/state" -prune -o -type f -printf '%p %s %T@\n' | sort; machine; }

# refused CODE "what it must say" "what to do" ARGUMENTS…
refused() {
	local code=$1 what=$2 advice=$3 got
	shift 3
	everything >"$work/state"
	monokube "$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	cat "$work/err"
	[ $got = "$code" ] || { echo "exit code $got, not $code"; return 1; }
	[ ! -s "$work/out" ] || { echo "an answer on stdout:"; cat "$work/out"; return 1; }
	head -n 1 "$work/err" | grep -q '^monokube.*: ' || { echo "the first line does not name the command"; return 1; }
	grep -qF -- "$what" "$work/err" || { echo "does not say: $what"; return 1; }
	grep '^  → ' "$work/err" | grep -qF -- "$advice" || { echo "does not advise: $advice"; return 1; }
	everything | diff "$work/state" - || { echo "something changed"; return 1; }
}
table() { # reads CODE|WHAT|ADVICE|ARGUMENTS
	local code what advice arguments
	while IFS='|' read -r code what advice arguments; do
		# shellcheck disable=SC2086
		ok "refused: monokube $arguments" refused "$code" "$what" "$advice" $arguments
	done
}

mkdir -p "$work/bad"
echo 'this is no archive' >"$work/bad/garbage.tar"
python3 - "$work/bad" <<'P'
import hashlib, io, json, os, sys, tarfile
d = sys.argv[1]
def add(t, name, data=b"", **more):
    i = tarfile.TarInfo(name); i.size = len(data)
    for k, v in more.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))
def image(name, layer, digest=None):
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers",
        "diff_ids": ["sha256:" + (digest or hashlib.sha256(layer).hexdigest())]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name + ":1"], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(os.path.join(d, name + ".tar"), "w") as t:
        for n, data in (("layer.tar", layer), ("config.json", config), ("manifest.json", manifest)): add(t, n, data)
def layer(fill):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t: fill(t)
    return out.getvalue()
good = layer(lambda t: add(t, "file", b"content"))
image("traversal", layer(lambda t: add(t, "../../../../../../../../../../../../tmp/monokube-e2e-escaped", b"x")))
image("digest", good, "0" * 64)
def through_link(t):
    add(t, "out", type=tarfile.SYMTYPE, linkname="/tmp")
    add(t, "out/monokube-e2e-escaped", b"x")
image("link", layer(through_link))
open(os.path.join(d, "cut.tar"), "wb").write(open(os.path.join(d, "digest.tar"), "rb").read()[:700])
P

table <<T
14|there is no command 'frobnicate'|monokube help|frobnicate
14|there is no command 'image frobnicate'|load, ls, rm|image frobnicate
14|needs one word more|list, start, stop|node
14|there is no command 'frob'|monokube help|help frob
14|there is no command 'tunnel'|LoadBalancer have addresses|tunnel
14|there is no command 'ip'|kubectl get nodes|ip
14|unknown flag --bogus|monokube start --help|start --bogus
14|unknown flag --bogus|monokube help|--bogus
14|--profile needs a value|monokube help|-p
85|there is no profile '$P-none'|monokube start|-p $P-none status
14|unknown flag -x|monokube stop --help|stop -x
14|--nodes takes a whole number, not 'two'|monokube start --help|start --nodes two
14|--nodes takes a whole number, not '-1'|monokube start --help|start --nodes=-1
14|--nodes is 101, the most is 100|fewer nodes|start -p $P --nodes 101
14|--apiserver-port is 65536|Choose a port|start -p $P --apiserver-port 65536
14|--profile needs a value|monokube start --help|start -p
14|--quiet is a switch|monokube start --help|start --quiet=perhaps
14|one operand too many: web|monokube start --help|start web
14|an operand is missing: FILE|monokube image load --help|image load
14|an operand is missing: NODE|monokube node stop --help|node stop
14|--output takes text or json, not xml|monokube status --help|status -o xml
14|'UPPER' is no name for a profile|lower case letters|start -p UPPER
14|'x' is no name for a profile|2 to 40|start -p x
14|'../../etc' is no name for a profile|lower case|delete -p ../../etc
14|no completion for 'fish'|bash or zsh|completion fish
85|there is no profile '$P-none'|monokube profile list|stop -p $P-none
85|there is no profile '$P-none'|monokube profile list|delete -p $P-none
85|there is no profile '$P-none'|monokube start|status -p $P-none
85|there is no profile '$P-none'|monokube start|node list -p $P-none
85|there is no profile '$P-none'|monokube start|node start -p $P-none $P-none
14|--data is missing|--data DIR|server
14|--listen takes ADDRESS:PORT, not 'here'|127.0.0.1:6443|server --data $work/never --listen here
14|the most is 100|fewer nodes|server --data $work/never --nodes 101
T

# The store itself exists from its first use on; what a refused archive must not do is add to it.
ok "image ls makes the store" monokube image ls
table <<T
85|$work/bad/none.tar|docker save|image load $work/bad/none.tar
85|nothing:1|monokube image ls|image rm nothing:1
T
images() { monokube image ls -o json; }
refused_archive() {
	local before
	before=$(images)
	monokube image load "$1" >"$work/out" 2>"$work/err" && { echo "loaded:"; cat "$work/out"; return 1; }
	cat "$work/err"
	grep -qF "load $1" "$work/err" && grep -q '^  → ' "$work/err" || { echo "does not say what and what to do"; return 1; }
	[ ! -e /tmp/monokube-e2e-escaped ] || { echo "wrote outside"; rm -f /tmp/monokube-e2e-escaped; return 1; }
	[ "$(images)" = "$before" ] || { echo "the list of images changed"; return 1; }
}
for bad in garbage cut traversal digest link; do
	ok "an archive is refused: $bad" refused_archive "$work/bad/$bad.tar"
done

# What it says about itself.
ok "version" sh -c "'$program' version | grep -Eq '^monokube [0-9.]+ \(Kubernetes v1\.[0-9]+\.[0-9]+\)$'"
ok "version -o json" sh -c "'$program' version -o json | python3 -c 'import json,sys; d=json.load(sys.stdin); assert d[\"version\"] and d[\"kubernetes\"].startswith(\"v1.\")'"
ok "help names every command" sh -c "for c in start stop delete status 'profile list' 'node start' 'image load' logs kubeconfig doctor version completion server oci; do '$program' help | grep -q \"^  \$c \" || { echo \"\$c\"; exit 1; }; done"
ok "help of a command lists its flags" sh -c "'$program' help start | grep -q -- '--nodes' && '$program' start --help | grep -q -- '--profile'"
ok "help of the runtime" sh -c "'$program' oci --help | grep -q 'Usage: monokube oci create'"
ok "flags of every command may come first" sh -c "'$program' -o json -p $P-none status 2>/dev/null | grep -q '\"exitcode\":\"85\"'"
ok "doctor finds nothing missing" sh -c "'$program' doctor | grep -q '^✓ root'"
completes() { # WORDS… EXPECTED
	local expected=${*: -1} words=(monokube "${@:1:$#-1}")
	bash -c '. <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _monokube; printf "%s\n" "${COMPREPLY[@]}"' \
		"$program" "${words[@]}" | grep -qxF -- "$expected"
}
ok "completion of a command" completes sta start
ok "completion of a second word" completes node sta start
ok "completion of a flag" completes start --no --nodes
ok "completion offers a word once" sh -c "'$program' completion bash | grep -o ' image ' | wc -l | grep -qx 1"
ok "completion of zsh" sh -c "'$program' completion zsh | grep -q bashcompinit"

# The kubeconfig is the person's: other entries, mode, link and chosen namespace stay.
cat >"$work/other.conf" <<'Y'
apiVersion: v1
kind: Config
clusters:
- {name: work, cluster: {server: "https://work.example:6443"}}
contexts:
- {name: work, context: {cluster: work, user: me, namespace: mine}}
current-context: work
users:
- {name: me, user: {token: secret}}
Y
cp "$work/other.conf" "$work/real.conf"; chmod 640 "$work/real.conf"
ln -s "$work/real.conf" "$work/linked.conf"
export KUBECONFIG=$work/absent.conf:$work/linked.conf:$work/third.conf
echo 123456789 >"$work/linked.conf.lock" # of a process that there is not

# events EXITCODE ARGUMENTS…: one JSON object per line on stdout, steps that rise, an error event exactly when it failed
events() {
	local code=$1 got
	shift
	monokube "$@" -o json >"$work/out" 2>"$work/err"
	got=$?
	cat "$work/out" "$work/err"
	[ $got = "$code" ] || { echo "exit code $got, not $code"; return 1; }
	python3 - "$work/out" "$code" <<'P'
import json, sys
steps, errors = [], []
for line in open(sys.argv[1]):
    e = json.loads(line)
    assert e["specversion"] == "1.0" and e["datacontenttype"] == "application/json" and e["id"], e
    kind = e["type"].removeprefix("io.k8s.sigs.minikube.")
    assert kind in ("step", "info", "warning", "error"), kind
    if kind == "step":
        steps.append(int(e["data"]["currentstep"]))
        assert steps[-1] < int(e["data"]["totalsteps"]) and e["data"]["name"] and e["data"]["message"], e
    if kind == "error":
        errors.append(e["data"])
assert all(a < b for a, b in zip(steps, steps[1:])), steps
if sys.argv[2] == "0":
    assert steps and not errors, (steps, errors)
else:
    assert len(errors) == 1 and errors[0]["exitcode"] == sys.argv[2] and errors[0]["message"] and errors[0]["advice"], errors
P
}
ok "start -o json" events 0 start -p $P
ok "the first existing file got the context" sh -c "grep -q 'current-context: \"*$P' '$work/real.conf' && [ ! -e '$work/absent.conf' ] && [ ! -e '$work/third.conf' ]"
ok "a link stays a link, mode and other entries stay" sh -c "[ -L '$work/linked.conf' ] && [ \$(stat -c %a '$work/real.conf') = 640 ] && timeout 20 kubectl config view -o jsonpath='{.contexts[?(@.name==\"work\")].context.namespace}' | grep -qx mine"
ok "kubectl answers through it" k get nodes
ok "the person chooses a namespace" k config set-context $P --namespace=kube-system
ok "the other context is chosen" k config use-context work
ok "a second start is no error" events 0 start -p $P
ok "the chosen namespace stays, the context is current again" sh -c "[ \"\$(timeout 20 kubectl config view --minify -o jsonpath='{..namespace}')\" = kube-system ]"
entries() { k config view -o jsonpath='{.contexts[*].name}' | tr ' ' '\n' | grep -cx $P; }
ok "there is one entry, not two" sh -c "[ $(entries) = 1 ]"

table <<T
14|profile $P has 1 node; their number is fixed|Delete the profile first|start -p $P --nodes 3
85|profile $P has no node 'nobody'|monokube node list|node stop -p $P nobody
T
ok "an error is an event, too" events 14 start -p $P --nodes 3
ok "also of flags" events 14 start --bogus
ok "and still one node runs" sh -c "[ \$(timeout 20 kubectl get nodes -o name | wc -l) = 1 ]"
ok "status -o json" sh -c "'$program' status -p $P -o json | python3 -c 'import json,sys; d=json.load(sys.stdin); assert (d[\"Name\"], d[\"Host\"], d[\"Kubelet\"], d[\"APIServer\"], d[\"Kubeconfig\"]) == (\"$P\", \"Running\", \"Running\", \"Running\", \"Configured\"), d'"
ok "profile list -o json" sh -c "'$program' profile list -o json | python3 -c 'import json,sys; d=json.load(sys.stdin); assert [(p[\"Name\"], p[\"Nodes\"]) for p in d[\"valid\"]] == [(\"$P\", 1)], d'"
ok "node list -o json" sh -c "'$program' node list -p $P -o json | python3 -c 'import json,sys; assert json.load(sys.stdin) == [{\"Name\": \"$P\", \"Status\": \"Running\"}]'"
ok "logs" sh -c "'$program' logs -p $P --length 3 | wc -l | grep -qx 3"
ok "kubeconfig prints one that works" sh -c "'$program' kubeconfig -p $P >'$work/printed' && KUBECONFIG='$work/printed' timeout 20 kubectl get nodes"

# A port in use, a directory in use.
port=$(k config view --minify -o jsonpath='{.clusters[0].cluster.server}' | sed 's/.*://')
in_use() { # WHAT ARGUMENTS…: fails with exit code 3x or 7x, in three parts, and leaves no process
	local what=$1
	shift
	timeout 20 "$program" server "$@" >"$work/out" 2>"$work/err" && return 1
	local got=$?
	cat "$work/err"
	[ $got -ge 30 ] && [ $got -lt 80 ] || { echo "exit code $got"; return 1; }
	grep "^monokube server: " "$work/err" | grep -qF -- "$what" && grep -q '^  → ' "$work/err"
}
ok "a port in use is named" in_use "127.0.0.1:$port" --data "$work/second" --listen "127.0.0.1:$port" --nodes 0
ok "data in use is named" in_use "another server runs on" --data "$MONOKUBE_HOME/profiles/$P" --listen 127.0.0.1:0 --nodes 0
ok "the first server is well" k get --raw /readyz

ok "stop -o json" events 0 stop -p $P
bits() { monokube status -p $P >/dev/null; [ $? = 3 ]; }
ok "status bits say: no host, no cluster" bits
ok "the context stays over a stop" sh -c "[ $(entries) = 1 ]"
ok "stop again is no error" events 0 stop -p $P
cp "$work/real.conf" "$work/third.conf"
ok "delete -o json" events 0 delete -p $P
ok "it is gone from every file" sh -c "! grep -q '$P' '$work/real.conf' && ! grep -q '$P' '$work/third.conf'"
ok "the other entries are still there" sh -c "[ \"\$(KUBECONFIG='$work/third.conf' timeout 20 kubectl config view -o jsonpath='{.contexts[*].name}{.users[*].name}')\" = workme ]"
ok "deleting what is gone is an event of error" events 85 delete -p $P
ok "no lock is left" sh -c "! ls '$work'/*.lock"

echo '- just a list' >"$work/list.conf"
export KUBECONFIG=$work/list.conf
foreign() {
	monokube start -p $P >"$work/out" 2>"$work/err" && return 1
	cat "$work/err"
	grep -q 'this is no kubeconfig' "$work/err" && grep -qx -- '- just a list' "$work/list.conf"
}
ok "a file that is no kubeconfig is left as it is" foreign
