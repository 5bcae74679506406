#!/usr/bin/env bash
# Two profiles side by side, and one of the same name in another home; a node that stops and comes back; a hub that dies; two
# commands at once. Commands killed at any moment: tests/crash/rounds.
. "$(dirname "$0")/lib.sh"

machine >"$work/before"
Q=$P-b

# --- two profiles, started at once
monokube start -p $P --nodes 2 >"$work/first.log" 2>&1 &
first=$!
monokube start -p $Q >"$work/second.log" 2>&1 &
second=$!
joined() { # PROCESS PROFILE LOG
	wait "$1" || { cat "$3"; tail -n 15 "$MONOKUBE_HOME/profiles/$2/server.log"; return 1; }
}
ok "two profiles start at once: the first" joined $first $P "$work/first.log"
ok "two profiles start at once: the second" joined $second $Q "$work/second.log"
kp() { k --context $P "$@"; }
kq() { k --context $Q "$@"; }
subnet() { k --context "$1" get node "$1" -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}' | cut -d. -f1-3; }
ok "they have networks of their own" sh -c "[ -n '$(subnet $P)' ] && [ '$(subnet $P)' != '$(subnet $Q)' ]"
ok "each knows its own nodes" sh -c "[ '$(kp get nodes -o name | sort | tr '\n' ' ')' = 'node/$P node/$P-m02 ' ] && [ '$(kq get nodes -o name)' = node/$Q ]"

both() { kp "$@" && kq "$@"; }
ok "an application in both" both create deployment web --image=monokube/hello --replicas=3
ok "exposed in both" both expose deployment web --port=80 --target-port=8080 --type=LoadBalancer
ok "ready in both" both rollout status deployment web --timeout=30s
ok "a service in the second only" kq expose deployment web --name=only-there --port=80 --target-port=8080
address() { k --context "$1" get service web -o jsonpath='{.status.loadBalancer.ingress[0].ip}'; }
has_address() { [ -n "$(address "$1")" ]; }
ok "the first has an address" within 5 has_address $P
ok "the second has an address" within 5 has_address $Q
lp=$(address $P) lq=$(address $Q)
# ADDRESS PROFILE COUNT: so many answers, and the nodes whose pods gave them, each once
answering_nodes() {
	local pod
	k --context "$2" get pods -l app=web -o jsonpath='{range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}' >"$work/where"
	for _ in $(seq "$3"); do
		pod=$(get --max-time 1 "http://$1/" | awk '{sub(",", "", $4); print $4}')
		awk -v pod="$pod" '$1 == pod {print $2; found = 1} END {if (!found) print "nobody"}' "$work/where"
	done | sort -u | tr '\n' ' '
}
answers_from() { [ "$(answering_nodes "$1" "$2" "$3")" = "$4" ] || { answering_nodes "$1" "$2" "$3"; return 1; }; }
ok "the first answers from its own nodes" within 5 answers_from "$lp" $P 20 "$P $P-m02 "
ok "the second answers from its own node" within 5 answers_from "$lq" $Q 10 "$Q "

