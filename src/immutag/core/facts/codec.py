"""Every kind of fact, to its JSON form and back."""

import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

from immutag.core.errors import ImmutagError, LedgerCorrupt
from immutag.core.facts.environment import (
    AllowedUnverified,
    Deploying,
    Failed,
    Healthy,
    Held,
    Mandatory,
    ReleasedHold,
    Restored,
    RolledBack,
    Summarised,
    TakenOver,
)
from immutag.core.facts.others import Anchored, Ingested, Probed, Stopped
from immutag.core.facts.release import (
    Adopted,
    Attested,
    Built,
    Claimed,
    Described,
    EvidenceFailed,
    Pushed,
    Requested,
    SignatureChecked,
    Signed,
    Tagged,
)
from immutag.core.frozen import fields
from immutag.core.values import ImageRef, Repository, shown

Fact = (
    Requested | Built | Pushed | Claimed | Signed | Described | Attested | EvidenceFailed | SignatureChecked
    | Tagged | Stopped | Deploying | TakenOver | Healthy | RolledBack | Restored | Failed | Held
    | ReleasedHold | Adopted | Mandatory | AllowedUnverified | Summarised | Anchored | Ingested | Probed
)  # fmt: skip

LATER: Mapping[str, Mapping[str, Any]] = {
    "anchored": {"bundle": None},
    "deploying": {"previous_failed": False, "good_sha": None, "good_image": None},
    "stopped": {"signature_status": None, "signature_reason": None},
}
"""Fields that entries of before do not have, and what that says."""

_KINDS: dict[str, type[Fact]] = {kind.type: kind for kind in typing.get_args(Fact)}


def encode(fact: Fact) -> dict[str, Any]:
    """The fact's JSON form: its field names, with values as their text. A later field that says nothing is
    left away: an entry is hashed in its one form, which for those of before has no such field."""
    later = LATER.get(fact.type, {})
    document = {field.name: _plain(getattr(fact, field.name)) for field in fields(fact)}
    return {name: value for name, value in document.items() if name not in later or value != later[name]}


def decode(kind: str, document: Mapping[str, Any]) -> Fact:
    """The fact back from its JSON form. Raises LedgerCorrupt for anything that `encode` never gave."""
    cls = _KINDS.get(kind)
    if kind in LATER:
        document = {**LATER[kind], **document}
    try:
        if cls and set(document) == set(_parsers(kind)):
            return cls(**{name: parse(document[name]) for name, parse in _parsers(kind).items()})
        found = f"{kind} with the fields {', '.join(sorted(document))}"
    except (ValueError, TypeError, ImmutagError) as error:
        found = str(error)
    raise LedgerCorrupt(
        "an entry is not a fact",
        expected=f"a fact of a known type: {', '.join(sorted(_KINDS))}",
        found=shown(found),
        remedy="immutag ledger verify",
    )


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value)


@cache
def _parsers(kind: str) -> dict[str, Any]:
    cls = _KINDS[kind]
    hints = typing.get_type_hints(cls)
    return {field.name: _parser(hints[field.name]) for field in fields(cls)}


def _parser(hint: Any) -> Any:
    """How a field of this type is read from JSON."""
    if isinstance(hint, types.UnionType):
        inner = _parser(next(part for part in hint.__args__ if part is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if typing.get_origin(hint) is tuple:
        inner = _parser(hint.__args__[0])
        return lambda value: tuple(inner(item) for item in value)
    if hint in (Repository, ImageRef):
        return lambda value: hint.parse(_exactly(str, value))
    if hint in (str, int, bool):
        return lambda value: _exactly(hint, value)
    return hint


def _exactly(kind: type, value: object) -> object:
    if type(value) is not kind:
        raise ValueError(f"{value!r} is not {kind.__name__}")
    return value
