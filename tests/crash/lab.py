"""A cluster to be killed: start, kill, ask; pods whose program tells on whoever runs beside it. TAP on stdout.

    lab = Lab(program)             # MONOKUBE_HOME of its own, image "worker" loaded
    lab.ok("what must be true", function, arguments…)      # a function that raises has failed
    lab.finish()
"""
import base64, collections, ctypes, hashlib, http.client, io, json, os, shutil, signal, socket, ssl, subprocess, sys, tarfile, tempfile, threading
import time, traceback

def worker_image(path, worker):
    """A docker archive of one file (tests/crash/worker.c)."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as t:
        t.add(worker, arcname="bin/worker")
    raw = layer.getvalue()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["worker:1"], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as t:
        for name, data in (("layer.tar", raw), ("config.json", config), ("manifest.json", manifest)):
            i = tarfile.TarInfo(name)
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))


class Failure(Exception):
    pass


def check(condition, text, *more):
    if not condition:
        raise Failure(text + "".join("\n" + (m if isinstance(m, str) else json.dumps(m)) for m in more))


def until(what, seconds, condition, *arguments):
    """Asks again until it is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition(*arguments)
        if value:
            return value
        check(time.monotonic() < end, "not within %s s: %s" % (seconds, what))
        time.sleep(0.01)


def condition(got, type):
    return next((c["status"] for c in got.get("status", {}).get("conditions", []) if c["type"] == type), None)


class Forward:
    """Looks at every state of every pod and node, and notes what went back."""
    PHASES = {"Pending": 0, "Running": 1, "Succeeded": 2, "Failed": 2}

    def __init__(self):
        self.seen, self.wrong, self.states = {}, [], 0

    def containers(self, pod):
        return {c["name"]: c for kind in ("initContainerStatuses", "containerStatuses") for c in pod["status"].get(kind, [])}

    def compare(self, was, now):
        if was["kind"] == "Node":
            yield condition(was, "Ready") == "True" and condition(now, "Ready") != "True", "is not ready any more"
            return
        before, after = was["status"].get("phase", "Pending"), now["status"].get("phase", "Pending")
        yield self.PHASES[after] < self.PHASES[before] or self.PHASES[before] == 2 and after != before, "was %s, is %s" % (before, after)
        yield before == "Running" and was["status"].get("podIP") != now["status"].get("podIP"), "has another address"
        old, new = self.containers(was), self.containers(now)
        for name in old:
            yield name not in new, "forgot " + name
            a, b = old[name], new.get(name, old[name])
            yield b["restartCount"] < a["restartCount"], name + " counts back"
            yield a.get("containerID") == b.get("containerID") and "terminated" in a["state"] and "terminated" not in b["state"], name + " rose again"
            yield "running" in a["state"] and "waiting" in b["state"], name + " ran and waits"
        ended = any("running" not in c["state"] for c in self.containers(now).values() if c["name"] != "init")
        yield (condition(was, "Ready") == "True" and condition(now, "Ready") != "True" and not ended
               and "deletionTimestamp" not in now["metadata"]), "is not ready any more"

    def short(self, got):
        parts = {c: s["state"] for c, s in self.containers(got).items()} if got["kind"] == "Pod" else {}
        return json.dumps([got["status"].get("phase"), {c["type"]: c["status"] for c in got["status"].get("conditions", [])}, parts])

    def look(self, got):
        self.states += 1
        was = self.seen.get(got["metadata"]["uid"])
        for wrong, what in self.compare(was, got) if was else []:
            if wrong:
                self.wrong.append("\n".join(["%s %s" % (got["metadata"]["name"], what)] + [self.short(o) for o in (was, got)]))
        self.seen[got["metadata"]["uid"]] = got

    def check(self):
        check(self.states > 10, "hardly anything was seen")
        check(not self.wrong, "%d times something went back" % len(self.wrong), *self.wrong[:3])

    def planted(self):
        """A test of this test."""
        def pod(phase, state, id="a", count=0, ready="True"):
            return {"kind": "Pod", "metadata": {"uid": "u", "name": "p"},
                    "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}],
                               "containerStatuses": [{"name": "main", "containerID": id, "restartCount": count, "state": {state: {}}}]}}
        good = pod("Running", "running")
        for was, now, seen in ((good, good, False), (pod("Pending", "waiting", ready="False"), good, False), (good, pod("Pending", "waiting"), True),
                               (good, pod("Running", "running", ready="False"), True), (pod("Failed", "terminated"), pod("Running", "running", "b"), True),
                               (pod("Running", "terminated"), good, True), (pod("Running", "running", "b", 2), pod("Running", "running", "b", 1), True)):
            check(any(wrong for wrong, _ in self.compare(was, now)) == seen, "judged wrongly", was, now)


