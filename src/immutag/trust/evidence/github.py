"""GitHub's artifact attestations of a digest, as its API lists them (GitHub REST API, "List attestations").

Each is a Sigstore bundle; nothing of it is verified here. The token goes to the API and to nobody else: a
bundle that is kept elsewhere is fetched without it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from immutag.core.errors import SoftVerifyToolError
from immutag.core.frozen import frozen
from immutag.core.values import Digest, shown
from immutag.core.verification import Place
from immutag.oci import Descriptor
from immutag.oci.content import digest_of
from immutag.oci.http import Http, NoAnswer, Response
from immutag.oci.network import is_loopback
from immutag.trust.attached import CONTENT_LIMIT_BYTES, Attached, Kind, Unread
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.formats.malformed import LIMIT_BYTES, Malformed, load, mapping
from immutag.trust.formats.snappy import decompress

PLACE = "GitHub"
_API = "https://api.github.com"
_SLUG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_NEXT = re.compile(r'<([^<>\s]+)>\s*;[^<,]*rel="next"')
_PAGE, _PAGES = 30, 500
_TIMEOUT_S = 60.0
_READER = "set GITHUB_TOKEN to one that may read attestations; on GHES also GITHUB_API_URL"
_SERVER = "look whether GITHUB_API_URL is GitHub's API (GHES has its own), and run it again"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


@frozen()
class GitHub:
    """The API, as the token may see it. `repository` is `OWNER/NAME`."""

    http: Http
    api: str
    repository: str
    token: str | None

    def __repr__(self) -> str:
        return f"GitHub({self.api}, {self.repository})"

    @classmethod
    def of(cls, http: Http, environ: Mapping[str, str], source: str | None) -> "GitHub":
        """As the runner says, or for the repository with this address. Raises SoftVerifyToolError."""
        address = source if source and "://" in source else ""
        slug = environ.get("GITHUB_REPOSITORY") or "/".join(address.rstrip("/").split("/")[-2:])
        slug = slug.removesuffix(".git")
        if not _SLUG.fullmatch(slug):
            _undetermined(
                "OWNER/NAME in GITHUB_REPOSITORY, or a remote on GitHub",
                slug or "neither",
                remedy="set GITHUB_REPOSITORY to OWNER/NAME, or run it in a clone from GitHub",
            )
        api = (environ.get("GITHUB_API_URL") or _API).rstrip("/")
        if urlsplit(api).scheme != "https" and not is_loopback(urlsplit(api).hostname or ""):
            _undetermined(
                "an https address in GITHUB_API_URL: it gets the token",
                api,
                remedy="set GITHUB_API_URL to the API's https address",
            )
        return cls(http, api, slug, environ.get("GITHUB_TOKEN") or environ.get("GH_TOKEN"))

    def attestations(self, subject: Digest) -> tuple[list[Attached], Place]:
        """All that GitHub has of this digest. Raises SoftVerifyToolError where it cannot be asked."""
        found: list[Attached] = []
        for page in self._pages(subject):
            if page is None:
                return [], Place(PLACE, self._none())
            found += [self._attached(entry) for entry in page]
        return found, Place(PLACE, f"{len(found)} of {self.repository}")

    def _pages(self, subject: Digest) -> Iterator[list[Any] | None]:
        path = f"/repos/{self.repository}/attestations/{quote(str(subject), safe=':')}"
        url: str | None = f"{self.api}{path}?per_page={_PAGE}"
        seen: set[str] = set()
        while url:
            if url in seen or len(seen) >= _PAGES or not url.startswith(f"{self.api}/"):
                _undetermined("a list that ends, on the API's own server", f"{len(seen)} pages, then {url}")
            seen.add(url)
            answer = self._get(url, LIMIT_BYTES, with_token=True)
            if answer.status == 404:
                yield None
                return
            yield _entries(answer)
            following = _NEXT.search(answer.headers.get("Link", ""))
            url = following[1] if following else None

    def _none(self) -> str:
        """What a 404 means: GitHub says it of a digest without attestations, and of a repository that is not
        there or hidden."""
        if self._get(f"{self.api}/repos/{self.repository}", LIMIT_BYTES, with_token=True).status == 200:
            return f"none of {self.repository}"
        why = "GITHUB_TOKEN may not read it" if self.token else "it is private and there is no GITHUB_TOKEN"
        return (
            f"none, or {self.repository} is not to be seen: there is no such repository (GITHUB_REPOSITORY, "
            f"or the clone's remote, names it), or {why}"
        )

    def _get(self, url: str, limit_bytes: int, *, with_token: bool) -> Response:
        headers = dict(_HEADERS) if with_token else {}
        if with_token and self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            return self.http.request(
                "GET", url, headers=headers, limit_bytes=limit_bytes, timeout_s=_TIMEOUT_S
            )
        except NoAnswer as error:
            _undetermined(f"an answer from {self.api}", f"{error.fault.value}")

    def _attached(self, entry: Any) -> Attached:
        """One of the list. Its bytes are the bundle's own, or as we write the bundle that stands in it."""
        fields = entry if isinstance(entry, dict) else {}
        url = fields.get("bundle_url")
        if isinstance(fields.get("bundle"), dict):
            content = json.dumps(fields["bundle"], separators=(",", ":"), sort_keys=True).encode()
            return _bundle(content, None)
        return self._elsewhere(url) if isinstance(url, str) else _bundle(b"", Unread.GONE)

    def _elsewhere(self, url: str) -> Attached:
        """A bundle behind an address of GitHub's storage, compressed."""
        address = urlsplit(url)
        if address.scheme != "https" and address.scheme != urlsplit(self.api).scheme:
            return _bundle(b"", Unread.GONE)
        answer = self._get(url, CONTENT_LIMIT_BYTES, with_token=False)
        if answer.status != 200:
            return _bundle(b"", Unread.GONE)
        try:
            return _bundle(decompress(answer.body, limit_bytes=CONTENT_LIMIT_BYTES), None)
        except Malformed:
            return _bundle(b"", Unread.DAMAGED)


def _bundle(content: bytes, unread: Unread | None) -> Attached:
    where = Descriptor(BUNDLE_V03, digest_of(content), len(content))
    held = None if unread else content
    return Attached(PLACE, where, BUNDLE_V03, {}, Kind.BUNDLE, where, {}, held, unread)


def _entries(answer: Response) -> list[Any]:
    if answer.status != 200:
        refused = answer.status in (401, 403)
        _undetermined(
            "the list of attestations",
            f"{answer.status}: {_message(answer)}",
            remedy=_READER if refused else _SERVER,
        )
    try:
        found = load(answer.body, "GitHub's answer").get("attestations")
    except Malformed as error:
        _undetermined("the list of attestations", error.found)
    if not isinstance(found, list):
        _undetermined("the list of attestations", "an answer without one")
    return found


def _message(answer: Response) -> str:
    try:
        return shown(str(mapping(load(answer.body, "GitHub's answer"), "answer").get("message", "")))
    except Malformed:
        return f"{len(answer.body)} bytes"


def _undetermined(expected: str, found: str, *, remedy: str = _SERVER) -> NoReturn:
    raise SoftVerifyToolError(
        "which attestations GitHub has cannot be determined",
        expected=expected,
        found=shown(found),
        remedy=remedy,
    )