# A process of a pod of a profile, to look at the world from where it is.
in_pod() { # PROFILE COMMAND…
	local profile=$1 pid
	shift
	for pid in $(find /sys/fs/cgroup -path "*/monokube/$profile-????????/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un); do
		tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'hello' || continue
		timeout 10 nsenter -t "$pid" -n -- "$@"
		return
	done
	echo "no process of a pod in $profile"
	return 1
}
ok "more pods in the second" kq scale deployment web --replicas=6
ok "they are ready" kq rollout status deployment web --timeout=30s
far() { # the address of a pod of the second that no pod of the first has
	kp get pods -A -o jsonpath='{range .items[*]}{.status.podIP}{"\n"}{end}' >"$work/mine"
	kq get pods -l app=web -o jsonpath='{range .items[*]}{.status.podIP}{"\n"}{end}' | grep -vxFf "$work/mine" | head -n 1
}
far=$(far)
ok "that pod is reached from a pod of its own profile" in_pod $Q curl --noproxy '*' -fsS --max-time 2 "http://$far:8080/"
not_reached() { ! in_pod "$@" && ! grep -q 'no process' "$work/log"; }
ok "but not from a pod of the other" not_reached $P curl --noproxy '*' -fsS --max-time 1 "http://$far:8080/"
only=$(kq get service only-there -o jsonpath='{.spec.clusterIP}')
ok "a service is reached from a pod of its own profile" in_pod $Q curl --noproxy '*' -fsS --max-time 2 "http://$only/"
ok "but not from a pod of the other" not_reached $P curl --noproxy '*' -fsS --max-time 1 "http://$only/"

pods_of() { k --context "$1" get pods -A --no-headers -o custom-columns=:metadata.uid,:status.containerStatuses[0].containerID,:status.containerStatuses[0].restartCount | sort; }
pods_of $P >"$work/pods-before"
ok "a profile of the same name in another home" env MONOKUBE_HOME="$work/other" KUBECONFIG="$work/other.conf" "$program" start -p $P
ok "it goes" env MONOKUBE_HOME="$work/other" KUBECONFIG="$work/other.conf" "$program" delete -p $P
ok "delete the second" monokube delete -p $Q
ok "the first answers" get "http://$lp/"
same_pods() { pods_of $P | diff "$work/pods-before" -; }
ok "its pods are the same" same_pods
ok "its context is there, the other is not" sh -c "timeout 20 kubectl config get-contexts -o name | grep -qx $P && ! timeout 20 kubectl config get-contexts -o name | grep -qx $Q"
ok "the context is chosen" k config use-context $P

# --- a node that stops and comes back
N=$P-m02
condition() { [ "$(k get node "$1" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}')" = "$2" ]; }
not_ready() { condition $N Unknown || condition $N False; }
ok "four pods" k scale deployment web --replicas=4
ok "they are ready, some on the second node" sh -c "timeout 40 kubectl rollout status deployment web --timeout=30s && timeout 20 kubectl get pods -l app=web -o wide | grep -q ' $N '"
ok "node stop" monokube node stop -p $P $N
ok "the node is NotReady soon" within 10 not_ready
ok "node list says so" sh -c "'$program' node list -p $P | grep -q '^$N	Stopped'"
ok "the service answers from the other node" within 10 answers_from "$lp" $P 10 "$P "
ok "node stop again is no error" monokube node stop -p $P $N
ok "node start" monokube node start -p $P $N
ok "the node is Ready again" within 15 condition $N True
four_ready() { [ "$(k get deployment web -o jsonpath='{.status.readyReplicas}')" = 4 ]; }
ok "all pods are ready again" within 30 four_ready
ok "the service answers from both nodes" within 15 answers_from "$lp" $P 30 "$P $N "
ok "node start again is no error" monokube node start -p $P $N

# --- the hub dies
pods_of $P >"$work/pods-before"
ready_since() { kp get nodes -o jsonpath='{.items[*].status.conditions[?(@.type=="Ready")].lastTransitionTime}'; }
since=$(ready_since)
ok "the hub is killed" pkill -9 -f "monokube node --name hub --socket $work/.*/$P/hub.sock"
ok "the service answers from both nodes again" within 10 answers_from "$lp" $P 30 "$P $N "
name_answers() { in_pod $P curl --noproxy '*' -fsS --max-time 2 "http://$(k get service web -o jsonpath='{.spec.clusterIP}')/"; }
ok "a pod reaches it, too" within 5 name_answers
ok "no container was restarted" same_pods
# One that is long in dying has its lock and its socket for a while, when the server has heard of its end already.
slow_death() {
	python3 - "$MONOKUBE_HOME/profiles/$P/hub.sock" "$(pgrep -f "monokube node --name hub --socket $work/.*/$P/hub.sock")" <<-END
		import fcntl, os, signal, socket, sys, threading, time
		path, pid = sys.argv[1], int(sys.argv[2])
		lock = open(path + ".lock")
		threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
		fcntl.flock(lock, fcntl.LOCK_EX)
		os.unlink(path)
		corpse = socket.socket(socket.AF_UNIX)
		corpse.bind(path)
		corpse.listen()
		corpse.settimeout(0.01)
		end = time.monotonic() + 0.5
		while time.monotonic() < end:
		    try:
		        corpse.accept()[0].close()
		    except TimeoutError:
		        pass
	END
}
ok "the hub is killed, and dies slowly" slow_death
ok "the service answers from both nodes again" within 10 answers_from "$lp" $P 30 "$P $N "
ok "no container was restarted, either" same_pods
still_ready() { [ "$(ready_since)" = "$since" ]; }
ok "the nodes were ready all the time" still_ready

# --- two commands at once wait for each other
at_once() { # the second start finds it running
	local a b
	monokube stop -p $P >"$work/stop.log" 2>&1 &
	a=$!
	monokube start -p $P &
	b=$!
	wait $a && wait $b || { cat "$work/stop.log"; return 1; }
}
ok "stop and start at the same time" at_once
ok "start after whatever came last" monokube start -p $P
ok "delete the first" monokube delete -p $P
clean() {
	machine >"$work/after"
	diff "$work/before" "$work/after" || return 1
	[ -z "$(ls -A "$MONOKUBE_HOME/profiles")" ] || { find "$MONOKUBE_HOME/profiles" -maxdepth 2; return 1; }
}
ok "the machine is as before" within 10 clean
