"""What may differ between two right answers, taken out by ten rules; and answers as text that can be compared and kept.

Each rule is a function from (key, value) to the value's normal form; it leaves alone what it does not know. Strings inside
of protobuf go through the same rules.
"""

import base64
import json
import re
import time

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(\.\d{6})?Z")
VERSION = re.compile(r"(resource ?version\w*[\\\"]*: ?[\\\"]*|current: |ResourceVersion in [\w ]+(?: \(|: ))\d+( \(\d+\))?", re.I)
JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
ADDRESS = re.compile(r"\b10\.(9[6-9]|10\d|11[01])\.\d+\.\d+\b|\b(203\.0\.113\.1|192\.168\.49\.1):\d+")
# What the apiserver gives out at random ends in five of these.
RANDOM = "[bcdfghjklmnpqrstvwxz2456789]{5}"


def uid(_, value):
    """1. Uids are random, and so are the keys of clients."""
    return re.sub("X509SHA256=[0-9a-f]{64}", "X509SHA256=<key>", UUID.sub("<uid>", value)) if isinstance(value, str) else value


def now(_, value):
    """2. Times of these days are the time of the request."""

    def sub(match):
        then = time.mktime(time.strptime(match.group(1), "%Y-%m-%d"))
        if abs(time.time() - then) > 3 * 86400:
            return match.group(0)
        return "<microtime>" if match.group(2) else "<time>"

    if isinstance(value, str):
        return TIME.sub(sub, value)
    # Seconds since 1970 in protobuf.
    if isinstance(value, int) and abs(value - time.time()) < 3 * 86400:
        return "<time>"
    return value


def version(key, value):
    """3. Resource versions count otherwise."""
    if key in ("resourceVersion", "rv") and isinstance(value, str) and re.fullmatch(r"[1-9]\d*", value):
        return "<rv>"
    return VERSION.sub(lambda m: m.group(1) + "<rv>", value) if isinstance(value, str) else value


def suffix(_, value):
    """4. Names made by the server end in five random characters."""
    if isinstance(value, str):
        return re.sub(r"\b(kube-api-access-|gen-(?:[\w-]*-)?)" + RANDOM + r"\b", r"\1<random>", value)
    return value


def token(key, value):
    """5. Continue tokens and tokens of service accounts mean something to their maker only."""
    if key == "continue" and value:
        return "<continue>"
    return JWT.sub("<jwt>", value) if isinstance(value, str) else value


def allocated(key, value):
    """6. Addresses and ports that the server chose, and its own."""
    if key in ("nodePort", "healthCheckNodePort") and isinstance(value, int) and value >= 30000:
        return "<port>"
    return ADDRESS.sub("<ip>", value) if isinstance(value, str) else value


def owners(key, value):
    """7. The order of managedFields is that of their times, which are the same here."""
    if key == "managedFields" and isinstance(value, list):
        return sorted(value, key=lambda one: json.dumps(one, sort_keys=True))
    return value


def causes(key, value):
    """8. Causes are found in the order of Go's maps; the message that lists them follows them."""
    if key == "causes" and isinstance(value, list):
        return sorted(value, key=lambda one: json.dumps(one, sort_keys=True))
    if key == "message" and isinstance(value, str):
        value = re.sub(r"\n@@ .*?\n(?=\]?$)", "", value, flags=re.S)  # a diff of Go's structs
        match = re.fullmatch(r"(.*?: )\[(.*)\]", value, re.S)
        if match:
            return match.group(1) + "[" + ", ".join(sorted(match.group(2).split(", "))) + "]"
    return value


def build(key, value):
    """9. Which program it is: the fields of /version, digests of documents, and the prose about columns."""
    if key == "columnDefinitions" and isinstance(value, list):
        return [dict(one, description="<prose>") if "description" in one else one for one in value]
    if key in ("gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler"):
        return "<build>"
    if key == "serverRelativeURL" and isinstance(value, str):
        return re.sub(r"hash=\w+", "hash=<hash>", value)
    return value


def age(key, value):
    """10. Ages in the cells of a table."""
    if key == "cells" and isinstance(value, list):
        return ["<age>" if isinstance(c, str) and re.fullmatch(r"\d+(ms|s|m\d*s?)", c) else c for c in value]
    return value


RULES = (uid, now, version, suffix, token, allocated, owners, causes, build, age)
assert len(RULES) <= 10


def normal(value, key=""):
    """value with all rules applied, inside out."""
    if isinstance(value, dict):
        value = {k: normal(v, k) for k, v in value.items()}
    elif isinstance(value, list):
        value = [normal(v, key if not isinstance(v, (dict, list)) else "") for v in value]
    for rule in RULES:
        value = rule(key, value)
    return value


# --- protobuf, without knowing the types ---


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def message(data):
    """A list of [number, value]; raises when it is none."""
    fields, at = [], 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0 or number > 20000:
            raise ValueError
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 2:
            size, at = varint(data, at)
            if at + size > len(data):
                raise ValueError
            value, at = guess(data[at:at + size]), at + size
        elif wire == 1:
            value, at = data[at:at + 8].hex(), at + 8
        else:
            raise ValueError
        fields.append([number, value])
    return fields


def guess(data):
    try:
        text = data.decode()
        if text == "" or text.isprintable():
            return "<rv>" if re.fullmatch(r"[1-9]\d{0,6}", text) else text
        if data[:1] == b"{" and text.strip().isprintable():
            return json.loads(text)
    except ValueError:
        pass
    try:
        return message(data)
    except (ValueError, IndexError):
        return base64.b64encode(data).decode()


def protobuf(body):
    if body[:4] != b"k8s\0":
        return None
    return message(body[4:])


# --- a whole answer ---


def lines(body, media):
    """The body as lines of normal text: JSON values one a line, other text as it is."""
    if media.startswith("application/vnd.kubernetes.protobuf"):
        tree = protobuf(body)
        if tree is not None:
            return [json.dumps(normal(tree))]
        return ["base64:" + base64.b64encode(body).decode()]
    text = body.decode(errors="replace")
    try:
        values = [json.loads(text)]
    except ValueError:
        try:
            values = [json.loads(line) for line in text.splitlines()]
        except ValueError:
            return [normal(line) for line in text.splitlines()]
    return [json.dumps(normal(value), ensure_ascii=False) for value in values]


def answer_text(answer):
    """How an answer is kept: status and media type, warnings, body."""
    media = answer.header("content-type")
    out = ["%d %s" % (answer.status, media or "-")]
    out += ["warning: " + normal(text) for text in answer.headers.get("warning", [])]
    for name in ("allow", "retry-after"):
        if answer.header(name):
            out.append(name + ": " + answer.header(name))
    return out + lines(answer.body, media)
