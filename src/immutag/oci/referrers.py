"""What refers to an image: its signatures, attestations and SBOMs (distribution-spec, "Listing Referrers").

Two places, and the second is looked at even when the first one answers: a client that wrote to the fallback
tag before the registry learned of referrers is otherwise never found. Nothing there is believed. The list
only says where to look: each manifest is read by digest, and its own `subject` must be the image.
Reading only; `attach` writes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from immutag.core.errors import ImmutagError, RegistryUnavailable
from immutag.core.frozen import frozen
from immutag.core.values import Digest
from immutag.oci import IMAGE_INDEX, INDEXES, MANIFESTS, Descriptor
from immutag.oci.fanout import map_each
from immutag.oci.listing import pages
from immutag.oci.manifest import Child, Index, Manifest, parse
from immutag.oci.objects import Objects
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import StandardTag, Suffix

_LIMIT = 16_384
_LIST_LIMIT_BYTES = 64 * 1024 * 1024
_MANIFESTS_LIMIT_BYTES = 256 * 1024 * 1024
_PATIENCE_S = 600.0
_WORKERS = 8
_NO_API = frozenset({400, 404, 405, 501})


@frozen()
class Referrer:
    """A manifest whose subject is the image. What it claims beyond that is unverified."""

    content: Descriptor
    artifact_type: str
    annotations: Mapping[str, str]
    manifest: Manifest | Index


def referrers(registry: Registry, subject: Digest, *, objects: Objects | None = None) -> list[Referrer]:
    """All of them, from both places, each once. Raises RegistryUnavailable, RegistryAuth, DigestMismatch."""
    listed = [*(listed_by_api(registry, subject) or ()), *listed_by_tag(registry, subject)]
    return [each for each in read(registry, subject, listed, objects=objects).values() if each is not None]


# --- the lists: where to look


def listed_by_api(registry: Registry, subject: Digest) -> tuple[Child, ...] | None:
    """What the referrers API names, unread; `None` if the registry has no such API."""
    found: list[Child] = []
    for page in api_pages(registry, subject):
        if page is None:
            return None
        found += page
        _bounded(found)
    return tuple(found)


def api_pages(registry: Registry, subject: Digest) -> Iterator[tuple[Child, ...] | None]:
    """The same page by page; `None` instead if the registry has no such API."""
    size_bytes = 0
    begun = False
    for page in pages(registry.get, registry.referrers_page(subject)):
        kind = page.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        # one large registry sends whoever asks for what it does not know to its web pages
        no_api = page.status in _NO_API or 300 <= page.status < 400 or kind == "text/html"
        if no_api and not begun:  # a list that breaks off is no absence
            yield None
            return
        begun = True
        if page.status != 200:
            raise registry.refused("list the referrers", page)
        size_bytes += len(page.body)
        if size_bytes > _LIST_LIMIT_BYTES:
            raise _too_many(f"at most {_LIST_LIMIT_BYTES} bytes of a list", "more")
        yield _children(page.body, IMAGE_INDEX)


def listed_by_tag(registry: Registry, subject: Digest) -> tuple[Child, ...]:
    """What the tag `sha256-<hex>` names, unread."""
    found = registry.standard_manifest(StandardTag(subject))
    # one registry answers with the subject itself, which may well be an index
    if found is None or found.content.digest == subject or found.content.media_type not in INDEXES:
        return ()
    listed = _children(found.text, found.content.media_type)
    _bounded(listed)
    return listed


def legacy_manifest(
    registry: Registry, subject: Digest, suffix: Suffix
) -> tuple[Descriptor, Manifest] | None:
    """The manifest behind one of cosign's tags, if there is one; what it holds is unverified."""
    found = registry.standard_manifest(StandardTag(subject, suffix))
    if found is None or found.content.digest == subject or found.content.media_type not in MANIFESTS:
        return None
    manifest = parse(found.text, found.content.media_type)
    return (found.content, manifest) if isinstance(manifest, Manifest) else None


# --- the manifests: what each says of itself


def read(
    registry: Registry, subject: Digest, listed: Iterable[Child], *, objects: Objects | None = None
) -> dict[Digest, Referrer | None]:
    """The listed manifests by their digests, in their order; `None` for what is no referrer of the image.

    Raises RegistryUnavailable, RegistryAuth, DigestMismatch.
    """
    wanted = {each.content.digest: each.content for each in listed}
    budget = _Budget()

    def look_at(content: Descriptor) -> Referrer | None:
        if not content.is_manifest or content.digest == subject:
            return None
        text = read_manifest(registry, content.digest, objects)
        budget.spend(len(text or b""))
        return _referrer(subject, content, text) if text else None

    return dict(zip(wanted, map_each(look_at, wanted.values(), workers=_WORKERS), strict=True))


def read_manifest(registry: Registry, digest: Digest, objects: Objects | None) -> bytes | None:
    """A manifest's bytes, hashed; kept, since they cannot change. `None` if the registry lacks it."""
    return kept(objects, digest, lambda: (registry.manifest_named(digest) or (None, None))[1])


def kept(objects: Objects | None, digest: Digest, ask: Callable[[], bytes | None]) -> bytes | None:
    """What the local store has by this digest, or else what is answered, from now on kept."""
    held = objects.get(digest) if objects else None
    if held is not None:
        return held
    answered = ask()
    if objects and answered is not None:
        objects.put(digest, answered)
    return answered


class _Malformed(ImmutagError):
    """A listed manifest that is none; it never leaves this module."""


class _Budget:
    """How much is read of what others attached, and how long; off by a few workers' manifests at most."""

    def __init__(self) -> None:
        self._left_bytes = _MANIFESTS_LIMIT_BYTES
        self._deadline = time.monotonic() + _PATIENCE_S

    def spend(self, size_bytes: int) -> None:
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise _too_many(f"at most {_MANIFESTS_LIMIT_BYTES} bytes of manifests", "more")
        if time.monotonic() > self._deadline:
            raise _too_many(f"all of them read within {_PATIENCE_S:.0f} s", "a registry that takes longer")


def _referrer(subject: Digest, content: Descriptor, text: bytes) -> Referrer | None:
    """The referrer, if its own bytes say that it is one."""
    try:
        manifest = parse(text, content.media_type, wrong=_Malformed)
    except _Malformed:
        return None
    if manifest.subject is None or manifest.subject.digest != subject:
        return None
    kind = manifest.artifact_type
    if kind is None and isinstance(manifest, Manifest):
        kind = manifest.config.media_type
    read = Descriptor(content.media_type, content.digest, len(text))
    return Referrer(read, kind or "", manifest.annotations, manifest)


def _children(text: bytes, media_type: str) -> tuple[Child, ...]:
    index = parse(text, media_type)
    return index.children if isinstance(index, Index) else ()


def _bounded(listed: Sequence[Child]) -> None:
    """A cut-off list could hide the one signature that matters, so too many are no answer at all."""
    if len(listed) > _LIMIT:
        raise _too_many(f"at most {_LIMIT}", f"{len(listed)} or more")


def _too_many(expected: str, found: str) -> RegistryUnavailable:
    return RegistryUnavailable(
        "the image has more referrers than are looked at",
        expected=expected,
        found=found,
        remedy="remove those that nobody needs: regctl artifact list, regctl manifest delete",
    )
