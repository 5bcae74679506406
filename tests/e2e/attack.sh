#!/usr/bin/env bash
# Attacks from inside: of containers of the OCI command line (tests/attack/containers), and of pods.
. "$(dirname "$0")/lib.sh"
here=$(dirname "$(realpath "$0")")/../attack
probe=$(dirname "$program")/tests/attack/probe

python3 "$here/containers" "$program" "$probe" >"$work/containers" 2>&1
grep -E '^(ok|not ok|#)' "$work/containers"
number=$(grep -cE '^(ok|not ok) ' "$work/containers") failures=$(grep -cE '^not ok ' "$work/containers")
[ "$number" -gt 15 ] || { cat "$work/containers"; failures=$((failures + 1)); }

# An image with busybox, the probe, and a script that whoever runs it runs itself instead.
mkdir -p "$work/rootfs/bin" "$work/rootfs/tmp"
cp /bin/busybox "$probe" "$work/rootfs/bin/"
for applet in sh cat ls ln sleep mount test readlink; do ln -s busybox "$work/rootfs/bin/$applet"; done
printf '#!/proc/self/exe\n' >"$work/rootfs/script"
chmod 755 "$work/rootfs/script"
pack_image "$work" attack
cp "$program" "$work/monokube" # the one that may be overwritten
program=$work/monokube
before=$(sha256sum <"$program")
echo secret >"$work/secret"

ok "start" monokube start -p $P --nodes 1
ok "the image is loaded" monokube image load "$work/attack.tar"

container() { # NAME WORKINGDIR VOLUMEMOUNT COMMAND…: a line of a pod
	local name=$1 dir=$2 mounts=$3
	shift 3
	printf '  - {name: %s, image: attack, imagePullPolicy: Never, workingDir: "%s", volumeMounts: [%s], command: [%s]}\n' "$name" "$dir" "$mounts" "$*"
}
pod() { # NAME: containers on stdin
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  restartPolicy: Never\n  hostname: probe\n  enableServiceLinks: false\n  automountServiceAccountToken: false\n  volumes: [{name: vol, emptyDir: {}}]\n' "$1"
	cat
}
{
	echo '  containers:'
	container watch / '' /bin/probe, overwrite, '"8"'
} | pod watch >"$work/watch.yaml"
{
	echo '  containers:'
	container probe / '' /bin/probe
} | pod probe >"$work/probe.yaml"
{
	echo '  containers:'
	for fd in 3 4 5 6 7 8 9 10 11 12; do container fd$fd /proc/self/fd/$fd '' /bin/probe, reach, "$work/secret"; done
} | pod descriptors >"$work/descriptors.yaml"
# A link in a volume, made by one container, is where the next one's subPath leads: out of the volume (CVE-2017-1002101).
{
	echo '  initContainers:'
	container link / '{name: vol, mountPath: /vol}' /bin/sh, -c, '"echo >/vol/mark; ln -s / /vol/root; ln -s ../../.. /vol/up"'
	echo '  containers:'
	container root / '{name: vol, mountPath: /host, subPath: root}' /bin/test, -e, /host/proc/self
	container up / '{name: vol, mountPath: /host, subPath: up}' /bin/sh, -c, '"test ! -e /host/mark"'
} | pod subpath >"$work/subpath.yaml"
# What the kubelet writes into, a container must not write into (CVE-2017-1002102); what it asks of it still works.
{
	echo '  initContainers:'
	container make / '{name: vol, mountPath: /vol, subPath: a/b}' /bin/sh, -c, '"echo x >/vol/made"'
	echo '  containers:'
	container writes / '{name: settings, mountPath: /settings}' /bin/sh, -c, '"echo x >/settings/key || echo x >/settings/other || ln -sf / /settings/..data"'
} | pod payload | sed 's/volumes: \[/&{name: settings, configMap: {name: settings}}, /' >"$work/payload.yaml"
{
	echo '  containers:'
	container key / '{name: settings, mountPath: /key, subPath: key}' /bin/sh, -c, '"test $(cat /key) = value"'
	container made / '{name: vol, mountPath: /vol, subPath: new/dir}' /bin/sh, -c, '"echo x >/vol/made"'
} | pod works | sed 's/volumes: \[/&{name: settings, configMap: {name: settings}}, /' >"$work/works.yaml"
ok "a ConfigMap is made" k create configmap settings --from-literal=key=value
# The working directory and the mount targets are links that the volume's other user made.
{
	echo '  initContainers:'
	container link / '{name: vol, mountPath: /vol}' /bin/sh, -c, '"ln -s /proc/1/root /vol/dir; ln -s /proc/self/fd/7 /vol/fd"'
	echo '  containers:'
	container dir /vol/dir '{name: vol, mountPath: /vol}' /bin/probe, reach, "$work/secret"
	container fd /vol/fd '{name: vol, mountPath: /vol}' /bin/probe, reach, "$work/secret"
	container over / '"{name: vol, mountPath: /vol}, {name: vol, mountPath: /vol/dir}"' /bin/probe, reach, "$work/secret"
} | sed 's/\["{/[{/; s/}"\]/}]/' | pod links >"$work/links.yaml"
# The test of the test: a privileged pod, and containers to which the same checks say yes.
{
	echo '  containers:'
	echo '  - {name: probe, image: attack, imagePullPolicy: Never, command: [/bin/probe], securityContext: {privileged: true}}'
} | pod open >"$work/open.yaml"
{
	echo '  initContainers:'
	container make / '{name: vol, mountPath: /vol}' /bin/sh, -c, '"echo >/vol/.marker"'
	echo '  containers:'
	container reach / '{name: vol, mountPath: /vol}' /bin/probe, reach, /vol/.marker
	container root / '' /bin/test, -e, /proc/self
} | pod control >"$work/control.yaml"
for name in watch probe descriptors subpath links payload works open control; do ok "pod $name is taken" k apply -f "$work/$name.yaml"; done

