"""Each kind of the catalogue with only its required fields, and with each optional scalar explicitly zero.

The requests are made from the catalogue and from live/defaults.json, which has one or more objects of each kind:

    kind only        the name, and what the catalogue says is required
    object           each object of live/defaults.json
    object zeros     it with all optional scalars of its structures explicitly zero
    object .a.b      it with one: each scalar of each type once

each sent and answered as JSON and as protobuf. The answers are in zero.jsonl, those of the last two as what differs from the object's.
"""

import base64
import copy
import json
import os

import catalogue
import corpus
import normal

here = os.path.dirname(os.path.abspath(__file__))
ANSWERS = here + "/zero.jsonl"
PROTOBUF = "application/vnd.kubernetes.protobuf"
FORMS = {"jj": (False, False), "pp": (True, True), "jp": (False, True), "pj": (True, False)}
# What a required field of that name holds; others by their type.
WORDS = {"port": 80, "image": "img", "topologyKey": "zone", "cidr": "10.0.0.0/8"}
SAMPLES = {"string": "x", "bool": True, "int32": 1, "int64": 1, "float64": 1, "uint8": "eA=="}


def sample(field, depth=0):
    """A value for a required field."""
    if field.shape == "map":
        return {}
    if field.name in WORDS and field.shape != "slice":
        return WORDS[field.name]
    if field.is_struct():
        value = required(field.elem, depth + 1) if depth < 5 else {}
    elif field.elem in catalogue.LEAVES:
        value = "2020-01-01T00:00:00Z" if field.zero() is None else catalogue.LEAVES[field.elem]
    elif catalogue.opaque(field.elem):
        value = {}
    else:
        value = SAMPLES[field.elem]
    return [value] if field.shape == "slice" else value


def required(name, depth=0):
    return {field.name: sample(field, depth) for field in catalogue.TYPES[name].values() if field.required}


def structures(name, value, path=()):
    """(type, path, structure) of all that are there."""
    yield name, path, value
    for field in catalogue.TYPES[name].values():
        if field.name not in value or not field.is_struct():
            continue
        below = value[field.name]
        parts = enumerate(below) if field.shape == "slice" else below.items() if field.shape == "map" else [(None, below)]
        for key, one in parts:
            yield from structures(field.elem, one, path + ((field.name,) if key is None else (field.name, key)))


def optional(name, value):
    """The optional scalars of a type that a value does not have, lists and maps with them."""
    for field in catalogue.TYPES[name].values():
        if not field.required and not field.is_struct() and not catalogue.opaque(field.elem) and field.name not in ("kind", "apiVersion"):
            yield field


def at(value, path):
    for key in path:
        value = value[key]
    return value


def put(value, path, name, what):
    value = copy.deepcopy(value)
    at(value, path)[name] = what
    return value


def absent(name, value, path, seen):
    """(path, structure to put there) for optional structures that are not there and whose type no object had."""
    for field in catalogue.TYPES[name].values():
        if field.is_struct() and not field.required and field.name not in value and field.elem not in seen:
            seen.add(field.elem)
            yield path, field


def objects():
    """(title, target, object): the base objects."""
    facts = json.load(open(os.path.join(catalogue.DATA, "live/defaults.json"), encoding="utf-8"))
    kinds = set()
    for one in facts["create"]:
        value = json.loads(json.dumps(one["object"]).replace('"facts"', '"t-zero"'))
        target = one["path"].replace("/facts/", "/{ns}/")
        key = (value.get("apiVersion"), value.get("kind"))
        if key not in catalogue.KINDS or "/fixed/" in target or one["name"] in ("TokenRequest", "ConfigMap generateName"):
            continue
        target += "" if "dryRun" in target else "?dryRun=All"
        if key not in kinds:
            kinds.add(key)
            bare = dict(apiVersion=key[0], kind=key[1], metadata={"name": "x"} if "metadata" in value else {})
            yield "%s %s only" % key, target, dict(required(catalogue.KINDS[key]), **bare)
        yield one["name"], target, value


def variants(value, seen, types, bare):
    """(what, object) of one base object; the one that has nothing to spare (bare) is seldom valid, so others carry the single ones."""
    name = catalogue.KINDS[value["apiVersion"], value["kind"]]
    parts = list(structures(name, value))
    every = value
    for kind, path, one in parts:
        for field in optional(kind, one):
            if field.name not in one:
                every = put(every, path, field.name, field.zero())
    yield "zeros", every
    if bare:
        return
    types.update(part[0] for part in parts)
    singles = [(kind, path, one, ()) for kind, path, one in parts]
    for kind, path, one in parts:
        for where, field in absent(kind, one, path, types):
            new = required(field.elem)
            singles.append((field.elem, where, new, field))
    for kind, path, one, field in singles:
        for leaf in optional(kind, one):
            if (kind, leaf.name) in seen or leaf.name in one:
                continue
            seen.add((kind, leaf.name))
            yield spelled(path, field, leaf), changed(value, path, one, field, leaf)


