"""Lists that a registry gives page by page (distribution-spec, "Content Discovery")."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

from immutag.core.errors import RegistryUnavailable
from immutag.core.values import shown
from immutag.oci.http import Response

_PAGES = 1000
_LINK = r'<([^>]{1,4096})>\s*((?:;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^\s;,]+)\s*)*)'
_NEXT = r'(?i);\s*rel\s*=\s*"?next"?\s*(?:;|$)'


def pages(get: Callable[[str], Response], url: str) -> Iterator[Response]:
    """Every page, as the registry's `Link` leads on: on its own server, and not for ever."""
    seen: set[str] = set()
    following: str | None = url
    while following:
        if following in seen or len(seen) >= _PAGES:
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


def document(page: Response) -> dict[str, Any]:
    """The page's JSON object. Raises RegistryUnavailable for anything else."""
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
