"""Write the facts' part of src/immutag/schemas/entry.json again, from the facts themselves.

Run as `python -m scripts.entry_schema`, after a fact was added or changed.
"""

import json
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

from immutag.core.facts import Fact
from immutag.core.facts.codec import LATER
from immutag.core.frozen import fields
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository

SCHEMA = Path(__file__).parents[1] / "src/immutag/schemas/entry.json"
_DIGEST = "(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"
_TEXTS: dict[type, dict[str, Any]] = {
    GitSha: {"pattern": "^[0-9a-f]{40}$"},
    Digest: {"pattern": f"^{_DIGEST}$"},
    Repository: {"minLength": 1, "maxLength": 255},
    EnvironmentName: {"pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
    ImageRef: {"pattern": rf"^[^@\s]+@{_DIGEST}$"},
    str: {},
}


def definition(kind: type[Fact]) -> dict[str, Any]:
    """The schema of one kind of fact."""
    hints = typing.get_type_hints(kind)
    properties = {field.name: _schema(hints[field.name]) for field in fields(kind)}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in LATER.get(kind.type, {})],
        "additionalProperties": False,
    }


def _schema(hint: Any) -> dict[str, Any]:
    if isinstance(hint, types.UnionType):
        (inner,) = (part for part in hint.__args__ if part is not types.NoneType)
        schema = _schema(inner)
        if "enum" in schema:
            return {"enum": [*schema["enum"], None]}
        return {"type": [schema.pop("type"), "null"], **schema}
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _schema(hint.__args__[0])}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if hint in (int, bool):
        return {"type": "boolean" if hint is bool else "integer"}
    return {"type": "string", **_TEXTS[hint]}


def main() -> None:
    kinds: dict[str, type[Fact]] = {kind.type: kind for kind in typing.get_args(Fact)}
    document = json.loads(SCHEMA.read_text())
    document["properties"]["type"]["enum"] = sorted(kinds)
    document["oneOf"] = [
        {"properties": {"type": {"const": name}, "fact": {"$ref": f"#/$defs/{name}"}}} for name in kinds
    ]
    document["$defs"] = {name: definition(kind) for name, kind in kinds.items()}
    SCHEMA.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