def spelled(path, field, leaf):
    return "".join("." + str(key) for key in path + ((field.name,) if field else ()) + (leaf.name,))


def changed(value, path, one, field, leaf):
    if not field:
        return put(value, path, leaf.name, leaf.zero())
    new = dict(one, **{leaf.name: leaf.zero()})
    return put(value, path, field.name, [new] if field.shape == "slice" else {"x": new} if field.shape == "map" else new)


def step(title, target, value, form):
    body, answer = FORMS[form]
    out = corpus.Step(title + " " + form)
    out.method, out.target = "POST", target
    out.headers = [("Accept", PROTOBUF if answer else "application/json")]
    if body:
        out.headers.append(("Content-Type", PROTOBUF))
        out.body, out.encoded = [base64.b64encode(catalogue.protobuf(value)).decode()], True
    else:
        out.body = [json.dumps(value, ensure_ascii=False)]
    return out


def cases():
    """(step, title of the step that its answer is told from)"""
    seen, types = set(), set()
    for title, target, value in objects():
        for form in FORMS:
            yield step(title, target, value, form), None
        for what, one in variants(value, seen, types, title.endswith(" only")):
            for form in FORMS if what == "zeros" else ("jj", "pp"):
                yield step(title + " " + what, target, one, form), title + " " + form


# --- answers told as what differs from another's ---


def named(tree):
    """A protobuf message, a list of [number, value], with its numbers as keys, so that one field more moves no other."""
    if isinstance(tree, dict):
        return {key: named(value) for key, value in tree.items()}
    if not isinstance(tree, list):
        return tree
    if not all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], int) for one in tree):
        return [named(one) for one in tree]
    out = {}
    for number, value in tree:
        again = sum(1 for key in out if key.split("#")[0] == str(number))
        out["%d#%d" % (number, again) if again else str(number)] = named(value)
    return out


def leaves(value, path=""):
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    out = {}
    for key, one in parts:
        out.update(leaves(one, "%s.%s" % (path, key)))
    return out or {path: value}


STATUS = {2: "status", 3: "message", 4: "reason", 5: "details", 6: "code"}
DETAILS = {1: "name", 2: "group", 3: "kind", 4: "causes", 5: "retryAfterSeconds", 6: "uid"}
CAUSE = {1: "reason", 2: "message", 3: "field"}


def status(line):
    """A Status in protobuf as the JSON that it stands for: its causes have no order (normal.py)."""
    try:
        (_, head), (_, body), *_ = json.loads(line)
    except ValueError:
        return line
    if [2, "Status"] not in head:
        return line
    value = {"kind": "Status", "apiVersion": "v1", "metadata": {}, **{STATUS[n]: one for n, one in body if n in STATUS and one}}
    details = value.get("details", [])
    causes = [{CAUSE[n]: one for n, one in cause if one} for n, cause in details if n == 4]
    if not details:
        return json.dumps(normal.normal(value), ensure_ascii=False)
    value["details"] = {DETAILS[n]: one for n, one in details if n != 4 and one}
    if causes:
        value["details"]["causes"] = causes
    return json.dumps(normal.normal(value), ensure_ascii=False)


def ports(tree):
    """Ports that the server chose, in protobuf (normal.py knows them by name)."""
    if isinstance(tree, list):
        return [ports(one) for one in tree]
    if isinstance(tree, dict):
        return {key: ports(one) for key, one in tree.items()}
    return "<port>" if type(tree) is int and 30000 <= tree <= 33000 else tree


def seen(lines):
    """An answer's lines as they are compared."""
    if "protobuf" not in lines[0]:
        return lines
    try:
        return lines[:-1] + [status(json.dumps(ports(json.loads(lines[-1])), ensure_ascii=False))]
    except ValueError:
        return lines


def told(lines, base):
    """An answer's lines, its body as {path: leaf} where it differs from the base's; in full when its head is another."""
    if base is None or lines[0] != base[0] or "Failure" in lines[-1]:
        return lines
    try:
        (*head, mine), other = lines, base[-1]
        mine, other = leaves(named(json.loads(mine))), leaves(named(json.loads(other)))
    except ValueError:
        return lines
    changes = {path: mine.get(path, "(absent)") for path in {**other, **mine} if mine.get(path, "(absent)") != other.get(path, "(absent)")}
    return head + [json.dumps(changes, ensure_ascii=False)]


def load(path):
    """All cases with their answers."""
    known = {}
    if os.path.exists(path):
        for line in open(path, encoding="utf-8"):
            title, *lines = json.loads(line)
            known[title] = lines
    steps = []
    for one, base in cases():
        one.base, one.want = base, known.get(one.title, [])
        steps.append(one)
    return [], steps


def save(path, _, steps):
    with open(path, "w", encoding="utf-8") as file:
        for one in steps:
            file.write(json.dumps([one.title] + one.want, ensure_ascii=False, separators=(",", ":")) + "\n")
