# Sourced by the end-to-end tests. They run in a network namespace of their own (a "laptop" without a default route), as
# root, with the program as first argument. TAP on stdout; what a failed step printed follows it.

program=$(realpath "$1")
work=$(mktemp -d /tmp/monokube-e2e-XXXXXX)
export MONOKUBE_HOME=$work/home KUBECONFIG=$work/kubeconfig HOME=$work
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY SUDO_USER SUDO_UID SUDO_GID
P=e2e-$$ number=0 failures=0
ip link set lo up

[ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ] || { echo "Bail out! run this by 'unshare --net'"; exit 1; }

monokube() { timeout 60 "$program" "$@"; }
k() { timeout 60 "${KUBECTL:-kubectl}" "$@"; }

# ok "what must be true" COMMAND…
ok() {
	local what=$1 log=$work/log
	shift
	number=$((number + 1))
	if "$@" >"$log" 2>&1; then
		echo "ok $number - $what"
	else
		failures=$((failures + 1))
		echo "not ok $number - $what"
		sed 's/^/# /' "$log" | tail -n 40
	fi
}
skip() { # WHAT WHY
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# Tries a command until it succeeds, at most so many seconds.
within() { # SECONDS COMMAND…
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || { "$@"; return 1; }
		sleep 0.1
	done
}

get() { curl --noproxy '*' -fsS --max-time 3 "$@"; }

# DIR/rootfs as an image: DIR/NAME.tar.
pack_image() { # DIR NAME
	python3 - "$1" "$2" <<'P'
import hashlib, io, json, os, sys, tarfile
d, name = sys.argv[1:]
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as t:
    t.add(os.path.join(d, "rootfs"), arcname=".")
raw = layer.getvalue()
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest()]}}).encode()
manifest = json.dumps([{"Config": "config.json", "RepoTags": [name + ":latest"], "Layers": ["layer.tar"]}]).encode()
with tarfile.open(os.path.join(d, name + ".tar"), "w") as t:
    for name, data in (("layer.tar", raw), ("config.json", config), ("manifest.json", manifest)):
        i = tarfile.TarInfo(name); i.size = len(data); t.addfile(i, io.BytesIO(data))
P
}

# An image of this machine's busybox, as DIR/busybox.tar.
busybox_image() { # DIR
	local link
	mkdir -p "$1/rootfs/bin"
	cp /bin/busybox "$1/rootfs/bin/busybox"
	"$1/rootfs/bin/busybox" --install -s "$1/rootfs/bin" 2>/dev/null
	for link in "$1"/rootfs/bin/*; do [ -L "$link" ] && ln -sf busybox "$link"; done
	pack_image "$1" busybox
}

finish() {
	timeout 60 "$program" delete --all >/dev/null 2>&1
	rm -rf "$work"
	echo "1..$number"
	[ $failures = 0 ]
	exit
}
trap finish EXIT

# What a cluster could leave on the machine, to be compared before and after.
machine() {
	ip -o link | awk -F': ' '{print $2}' | sed 's/@.*//'
	ip route
	nft list tables 2>/dev/null
	awk '{print $5}' /proc/self/mountinfo
	find /sys/fs/cgroup -maxdepth 4 -path "*/monokube/$P*" -type d 2>/dev/null
	pgrep -f "$work" | while read -r pid; do tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null; echo; done | grep -E 'monokube (node|server)'
}
