"""The corpus: files of steps. A step is

    == what it shows
    > POST /api/v1/namespaces/{ns}/configmaps?dryRun=All
    > Content-Type: application/yaml
    body, as many lines as there are
    < 201 application/json
    < {"kind": ...}

Lines that begin with "#" before the first "==" are a comment. Directives are lines that begin with "@", before the request:

    @save NAME PATH     after this step {NAME} stands for the value at that path of the answer: @save rv metadata.resourceVersion
    @events N           read N lines of the stream and close it
    @repeat N TEXT      the body is that text so many times
    @base64             the body is base64
    @long N             {long} in the body stands for so many letters
    @wait N             so many milliseconds before
"""

import base64
import json
import re


class Step:
    def __init__(self, title):
        self.title = title
        self.method = self.target = None
        self.headers, self.body, self.want = [], [], []
        self.saves, self.events, self.repeat, self.encoded, self.wait = [], None, None, False, 0
        self.stranger = False  # sent without the client's certificate
        self.long = 0
        self.base = None  # the title of an earlier step: the answer is kept as what differs from that one's

    def text(self):
        out = ["== " + self.title]
        out += ["@save %s %s" % save for save in self.saves]
        if self.events is not None:
            out.append("@events %d" % self.events)
        if self.repeat is not None:
            out.append("@repeat %d %s" % self.repeat)
        if self.encoded:
            out.append("@base64")
        if self.long:
            out.append("@long %d" % self.long)
        if self.wait:
            out.append("@wait %d" % self.wait)
        out.append("> %s %s" % (self.method, self.target))
        out += ["> %s: %s" % header for header in self.headers]
        out += self.body
        out += ["< " + line for line in self.want]
        return "\n".join(out) + "\n"

    def payload(self, names):
        if self.repeat is not None:
            return self.repeat[1].encode() * self.repeat[0]
        if not self.body:
            return None
        text = "\n".join(self.body)
        return base64.b64decode(text) if self.encoded else fill(text, {**names, "long": "x" * self.long}).encode()


def fill(text, names):
    return re.sub(r"\{(\w+)\}", lambda m: names.get(m.group(1), m.group(0)), text)


def load(path):
    """(comment lines, steps)"""
    comment, steps = [], []
    for line in open(path, encoding="utf-8").read().split("\n"):
        step = steps[-1] if steps else None
        if line.startswith("== "):
            steps.append(Step(line[3:]))
        elif step is None:
            comment.append(line)
        elif line.startswith("@") and step.method is None:
            directive(step, line)
        elif line.startswith("> ") and not step.body:
            if step.method is None:
                step.method, step.target = line[2:].split(" ", 1)
            else:
                step.headers.append(tuple(line[2:].split(": ", 1)))
        elif line.startswith("< "):
            step.want.append(line[2:])
        elif line != "":
            step.body.append(line)
    return comment, steps


def directive(step, line):
    word, _, rest = line[1:].partition(" ")
    if word == "save":
        step.saves.append(tuple(rest.split(" ")))
    elif word == "events":
        step.events = int(rest)
    elif word == "repeat":
        count, _, text = rest.partition(" ")
        step.repeat = (int(count), text)
    elif word == "base64":
        step.encoded = True
    elif word == "long":
        step.long = int(rest)
    elif word == "wait":
        step.wait = int(rest)
    else:
        raise ValueError("what is '%s'?" % line)


def save(path, comment, steps):
    with open(path, "w", encoding="utf-8") as file:
        head = "\n".join(comment).strip()
        file.write(head + "\n\n" if head else "")
        file.write("\n".join(step.text() for step in steps))


def value_at(body, path):
    """metadata.resourceVersion, items.0.metadata.name of a JSON text; of a stream the first line."""
    try:
        value = json.loads(body)
    except ValueError:
        value = json.loads(body.decode().splitlines()[0])
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return str(value)
