"""What refers to an image: its signatures, attestations and SBOMs (distribution-spec, "Listing Referrers").

Two places, and the second is looked at even when the first one answers: a client that wrote to the fallback
tag before the registry learned of referrers is otherwise never found. Nothing there is believed. The list
only says where to look: each manifest is read by digest, and its own `subject` must be the image.
Reading only; who writes is elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence

from immutag.core.errors import ImmutagError, MissingTag, RegistryUnavailable
from immutag.core.frozen import frozen
from immutag.core.values import Digest
from immutag.oci import IMAGE_INDEX, INDEXES, MANIFESTS, Descriptor
from immutag.oci.listing import pages
from immutag.oci.manifest import Child, Index, Manifest, parse
from immutag.oci.registry import Registry

_LIMIT = 200
_NO_API = frozenset({400, 404, 405, 501})


@frozen()
class Referrer:
    """A manifest whose subject is the image. What it claims beyond that is unverified."""

    content: Descriptor
    artifact_type: str
    annotations: Mapping[str, str]


def referrers(registry: Registry, subject: Digest) -> list[Referrer]:
    """All of them, from both places, each once. Raises RegistryUnavailable, RegistryAuth, DigestMismatch."""
    listed = [*(from_api(registry, subject) or ()), *from_fallback_tag(registry, subject)]
    return list({referrer.content.digest: referrer for referrer in listed}.values())


def from_api(registry: Registry, subject: Digest) -> list[Referrer] | None:
    """What the referrers API lists; `None` if the registry has no such API."""
    listed: list[Child] = []
    for page in pages(registry.get, registry.referrers_page(subject)):
        kind = page.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        # one large registry sends whoever asks for what it does not know to its web pages
        if page.status in _NO_API or 300 <= page.status < 400 or kind == "text/html":
            return None
        if page.status != 200:
            raise registry.refused("list the referrers", page)
        listed += _children(page.body, IMAGE_INDEX)
        _bounded(listed)
    return _checked(registry, subject, listed)


def from_fallback_tag(registry: Registry, subject: Digest) -> list[Referrer]:
    """What the tag `sha256-<hex>` lists (distribution-spec, "Referrers Tag Schema")."""
    found = registry.standard_manifest(fallback_tag(subject))
    # one registry answers with the subject itself, which may well be an index
    if found is None or found[0].digest == subject or found[0].media_type not in INDEXES:
        return []
    listed = _children(found[1], found[0].media_type)
    _bounded(listed)
    return _checked(registry, subject, listed)


def legacy_signature(registry: Registry, subject: Digest) -> Descriptor | None:
    """The manifest behind cosign's tag `sha256-<hex>.sig`, if there is one. Unverified."""
    found = registry.standard_manifest(f"{fallback_tag(subject)}.sig")
    if found is None or found[0].digest == subject or found[0].media_type not in MANIFESTS:
        return None
    return found[0]


def fallback_tag(subject: Digest) -> str:
    """The tag that stands in for the referrers API."""
    return f"{subject.algorithm}-{subject.hex[:64]}"


class _Malformed(ImmutagError):
    """A listed manifest that is none; it never leaves this module."""


def _children(text: bytes, media_type: str) -> tuple[Child, ...]:
    index = parse(text, media_type)
    return index.children if isinstance(index, Index) else ()


def _bounded(listed: Sequence[Child]) -> None:
    """A cut-off list could hide the one signature that matters, so too many are no answer at all."""
    if len(listed) > _LIMIT:
        raise RegistryUnavailable(
            "the image has more referrers than are looked at",
            expected=f"at most {_LIMIT}",
            found=f"{len(listed)} or more",
            remedy="remove those that nobody needs: regctl artifact list, regctl manifest delete",
        )


def _checked(registry: Registry, subject: Digest, listed: Iterable[Child]) -> list[Referrer]:
    looked_at = {child.content.digest: child.content for child in listed if child.content.digest != subject}
    found = (_look_at(registry, subject, content) for content in looked_at.values() if content.is_manifest)
    return [referrer for referrer in found if referrer is not None]


def _look_at(registry: Registry, subject: Digest, content: Descriptor) -> Referrer | None:
    """The referrer, if its own bytes say that it is one."""
    try:
        manifest = parse(registry.manifest(content), content.media_type, wrong=_Malformed)
    except (MissingTag, _Malformed):  # listed, but not there any more, or never a manifest
        return None
    if manifest.subject is None or manifest.subject.digest != subject:
        return None
    kind = manifest.artifact_type
    if kind is None and isinstance(manifest, Manifest):
        kind = manifest.config.media_type
    return Referrer(content, kind or "", manifest.annotations)
