"""Documents that are nearly valid: what a parser of others' bytes has to live through."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.sampled_from(["", "AA==", "\ud800", "e30=", "sha256:" + "0" * 64])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def damaged(document: bytes) -> st.SearchStrategy[bytes]:
    """The document with bytes cut off, put in, changed, or said twice."""
    return st.one_of(
        st.integers(0, len(document)).map(lambda at: document[:at]),
        _edited(document, lambda at, more: document[:at] + more + document[at:]),
        _edited(document, lambda at, more: document[:at] + more + document[at + len(more) :]),
        _edited(document, lambda at, _: document[:at] + document[at // 2 :]),
    )


@st.composite
def altered(draw: st.DrawFn, document: dict[str, Any]) -> bytes:
    """The document as JSON, with some field or entry of it replaced, removed, doubled or renamed."""
    root = json.loads(json.dumps(document))
    inner: Any = root
    while True:
        keys: list[Any] = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = draw(st.sampled_from(keys))
        if isinstance(inner[key], dict | list) and inner[key] and draw(st.booleans()):
            inner = inner[key]
            continue
        break
    match draw(st.sampled_from(["replace", "remove", "double", "rename"])):
        case "remove":
            del inner[key]
        case "double" if isinstance(inner, list):
            inner.append(inner[key])
        case "rename" if isinstance(inner, dict):
            inner[draw(st.text(max_size=8))] = inner.pop(key)
        case _:
            inner[key] = draw(VALUES)
    return json.dumps(root).encode()


def _edited(document: bytes, edit: Callable[[int, bytes], bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(edit, st.integers(0, len(document)), st.binary(min_size=1, max_size=6))