phase() { k get pod "$1" -o jsonpath='{.status.phase}'; }
is() { [ "$(phase "$1")" = "$2" ]; }
ok "the watching pod runs" within 20 is watch Running
if kubectl exec --help 2>/dev/null | grep -q . && k exec watch -- /bin/test -e /script >/dev/null 2>&1; then
	# at least five; on a busy machine the attacker may sleep through one, since it lives for a millisecond
	for i in $(seq 100); do
		k exec watch -- /script >/dev/null 2>&1
		[ "$i" -lt 5 ] || ! k logs watch 2>/dev/null | grep -q '^seen:' || break
	done
	over() { is watch Failed || is watch Succeeded; }
	ok "CVE-2019-5736 by exec: the attacker ends" within 60 over
	seen() { k logs watch >"$work/seen"; cat "$work/seen"; grep -q '^seen:' "$work/seen" && ! grep -q overwritten "$work/seen"; }
	ok "CVE-2019-5736 by exec: it saw the runtime and did not write to it" seen
else
	skip "CVE-2019-5736 by exec" "this kubectl speaks no WebSocket"
fi

states() { k get pod "$1" -o jsonpath='{range .status.containerStatuses[*]}{.name}{" "}{.state}{"\n"}{end}'; }
done_with() { # POD: every container has ended or cannot start
	k get pod "$1" -o json | python3 -c '
import json, sys
pod = json.load(sys.stdin)
for c in pod.get("status", {}).get("containerStatuses", []):
    state = c["state"]
    waiting = state.get("waiting", {}).get("reason", "")
    print(c["name"], json.dumps(state))
    if "terminated" not in state and not waiting.endswith("Error"): sys.exit(1)
sys.exit(len(pod.get("status", {}).get("containerStatuses", [])) == 0)'
}
nobody_succeeds() { # POD: no container came to a good end
	k get pod "$1" -o json | python3 -c '
import json, sys
got = [c["name"] for c in json.load(sys.stdin)["status"]["containerStatuses"] if c["state"].get("terminated", {}).get("exitCode") == 0]
print(got)
sys.exit(len(got) != 0)'
}
for name in descriptors links subpath payload; do
	ok "$name: each container has ended or was refused" within 40 done_with $name
	ok "$name: none got through" nobody_succeeds $name
	[ -z "${SHOW:-}" ] || states $name | sed 's/^/# /'
done

# What a pod gets by default. Masks, mounts, devices and rights are recorded; tests/attack/containers compares with runc.
ok "the probing pod ends well" within 20 is probe Succeeded
facts() {
	k logs probe | grep -E '^(fd|status|oom|cwd|host|pid|device|write|read|call|mount /(dev|proc|sys|etc))' |
		grep -vE '^mount /(sys/fs/cgroup|proc/(acpi|asound|scsi|keys|timer_list|latency_stats|sched_debug))|^(read|write) /proc/(acpi|asound|scsi|keys|timer_list|latency_stats|sched_debug|interrupts|irq|bus|kcore|sysrq-trigger)|^(read|write) /sys' | sort
}
facts >"$work/facts"
[ -z "${RECORD:-}" ] || cp "$work/facts" "$here/pod.expected"
ok "a pod's probe says what was recorded" diff "$here/pod.expected" "$work/facts"
hidden() { ! k logs "$1" | grep -E '^(read /proc/(kcore|keys|timer_list|sched_debug|interrupts) yes content|read /(proc/(acpi|scsi)|sys/firmware) content|write /proc/(sys|irq|bus|sysrq).* yes|write /sys.* yes|call (mount|remount|umount|open-disk|open-kmsg|sethostname|init_module|setns) yes)'; }
ok "nothing of the machine is open to it" hidden probe
ok "the privileged pod's probe ends well" within 20 is open Succeeded
not() { ! "$@"; }
ok "the check sees what is open to a privileged pod" not hidden open
ok "the control's containers have ended" within 20 done_with control
ok "the containers with good subPaths have ended" within 20 done_with works
ok "subPaths of a file and of a new directory work" is works Succeeded
ok "the check sees containers that get through" not nobody_succeeds control

ok "the program is what it was" test "$(sha256sum <"$program")" = "$before"
