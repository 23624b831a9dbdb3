"""Lists that a registry gives page by page (distribution-spec, "Content Discovery")."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urljoin

from immutag.core.errors import RegistryUnavailable
from immutag.core.values import shown
from immutag.oci.http import Response

_PAGES = 1000
_TAGS_LIMIT_BYTES = 64 * 1024 * 1024
_PATIENCE_S = 600.0
_LINK = r'<([^<>]{1,4096})>\s*((?:;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^\s;,]+)\s*)*)'
_NEXT = r'(?i);\s*rel\s*=\s*"?next"?\s*(?:;|$)'


def pages(get: Callable[[str], Response], url: str) -> Iterator[Response]:
    """Every page, as the registry's `Link` leads on: on its own server, and not for ever."""
    seen: set[str] = set()
    deadline = time.monotonic() + _PATIENCE_S
    following: str | None = url
    while following:
        if following in seen or len(seen) >= _PAGES or time.monotonic() > deadline:
            raise _nonsense(f"a list that does not end, after {len(seen)} pages")
        seen.add(following)
        page = get(following)
        yield page
        following = _next(following, page) if page.status == 200 else None


def _next(url: str, page: Response) -> str | None:
    """The next page, as a path: whatever server the link names, we stay on the registry."""
    for target, parameters in re.findall(_LINK, page.headers.get("Link", "")):
        if re.search(_NEXT, parameters):
            joined = urljoin(f"http://registry{url}", target)
            _, slashes, rest = joined.partition("//")
            path = rest[rest.find("/") :] if slashes and "/" in rest else ""
            if not path.startswith("/v2/"):
                raise _nonsense(f"a next page elsewhere: {target}")
            return path
    return None


def tag_names(listed: Iterable[Response]) -> list[str]:
    """The tags on these pages: foreign text. Raises RegistryUnavailable for what is no list of tags, and for
    more of them than any repository has."""
    found: list[str] = []
    left_bytes = _TAGS_LIMIT_BYTES
    for page in listed:
        left_bytes -= len(page.body)
        if left_bytes < 0:
            raise _nonsense(f"more than {_TAGS_LIMIT_BYTES} bytes of tags")
        found += _tag_names(page)
    return found


def _tag_names(page: Response) -> list[str]:
    """`null` is none, as Go writes an empty list; a document with neither name nor tags says nothing."""
    found = _document(page)
    names = found.get("tags", None if "name" in found else False)
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _nonsense("JSON that is no list of tags")
    return names


def _document(page: Response) -> dict[str, Any]:
    try:
        found = json.loads(page.body)
    except (ValueError, RecursionError):
        raise _nonsense(f"{len(page.body)} bytes that are not JSON") from None
    if not isinstance(found, dict):
        raise _nonsense("JSON that is not an object")
    return found


def _nonsense(found: str) -> RegistryUnavailable:
    return RegistryUnavailable(
        "the registry gave a list that cannot be read",
        expected="a JSON object on each page, and an end",
        found=shown(found),
        remedy="check that the address is a registry's; a login page or proxy may stand before it",
    )
