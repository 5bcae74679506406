"""The recorded answers of ../data/api-v1.36/live, replayed: what defaults.json and invalid.jsonl hold for the kinds of the path.

They were recorded by another program under other names for what is random, in the namespace "facts"; normal() here brings both
sides to one form. STAGE is what stood there when they were recorded.
"""

import json
import os
import re

import catalogue
import corpus
import normal as rules

DATA = os.path.join(catalogue.DATA, "live")
NAME = "live.jsonl"  # as a file of the corpus
PATH = ("pods nodes namespaces configmaps secrets services endpoints serviceaccounts events leases deployments replicasets "
        "endpointslices ipaddresses servicecidrs").split()
POD = {"containers": [{"name": "c", "image": "img"}]}
SET = {"selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "a"}}, "spec": POD}}
DONE = ["done -"]  # the answer to what only has to be there
CORE, APPS = "/api/v1/namespaces/facts/", "/apis/apps/v1/namespaces/facts/"
BUDGETS = "/apis/policy/v1/namespaces/facts/poddisruptionbudgets"
STAGE = (
    ("/api/v1/namespaces", {"metadata": {"name": "facts"}}),
    (CORE + "serviceaccounts", {"metadata": {"name": "default"}}),
    (CORE + "pods", {"metadata": {"name": "fixed"}, "spec": POD}),
    (CORE + "pods", {"metadata": {"name": "bound"}, "spec": dict(POD, nodeName="facts-node")}),
    ("/api/v1/nodes", {"metadata": {"name": "facts-node"}}),
    (CORE + "configmaps", {"metadata": {"name": "here"}, "data": {"k": "v"}}),
    (CORE + "configmaps/here?fieldManager=first&force=1",
     {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "here"}, "data": {"k": "applied"}}),
    (CORE + "configmaps", {"metadata": {"name": "frozen"}, "data": {"k": "v"}, "immutable": True}),
    (CORE + "secrets", {"metadata": {"name": "frozen"}, "data": {"k": "dg=="}, "immutable": True}),
    (CORE + "secrets", {"metadata": {"name": "here"}, "data": {"k": "dg=="}}),
    (CORE + "services", {"metadata": {"name": "here"}, "spec": {"clusterIP": "10.96.9.9", "ports": [{"port": 80}]}}),
    (CORE + "services", {"metadata": {"name": "node-port"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30999}]}}),
    (APPS + "deployments", {"metadata": {"name": "fixed"}, "spec": SET}),
    (APPS + "replicasets", {"metadata": {"name": "here"}, "spec": SET}),
    ("/api/v1/namespaces", {"metadata": {"name": "facts-end"}}),
    ("/api/v1/namespaces/facts-end", None),
    (CORE + "pods", {"metadata": {"name": "guarded", "labels": {"pdb": "strict"}}, "spec": dict(POD, nodeName="facts-node")}),
    (CORE + "pods/guarded/status", {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
    (BUDGETS, {"metadata": {"name": "strict"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"pdb": "strict"}}}}),
    (BUDGETS + "/strict/status", {"status": {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1,
                                             "expectedPods": 1}}),
)


def resource(target):
    """The resource that a request is to, without subresources."""
    parts = target.split("?")[0].strip("/").split("/")
    at = 2 if parts[0] == "api" else 3
    if len(parts) > at + 2 and parts[at] == "namespaces" and parts[at + 2] not in ("status", "finalize"):
        at += 2
    return parts[at] if len(parts) > at else ""


def expanded(value):
    """'<x*1048577>' stands for so many characters, {"<9 times>": x} for so many items."""
    if isinstance(value, dict):
        times = re.fullmatch(r"<(\d+) times>", next(iter(value), ""))
        return [expanded(value[times.group()])] * int(times.group(1)) if times else {key: expanded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [expanded(one) for one in value]
    return re.sub(r"<(.)\*(\d+)>", lambda match: match.group(1) * int(match.group(2)), value) if isinstance(value, str) else value


SAME = ((r"<suffix>", "<random>"), (r"<node-port>", "<port>"), (r"<cluster-ip>", "<ip>"), (r"<microtime>", "<time>"),
        (r"X509SHA256=<sha256>", "X509SHA256=<key>"), (r"\b(g-|A_)" + rules.RANDOM + r"\b", r"\1<random>"),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"), (r"<(rv|token|jwt)>", "<>"))


def plain(lines):
    """Lines of an answer in the form that both sides have."""
    out = []
    for line in lines:
        for pattern, text in SAME:
            line = re.sub(pattern, text, line)
        out.append(line)
    return out


def step(title, method, target, headers, body):
    out = corpus.Step(title)
    out.method, out.target = method, target
    given = {name.lower() for name in headers}
    out.headers = [(name, text) for name, text in headers.items() if text is not None]
    out.headers += [] if "user-agent" in given else [("User-Agent", "")]
    if body is not None:
        out.body = [expanded(body) if isinstance(body, str) else json.dumps(expanded(body))]
    return out


def answer(code, headers, body):
    media = next((text for name, text in headers if name.lower() == "content-type"), "-")
    warnings = ["warning: " + rules.normal(text) for name, text in headers if name.lower() == "warning"]
    body = [] if body == "" else body.splitlines() if isinstance(body, str) else [json.dumps(rules.normal(body), ensure_ascii=False)]
    return plain(["%d %s" % (code, media)] + warnings + body)


def created():
    for one in json.load(open(DATA + "/defaults.json", encoding="utf-8"))["create"]:
        if resource(one["path"]) in PATH:
            out = step("created " + one["name"], "POST", one["path"], {}, one["object"])
            out.want = answer(one["code"], [("Content-Type", "application/json")], one["answer"])
            yield out


def refused():
    times = {}
    for line in open(DATA + "/invalid.jsonl", encoding="utf-8"):
        one = json.loads(line)
        n = times[one["about"]] = times.get(one["about"], 0) + 1
        request, response = one["request"], one["response"]
        if resource(request["path"]) in PATH:
            out = step(one["about"] + (" %d" % n if n > 1 else ""), request["method"], request["path"], request["headers"], request.get("body"))
            out.stranger = request.get("anonymous", False)
            out.want = answer(response["code"], response["headers"], response["body"])
            yield out


def seen(one, lines):
    """Our answer in the form of what was recorded: without headers where none were, and of what only has to be there, that it is."""
    lines = [line for line in plain(lines) if not line.startswith(("warning: ", "allow: ", "retry-after: ")) or line in one.want]
    return lines if one.want != DONE else [line for line in DONE if lines[0].startswith("20")] or lines


def staged(i, target, value):
    """A step that makes something: a POST, what is named otherwise being applied, patched or deleted."""
    kind = "apply-patch+yaml" if "?" in target else "merge-patch+json" if target.endswith("/status") else None
    method = "DELETE" if value is None else "PATCH" if kind else "POST"
    out = step("stage %d" % i, method, target, {"Content-Type": "application/" + kind} if kind else {}, value)
    out.want = DONE
    return out


def load(_):
    told = sorted(list(created()) + list(refused()), key=lambda one: one.target.endswith("/eviction"))  # the pod may be gone then
    return [], [staged(i, target, value) for i, (target, value) in enumerate(STAGE)] + told
