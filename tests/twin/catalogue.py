"""The catalogue of upstream's types, as tests/data/api-v1.36/fields.tsv has it; and protobuf written by it."""

import base64
import datetime
import json
import os
import struct

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/api-v1.36")
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
# Types that are one value in JSON, and their zero. The zero time is null.
LEAVES = {"io.k8s.apimachinery.pkg.api.resource.Quantity": "0", "io.k8s.apimachinery.pkg.util.intstr.IntOrString": 0, META + "Time": None,
          META + "MicroTime": None, META + "Duration": "0s", META + "FieldsV1": {}, "io.k8s.apimachinery.pkg.runtime.RawExtension": {}}
ZEROS = {"string": "", "bool": False, "int32": 0, "int64": 0, "float64": 0, "uint8": ""}
JSON_TYPES = ("JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")


class Field:
    def __init__(self, row):
        self.owner, self.name, self.shape, self.elem, self.proto = row[0], row[1], row[3], row[5] or "uint8", row[7]
        self.number, self.required = row[6], row[9] == "required"
        self.json = row[8]

    def list_of_lists(self):
        return self.proto in ("Verbs", "map<string,ExtraValue>")

    def is_struct(self):
        return self.elem in TYPES and self.elem not in LEAVES and not opaque(self.elem)

    def zero(self):
        if self.shape == "slice":
            return []
        if self.shape == "map":
            return {}
        return LEAVES[self.elem] if self.elem in LEAVES else ZEROS.get(self.elem)


def opaque(elem):
    return elem.rsplit(".", 1)[-1] in JSON_TYPES and "apiextensions" in elem


def read(name):
    for line in open(os.path.join(DATA, name), encoding="utf-8"):
        if not line.startswith("#"):
            yield line.rstrip("\n").split("\t")


TYPES = {}
for _row in read("fields.tsv"):
    TYPES.setdefault(_row[0], {})[_row[1]] = Field(_row)
for _fields in list(TYPES.values()):  # a structure without fields has no rows
    for _field in _fields.values():
        if _field.elem.startswith("io.") and _field.elem not in LEAVES and not opaque(_field.elem):
            TYPES.setdefault(_field.elem, {})
KINDS = {(version if group == "-" else group + "/" + version, kind): name for group, version, kind, name in read("kinds.tsv")}


# --- writing ---


def varint(value):
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def piece(number, value):
    """A field of any wire type: int and bool, float, bytes."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def moment(text):
    if text is None:
        return b""
    whole, _, rest = text.rstrip("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return piece(1, int(seconds)) + piece(2, int((rest or "0").ljust(9, "0")))


def leaf(elem, value):
    """The bytes of a value that is no structure of the catalogue; an int or float stays one."""
    last = elem.rsplit(".", 1)[-1]
    if elem in LEAVES:
        if last == "IntOrString":
            number = isinstance(value, int)
            return piece(1, 0 if number else 1) + piece(2, value if number else 0) + piece(3, b"" if number else value.encode())
        if last in ("Time", "MicroTime"):
            return moment(value)
        if last == "Duration":
            return piece(1, 0 if value == "0s" else int(float(value.rstrip("s")) * 1e9))
        return piece(1, (value if isinstance(value, str) else json.dumps(value)).encode())
    if elem == "float64":
        return float(value)
    if elem == "uint8":
        return base64.b64decode(value)
    return value.encode() if isinstance(value, str) else int(value)


def schema_or(elem, value):
    """The four types of apiextensions that are one of several things in JSON."""
    last, schema = elem.rsplit(".", 1)[-1], elem.rsplit(".", 1)[0] + ".JSONSchemaProps"
    if last == "JSON":
        return piece(1, json.dumps(value).encode())
    if isinstance(value, bool):
        return piece(1, value)
    if isinstance(value, list):
        return b"".join(piece(2, one.encode() if isinstance(one, str) else message(schema, one)) for one in value)
    allows = piece(1, True) if last == "JSONSchemaPropsOrBool" else b""
    return allows + piece(2 if allows else 1, message(schema, value))


def one_value(field, value):
    if field.list_of_lists():
        return b"".join(piece(1, one.encode()) for one in value)
    if opaque(field.elem):
        return schema_or(field.elem, value)
    return message(field.elem, value) if field.is_struct() else leaf(field.elem, value)


def field_bytes(field, number, value):
    if field.shape == "map":
        return b"".join(piece(number, piece(1, key.encode()) + piece(2, one_value(field, one))) for key, one in sorted(value.items()))
    if field.shape == "slice" and not field.list_of_lists():
        return b"".join(piece(number, one_value(field, one)) for one in value)
    return piece(number, one_value(field, value))


def message(name, value):
    """The fields that are there, also when they are zero."""
    out, inlined = b"", {}
    for field in TYPES[name].values():
        if field.name not in value or field.number.startswith("TypeMeta@-"):
            continue
        path = [int(part.rsplit("@", 1)[-1]) for part in field.number.split(".")]
        data = field_bytes(field, path[-1], value[field.name])
        if len(path) == 1:
            out += data
        else:
            inlined.setdefault(tuple(path[:-1]), []).append(data)
    for path, parts in inlined.items():
        data = b"".join(parts)
        # What an inlined structure inlines itself: its own bytes, in one more wrapper.
        for number in reversed(path):
            data = piece(number, data)
        out += data
    return out


def protobuf(value):
    """An object as a client sends it."""
    version, kind = value["apiVersion"], value["kind"]
    head = piece(1, piece(1, version.encode()) + piece(2, kind.encode()))
    return b"k8s\0" + head + piece(2, message(KINDS[version, kind], value)) + piece(3, b"") + piece(4, b"")
