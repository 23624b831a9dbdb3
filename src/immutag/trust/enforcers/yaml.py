"""YAML for people to read and keep: mappings, lists, texts, numbers and flags, and nothing else."""

import json
import re
from collections.abc import Mapping, Sequence

Value = Mapping[str, "Value"] | Sequence["Value"] | str | int | bool

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_LINES = re.compile(r"(?:[!-~][ -~]*\n)+")


def write_yaml(*documents: Mapping[str, Value]) -> str:
    """The documents, each in its mapping's order."""
    return "---\n".join("\n".join(_mapping(each)) + "\n" for each in documents)


def _mapping(value: Mapping[str, Value]) -> list[str]:
    lines: list[str] = []
    for key, each in value.items():
        head, rest = _entry(each)
        lines += [f"{_scalar(key)}:{head}", *rest]
    return lines


def _entry(value: Value) -> tuple[str, list[str]]:
    """What stands on the key's own line, and what below it."""
    if isinstance(value, Mapping) and value:
        return "", _indented(_mapping(value))
    if isinstance(value, str) and _LINES.fullmatch(value):
        return " |", _indented(value.splitlines())
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return "", _indented([line for item in value for line in _item(item)])
    return f" {_scalar(value)}", []


def _item(value: Value) -> list[str]:
    if isinstance(value, Mapping) and value:
        first, *rest = _mapping(value)
        return [f"- {first}", *_indented(rest)]
    return [f"- {_scalar(value)}"]


def _scalar(value: Value) -> str:
    """On one line: as it is, or as JSON, which is YAML but for how it escapes."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