class Watching:
    def __init__(self, lab, forward):
        self.forward, self.over, self.connections, self.threads = forward, False, [], []
        for path in ("/api/v1/pods", "/api/v1/nodes"):
            connection = lab.connect(timeout=None)
            connection.request("GET", path + "?watch=1")
            self.connections.append(connection)
            self.threads.append(threading.Thread(target=self.follow, args=(path, connection.getresponse())))
        for thread in self.threads:
            thread.start()

    def follow(self, path, reply):
        try:
            for line in reply:
                self.forward.look(json.loads(line)["object"])
        except (OSError, ValueError, http.client.HTTPException):
            pass
        if not self.over:
            self.forward.wrong.append("the watch of %s ended" % path)

    def end(self):
        self.over = True
        for connection in self.connections:
            connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


class Lab:
    def __init__(self, program, image=True):
        if subprocess.run("[ $(readlink /proc/self/ns/net) = $(readlink /proc/1/ns/net) ]", shell=True, stderr=subprocess.DEVNULL).returncode == 0:
            sys.exit("Bail out! run this by 'unshare --net --mount'")
        os.environ.pop("SUDO_USER", None)
        for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
            del os.environ[name]
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.program = os.path.realpath(program)
        self.work = tempfile.mkdtemp(prefix="monokube-crash-")
        self.name = "crash-%d" % os.getpid()
        self.home = self.work + "/home"
        self.profile = self.home + "/profiles/" + self.name
        self.root = "%s/nodes/%s/root" % (self.profile, self.name)
        self.number = self.failures = 0
        self.connection = self.host = None
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"): # of a build with sanitizers
            os.environ[name] = "log_path=%s/found:print_stacktrace=1" % self.work
        os.environ.update(MONOKUBE_HOME=self.home, KUBECONFIG=self.work + "/kubeconfig", HOME=self.work, MONOKUBE_DIE=self.work)
        self.ok("start", self.start)
        if self.failures:
            self.finish()
        self.read_kubeconfig()
        if image:
            # WORKER: of another build, when that of this one cannot be linked statically
            worker_image(self.work + "/worker.tar", os.environ.get("WORKER", os.path.dirname(self.program) + "/worker"))
            self.ok("the image is loaded", self.monokube, "image", "load", self.work + "/worker.tar")

    def ok(self, what, function, *arguments):
        self.number += 1
        try:
            function(*arguments)
            print("ok %d - %s" % (self.number, what), flush=True)
            return True
        except Exception as e:
            text = str(e) if isinstance(e, Failure) else traceback.format_exc()
            text += "\n" + self.scene()
            self.failures += 1
            print("not ok %d - %s" % (self.number, what))
            print("".join("# %s\n" % line for line in text.split("\n")), end="", flush=True)
            return False

    def scene(self):
        """What a failure is read by: every pod that is not over, what was said of it, and the last lines of the logs."""
        def items(kind):
            return (self.get("/api/v1/namespaces/default/" + kind) or {}).get("items", []) if self.host else []

        events = sorted((e.get("lastTimestamp") or "", e["involvedObject"].get("name", ""), e.get("reason", ""), e.get("message", "")) for e in items("events"))
        return "\n".join(["event " + " ".join(e) for e in events[-15:]] +
                         ["pod %s on %s: %s" % (o["metadata"]["name"], o["spec"].get("nodeName"), json.dumps(o["status"]))
                          for o in items("pods") if o["status"].get("phase") not in ("Failed", "Succeeded")] + [self.log()])

    def nothing_found(self):
        found = [name for name in os.listdir(self.work) if name.startswith("found")]
        check(not found, "".join(open(self.work + "/" + name, errors="replace").read()[:6000] for name in found))

    def finish(self):
        if os.environ.get("KEEP"):
            subprocess.run("cp %s/server.log %s/nodes/%s/node.log %s" % (self.profile, self.profile, self.name, self.work), shell=True)
        subprocess.run([self.program, "delete", "--all"], capture_output=True, timeout=60)
        with open(self.program, "rb") as f:
            sanitized = b"__asan_init" in f.read()
        if sanitized:
            self.ok("the sanitizers found nothing", self.nothing_found)
        if os.environ.get("KEEP"):
            print("# kept: " + self.work)
        else:
            shutil.rmtree(self.work, ignore_errors=True)
        print("1..%d" % self.number)
        sys.exit(1 if self.failures else 0)

    # --- the server

    def monokube(self, *arguments):
        got = subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=60)
        check(got.returncode == 0, "monokube %s: status %d" % (" ".join(arguments), got.returncode), got.stderr, self.log())
        return got.stdout

    def start(self):
        self.monokube("start", "-q", "-p", self.name)

    def log(self):
        try:
            with open(self.profile + "/server.log", errors="backslashreplace") as f:
                return "".join(f.readlines()[-15:])
        except OSError:
            return ""

    def server(self):
        """Its process, or None."""
        try:
            with open(self.profile + "/server.pid") as f:
                pid = int(f.read().split()[0])
            with open("/proc/%d/stat" % pid) as f:
                state = f.read().rsplit(")", 1)[1].split()[0]
            with open("/proc/%d/cmdline" % pid) as f:
                mine = self.profile in f.read()
            return pid if mine and state not in "ZX" else None
        except (OSError, ValueError, IndexError):
            return None

    def dead(self):
        return self.server() is None

    def kill(self):
        pid = self.server()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            until("the server is gone", 5, self.dead)

    def kill_hub(self):
        for pid in [n for n in os.listdir("/proc") if n.isdigit()]:
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    words = f.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "--hub" in words and self.profile + "/hub.sock" in words:
                os.kill(int(pid), signal.SIGKILL)
                return True
        return False

    def connections(self):
        """Descriptors of ours for the server's ends of its connections to node processes and the hub."""
        pid, found = self.server(), []
        pidfd = os.pidfd_open(pid)
        for fd in [int(n) for n in os.listdir("/proc/%d/fd" % pid)]:
            copy = ctypes.CDLL(None).syscall(438, pidfd, fd, 0) # pidfd_getfd
            if copy < 0:
                continue
            try:
                mine = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)
                continue
            try:
                name = mine.getpeername()
            except OSError:
                name = ""
            if isinstance(name, str) and name.endswith(("/node.sock", "/hub.sock")):
                found.append(mine)
            else:
                mine.close()
        os.close(pidfd)
        return found

    def cut(self, dice):
        """One connection ends while both of its ends live: in one direction, or both."""
        all = self.connections()
        if not all: # all were cut, and are just made anew
            return
        try:
            dice.choice(all).shutdown(dice.choice((socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR)))
        except OSError:
            pass # it was cut before, and is about to be closed
        for one in all:
            one.close()

    def watch(self, forward):
        """Everything that pods and nodes become, until end() of what is returned."""
        return Watching(self, forward)

    # --- asking

    def read_kubeconfig(self):
        got = subprocess.run(["kubectl", "config", "view", "--raw", "-o", "json"], capture_output=True, text=True, check=True)
        config = json.loads(got.stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        for name, text in (("ca", cluster["certificate-authority-data"]), ("crt", user["client-certificate-data"]),
                           ("key", user["client-key-data"])):
            with open("%s/%s" % (self.work, name), "wb") as f:
                f.write(base64.b64decode(text))
        self.host, self.port = cluster["server"].rsplit("/", 1)[1].split(":")
        self.tls = ssl.create_default_context(cafile=self.work + "/ca")
        self.tls.load_cert_chain(self.work + "/crt", self.work + "/key")

    def connect(self, timeout=10):
        return http.client.HTTPSConnection(self.host, int(self.port), context=self.tls, timeout=timeout)

    def call(self, method, path, body=None, kind="application/json"):
        """Status and object. A connection that breaks raises OSError or HTTPException: nobody knows what was done."""
        if self.connection is None:
            self.connection = self.connect()
        try:
            self.connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
            reply = self.connection.getresponse()
            data = reply.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        text = data.decode(errors="replace")
        return reply.status, json.loads(text) if "json" in reply.getheader("Content-Type", "") else text

    def get(self, path):
        """The object, or None when it is not there, or nobody answers."""
        try:
            status, got = self.call("GET", path)
        except (OSError, http.client.HTTPException):
            return None
        return got if status == 200 else None

    def must(self, method, path, body=None, kind="application/json"):
        status, got = self.call(method, path, body, kind)
        check(status < 300, "%s %s: %d" % (method, path, status), got)
        return got

    # --- pods

    def pod_path(self, name):
        return "/api/v1/namespaces/default/pods/" + name

    def worker_pod(self, name, finalizer=False, grace=5, restart="Never"):
        def container(which, code, **more):
            return dict({"name": which, "image": "worker:1", "imagePullPolicy": "Never", "command": ["/bin/worker", which, str(code)],
                         "volumeMounts": [{"name": "shared", "mountPath": "/shared"}, {"name": "settings", "mountPath": "/settings"}]}, **more)

        def hook(which):
            return {"exec": {"command": ["/bin/worker", "hook", which]}}

        return {"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "finalizers": ["example.com/look"] if finalizer else []},
                "spec": {"restartPolicy": restart, "terminationGracePeriodSeconds": grace,
                         "volumes": [{"name": "shared", "hostPath": {"path": "/crash/" + name, "type": "DirectoryOrCreate"}},
                                     {"name": "settings", "configMap": {"name": "kube-root-ca.crt"}}],
                         "initContainers": [container("init", 0), container("side", 0, restartPolicy="Always")],
                         "containers": [container("main", 7, lifecycle={"preStop": hook("pre"), "postStart": hook("post")},
                                                  readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1})]}}

    def shared(self, pod, file):
        return "%s/crash/%s/%s" % (self.root, pod, file)

    def let_go(self, pod):
        with open(self.shared(pod, "go"), "w"):
            pass

    def is_ready(self, name):
        pod = self.get(self.pod_path(name)) or {}
        return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))

    def keep_logs(self, pod, uid):
        """A second name for each log file: so that they can be read when the pod is gone."""
        source = "%s/var/log/pods/default_%s_%s" % (self.root, pod, uid)
        for dir, _, files in os.walk(source):
            for file in files:
                target = "%s/kept/%s/%s" % (self.root, pod, os.path.relpath(os.path.join(dir, file), source))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                if not os.path.exists(target):
                    os.link(os.path.join(dir, file), target)

    def logged(self, pod, uid, container):
        """Lines of all its runs: {run: [numbers]}."""
        runs = collections.defaultdict(list)
        files = {}
        for base in ("%s/var/log/pods/default_%s_%s" % (self.root, pod, uid), "%s/kept/%s" % (self.root, pod)):
            dir = base + "/" + container
            for file in os.listdir(dir) if os.path.isdir(dir) else []:
                files[os.stat(os.path.join(dir, file)).st_ino] = os.path.join(dir, file)
        for file in files.values():
            with open(file) as f:
                for line in f:
                    words = line.split()
                    if len(words) == 5 and words[4].isdigit():
                        runs[words[3]].append(int(words[4]))
        return runs

    def runs(self, pod, container):
        """What it said of itself: [(run, lines or None while it has not ended)]."""
        runs = {}
        try:
            with open(self.shared(pod, "runs")) as f:
                for words in [line.split() for line in f if line.split()[0] == container]:
                    check(words[1] != "start" or words[2] not in runs, "a run that started twice: " + words[2])
                    runs[words[2]] = int(words[3]) if words[1] == "end" else None
        except FileNotFoundError:
            pass
        return list(runs.items())

    def hooks(self, pod):
        try:
            with open(self.shared(pod, "hooks")) as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def check_alone(self, pod):
        check(not os.path.exists(self.shared(pod, "twice")), "a container of %s ran beside itself" % pod)

    def check_lines(self, pod, uid, container, killed=False):
        """Each line of each run is there, once, in order; killed: its last run need not have come to its end."""
        runs, logged = self.runs(pod, container), self.logged(pod, uid, container)
        for i, (run, lines) in enumerate(runs):
            if lines is None and killed and i == len(runs) - 1:
                lines = len(logged[run])
            check(lines is not None, "%s: run %d of %s never came to its end" % (pod, i, container), self.log())
            check(logged[run] == list(range(1, lines + 1)), "%s: log of %s: %d lines of %d" % (pod, container, len(logged[run]), lines))

    def check_told(self, name, pod, container, code):
        """It ran at most once, and its exit code is told: its own, or SIGKILL's when it never came to its end. True: it ran."""
        runs = self.runs(name, container)
        check(len(runs) <= 1, "%s: %s ran %d times" % (name, container, len(runs)))
        if not runs:
            return False
        all = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
        end = {s["name"]: s for s in all}.get(container, {}).get("state", {}).get("terminated")
        wanted = code if runs[0][1] is not None else 137
        check(end is not None and end["exitCode"] == wanted and "finishedAt" in end,
              "%s: the end of %s is not told with exit code %d" % (name, container, wanted), all)
        return True

    def check_ended_once(self, name, pod, codes):
        """Each container ran once, wrote all its lines, and its exit code is told."""
        self.check_alone(name)
        for container, code in codes.items():
            check(self.check_told(name, pod, container, code), "%s: %s never ran" % (name, container), pod["status"])
            self.check_lines(name, pod["metadata"]["uid"], container, killed=True)

    def planted(self):
        """A test of the checks: a pod that never was, in order and then with one thing wrong."""
        def world(numbers, code, runs=1, twin=False):
            shutil.rmtree(self.root + "/crash/plant", ignore_errors=True)
            for file, text in [("crash/plant/runs", "".join("main start r%d\nmain end r%d 3\n" % (i, i) for i in range(runs))),
                               ("kept/plant/main/0.log", "".join("t stdout F r0 %d\n" % n for n in numbers))] + [("crash/plant/twice", "")] * twin:
                os.makedirs(os.path.dirname("%s/%s" % (self.root, file)), exist_ok=True)
                with open("%s/%s" % (self.root, file), "w") as f:
                    f.write(text)
            end = {"name": "main", "state": {"terminated": {"exitCode": code, "finishedAt": "now"}}}
            self.check_ended_once("plant", {"metadata": {"uid": "u"}, "status": {"containerStatuses": [end]}}, {"main": 7})

        world([1, 2, 3], 7)
        for wrong in (([1, 3], 7), ([1, 2, 2, 3], 7), ([1, 2, 3], 0), ([1, 2, 3], 7, 2), ([1, 2, 3], 7, 1, True)):
            try:
                world(*wrong)
            except Failure:
                continue
            raise Failure("not seen: %s" % (wrong,))
        shutil.rmtree(self.root + "/kept/plant")

    def check_nothing_left(self, name, uid):
        """Of a pod that is gone: no file, no link, no log."""
        left = [p for p in ("/var/lib/kubelet/pods/" + uid, "/var/log/pods/default_%s_%s" % (name, uid)) if os.path.exists(self.root + p)]
        check(not left, "left of %s: %s" % (name, left))
