"""A registry's repository as a `Store` (distribution-spec v1.1): thin, and it believes nothing (DR-007).

Digests are of the bytes received; `Docker-Content-Digest` is a hint that nobody here needs. A redirect, a
header or a list from a registry can cost a little time, never memory, credentials or a wrong answer.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO
from urllib.parse import urlencode

from immutag.core.errors import ImmutagError, MissingTag, RegistryAuth, RegistryError, RegistryUnavailable
from immutag.core.values import Digest, GitSha, Repository, ShortTag
from immutag.oci import INDEXES, MANIFEST_LIMIT_BYTES, MANIFESTS, Descriptor, download
from immutag.oci.auth import Credentials
from immutag.oci.content import checked, digest_of, mismatch
from immutag.oci.fanout import for_each
from immutag.oci.http import Headers, Http, Response
from immutag.oci.kind import media_type_of
from immutag.oci.listing import pages, tag_names
from immutag.oci.network import host_of, is_loopback
from immutag.oci.refusal import ERROR_LIMIT_BYTES, codes, pushing, refusal
from immutag.oci.session import LIMITS, Limits, Session, Waits
from immutag.oci.standard_tag import StandardTag, TagContent, immutable
from immutag.oci.upload import TAKEN, Upload

Found = Descriptor | None | ImmutagError
_ACCEPT = {"Accept": ", ".join(sorted(MANIFESTS | INDEXES))}
_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
_TAG_IS_THERE = frozenset({400, 403, 405, 409})  # how different registries refuse to write one again
# of HEAD: a filter before the registry, or an address of its storage that is signed for GET only
_NO_HEAD = frozenset({403, 405, 501})
_WORKERS = 8
SCRATCH_TAG = GitSha("0" * 40)
"""git's null id, the name of no commit: so it can never be a release's."""
_DOCKER_HUB = ("docker.io", "index.docker.io")


class Registry:
    """One repository, for all threads. Whatever it raises is from `core.errors`."""

    def __init__(
        self,
        repository: Repository,
        *,
        http: Http,
        credentials: Callable[[], Credentials | None] | None = None,
        plain_http: bool | None = None,
        push_timeout_s: float = 3600.0,
        limits: Limits = LIMITS,
    ) -> None:
        self.repository = repository
        host, self._path = _api(repository)
        plain = is_loopback(host_of(host)) if plain_http is None else plain_http
        self._session = Session(
            f"{'http' if plain else 'https'}://{host}", http=http, credentials=credentials, limits=limits
        )
        self._push_timeout_s = push_timeout_s
        self._reading = f"repository:{self._path}:pull"
        self._writing = f"repository:{self._path}:pull,push"
        self._last: tuple[Digest, bytes] | None = None

    @property
    def requests(self) -> int:
        """How many HTTP requests were made, those for tokens and redirects included."""
        return self._session.requests

    # --- reading

    def resolve(self, tag: GitSha | ShortTag) -> Descriptor | None:
        """The manifest behind a tag, or `None` if the registry says that there is none."""
        found = self._manifest_at(str(tag))
        return found[0] if found else None

    def resolve_many(self, tags: Sequence[GitSha | ShortTag]) -> list[Found]:
        """Each tag's answer, in the order of the tags; an error is one of the answers."""
        found: list[Found] = [None] * len(tags)

        def resolve(at: int, _: object) -> None:
            try:
                found[at] = self.resolve(tags[at])
            except ImmutagError as error:
                found[at] = error

        for_each(resolve, range(len(tags)), workers=_WORKERS)
        return found

    def describe(self, digest: Digest) -> Descriptor | None:
        """The manifest with this digest, its bytes read and hashed. Raises DigestMismatch."""
        found = self.manifest_named(digest)
        if found is None:
            return None
        self._last = digest, found[1]
        return found[0]

    def manifest_named(self, digest: Digest) -> tuple[Descriptor, bytes] | None:
        """The manifest with this digest, hashed, whatever its size is said to be. Raises DigestMismatch."""
        found = self._manifest_at(str(digest), algorithm=digest.algorithm)
        if found and found[0].digest != digest:
            raise mismatch(found[0], str(digest), str(found[0].digest))
        return found

    def manifest(self, content: Descriptor) -> bytes:
        """A manifest's bytes, hashed. Raises DigestMismatch, MissingTag if the registry lacks it."""
        found = self._manifest_at(str(content.digest), algorithm=content.digest.algorithm)
        if found is None:
            raise download.gone(f"{self.repository}@{content.digest}")
        text = b"".join(checked([found[1]], content))
        self._last = content.digest, text
        return text

    def standard_manifest(self, tag: StandardTag) -> TagContent | None:
        """What lies behind one of the tags that standards put beside an image."""
        answer = self._manifest_answer(str(tag))
        if answer is None:
            return None
        return TagContent(_described(answer), answer.body, answer.headers.get("ETag"))

    def small_blob(self, content: Descriptor, *, limit_bytes: int) -> bytes:
        """A blob in one piece, checked. Raises MissingTag, DigestMismatch, NoAnswer (`TOO_LARGE`)."""
        url = f"/v2/{self._path}/blobs/{content.digest}"
        answer = self._call("GET", url, scope=self._reading, limit_bytes=limit_bytes)
        if answer.status == 404:
            raise download.gone(f"{self.repository}@{content.digest}")
        if answer.status != 200:
            raise self.refused(f"give the content {content.digest}", answer)
        return b"".join(checked([answer.body], content))

    def exists(self, content: Descriptor) -> bool:
        kind = "manifests" if content.is_manifest else "blobs"
        url = f"/v2/{self._path}/{kind}/{content.digest}"
        headers = _ACCEPT if content.is_manifest else {}
        answer = self._call("HEAD", url, scope=self._reading, headers=headers, limit_bytes=0)
        if answer.status in _NO_HEAD:
            with self._session.stream(url, scope=self._reading, headers=headers) as begun:
                answer = Response(begun.status, begun.headers, b"")  # the content itself is left
        if answer.status in (200, 404):
            return answer.status == 200
        raise self.refused(f"say whether it has {content.digest}", answer)

    @contextmanager
    def fetch(self, content: Descriptor) -> Iterator[Iterator[bytes]]:
        """The content in blocks, checked while it streams. Raises DigestMismatch, MissingTag."""
        if content.is_manifest:
            yield iter((self.manifest(content),))
            return
        with closing(download.blob(self._session, self._path, content, scope=self._reading)) as blocks:
            yield checked(blocks, content)

    def tags(self) -> list[str]:
        """Every tag, as the registry names it: foreign text. Empty if it knows no such repository."""
        return tag_names(self._tag_pages())

    def referrers_page(self, subject: Digest) -> str:
        """Where the referrers API has its list of this repository."""
        return f"/v2/{self._path}/referrers/{subject}"

    def get(self, url: str) -> Response:
        """A small document of this repository, whatever the status."""
        return self._call("GET", url, scope=self._reading, limit_bytes=MANIFEST_LIMIT_BYTES)

    def ping(self) -> None:
        """Whether the registry is there and lets us in. Raises RegistryAuth, RegistryUnavailable."""
        answer = self._call("GET", "/v2/", scope="", limit_bytes=ERROR_LIMIT_BYTES)
        if answer.status != 200:
            raise self.refused("let us in", answer)

    def greeting(self) -> Headers:
        """The headers by which the registry greets somebody unknown. Raises RegistryUnavailable."""
        return self._session.greeting()

    # --- writing

    def push(self, content: Descriptor, source: BinaryIO) -> None:
        """Put the content there by its digest. Raises PushFailure, RegistryAuth, DigestMismatch."""
        with pushing():
            if content.is_manifest:
                text = b"".join(checked([source.read(MANIFEST_LIMIT_BYTES + 1)], content))
                self._put_by_digest(content, text)
                self._last = content.digest, text
            elif not self.exists(content):
                deadline = time.monotonic() + self._push_timeout_s
                Upload(
                    self._session, self._path, content, source, scope=self._writing, deadline=deadline
                ).run()

    def mount(self, content: Descriptor, origin: Repository) -> bool:
        """Take a blob over from another repository of this registry; `False` if the registry would not."""
        if origin.host != self.repository.host or content.is_manifest:
            return False
        _, path = _api(origin)
        query = urlencode({"mount": str(content.digest), "from": path})
        with pushing():
            try:
                answer = self._call(
                    "POST",
                    f"/v2/{self._path}/blobs/uploads/?{query}",
                    scope=f"{self._writing} repository:{path}:pull",
                    limit_bytes=ERROR_LIMIT_BYTES,
                )
            except RegistryAuth:  # no right to read the origin; if it is the target, the push will say so
                return False
        return answer.status == 201

    def tag(self, content: Descriptor, tag: GitSha | ShortTag) -> None:
        """Point the tag at a manifest that is there, if the tag is not: the PUT says `If-None-Match: *`.

        A registry that refuses because the tag exists is no error: read it back, it may be the right one.
        """
        with pushing():
            text = self._text(content)
            answer = self._put(content, text, str(tag), {"If-None-Match": "*"})
            if answer.status in TAKEN or answer.status == 412:
                return
            # immutable tags are refused as 400, 403, 405 or 409, by different registries
            if answer.status < 500 and answer.status != 401 and self.resolve(tag) is not None:
                return
            raise self.refused(f"take the tag {tag}", answer)

    def put_standard_manifest(
        self, tag: StandardTag, content: Descriptor, text: bytes, *, over: TagContent | None
    ) -> bool:
        """Write one of the standards' tags, in place of what was read there: no other tag is ever moved.

        `False` if the registry says that something else lies there now. It is tried once, since what was
        read is soon old. Raises TagImmutable.
        """
        with pushing():
            answer = self._put(content, text, str(tag), _unless_changed(over), again=False)
            if answer.status in TAKEN or answer.status == 412:
                return answer.status != 412
            refused = self.refused(f"take the tag {tag}", answer)
            if answer.status not in _TAG_IS_THERE or _BLOB_UNKNOWN in codes(answer.body):
                raise refused
            if over is not None:
                raise immutable(tag, refused.found)
            if self.standard_manifest(tag) is None:
                raise refused
        return False  # somebody else was faster

    def push_referrer(self, content: Descriptor, text: bytes, subject: Digest) -> bool:
        """Put a manifest with this subject; whether the registry says that it lists it (`OCI-Subject`)."""
        with pushing():
            answer = self._put_by_digest(content, text)
        return answer.headers.get("OCI-Subject") == str(subject)

    def put_scratch_tag(self, content: Descriptor, *, conditional: bool) -> None:
        """Write the scratch tag, and no other, whether it is there or not; read it back to see what came of
        it. It is how `doctor --probe` learns what the registry itself keeps from being overwritten."""
        with pushing():
            headers = {"If-None-Match": "*"} if conditional else {}
            self._put(content, self._text(content), str(SCRATCH_TAG), headers)

    # --- requests

    def _tag_pages(self) -> Iterator[Response]:
        begun = False
        for page in pages(self.get, f"/v2/{self._path}/tags/list?n=1000"):
            if page.status == 404 and not begun:  # a list that breaks off is no absence
                return
            begun = True
            if page.status != 200:
                raise self.refused("list its tags", page)
            yield page

    def _manifest_at(self, reference: str, algorithm: str = "sha256") -> tuple[Descriptor, bytes] | None:
        answer = self._manifest_answer(reference)
        return (_described(answer, algorithm), answer.body) if answer else None

    def _manifest_answer(self, reference: str) -> Response | None:
        answer = self._call(
            "GET",
            f"/v2/{self._path}/manifests/{reference}",
            scope=self._reading,
            headers=_ACCEPT,
            limit_bytes=MANIFEST_LIMIT_BYTES,
        )
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self.refused(f"give the manifest of {reference}", answer)
        return answer

    def _text(self, content: Descriptor) -> bytes:
        """The bytes for a tag: usually those that were pushed or read a moment ago."""
        if self._last and self._last[0] == content.digest:
            return self._last[1]
        try:
            return self.manifest(content)
        except MissingTag as error:
            raise RegistryUnavailable(
                "the registry lacks the manifest that is to be tagged",
                expected=str(content.digest),
                found=error.found,
                remedy="push it again: immutag release",
            ) from error

    def _put_by_digest(self, content: Descriptor, text: bytes) -> Response:
        waits = Waits(self._session.limits)
        while True:
            answer = self._put(content, text, str(content.digest), {})
            if answer.status in TAKEN:
                return answer
            # distribution says so of a blob that somebody else uploads at the same moment
            if _BLOB_UNKNOWN not in codes(answer.body) or not waits.wait():
                raise self.refused(f"take the manifest {content.digest}", answer)

    def _put(
        self,
        content: Descriptor,
        text: bytes,
        reference: str,
        headers: dict[str, str],
        *,
        again: bool = True,
    ) -> Response:
        return self._call(
            "PUT",
            f"/v2/{self._path}/manifests/{reference}",
            scope=self._writing,
            headers={"Content-Type": content.media_type, **headers},
            body=text,
            limit_bytes=ERROR_LIMIT_BYTES,
            again=again,
        )

    def _call(
        self,
        method: str,
        url: str,
        *,
        scope: str,
        limit_bytes: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        again: bool = True,
    ) -> Response:
        return self._session.call(
            method, url, scope=scope, limit_bytes=limit_bytes, headers=headers, body=body, again=again
        )

    def refused(self, doing: str, answer: Response) -> RegistryError:
        """The error for an answer of another status than the one hoped for."""
        return refusal(doing, answer.status, answer.headers, answer.body, secrets=self._session.secrets())


def _unless_changed(over: TagContent | None) -> dict[str, str]:
    """The condition that a tag is still what it was; a weak ETag can be none (RFC 9110, 13.1.1)."""
    if over is None:
        return {"If-None-Match": "*"}
    return {"If-Match": over.etag} if over.etag and not over.etag.startswith("W/") else {}


def _described(answer: Response, algorithm: str = "sha256") -> Descriptor:
    return Descriptor(media_type_of(answer), digest_of(answer.body, algorithm), len(answer.body))


def _api(repository: Repository) -> tuple[str, str]:
    """Host and path for the API: Docker Hub has other ones than its names say."""
    if repository.host not in _DOCKER_HUB:
        return repository.host, repository.path
    official = "" if "/" in repository.path else "library/"
    return "registry-1.docker.io", official + repository.path
