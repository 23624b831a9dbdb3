"""Attaching to an image: manifests whose subject it is, found by the referrers API or the fallback tag.

distribution-spec, "Pushing Manifests with Subject". What is attached is read back: by its digest, and by
listing. The same artifact gives the same manifest, so attaching it twice changes nothing.
"""

import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from immutag.core.errors import PushFailure
from immutag.core.frozen import frozen
from immutag.core.values import Digest
from immutag.oci import IMAGE_INDEX, IMAGE_MANIFEST, INDEXES, MANIFEST_LIMIT_BYTES, Descriptor
from immutag.oci.content import digest_of
from immutag.oci.extend import extend
from immutag.oci.fanout import map_each
from immutag.oci.manifest import Index, load, parse
from immutag.oci.referrers import api_pages
from immutag.oci.refusal import pushing
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import StandardTag, TagContent

_WORKERS = 4
_LISTED_TRIES = 5
_LISTED_WAIT_S = 0.2


@frozen()
class Layer:
    """Content with its media type, and what is said of it where it is listed."""

    media_type: str
    content: bytes
    annotations: Mapping[str, str]

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, digest_of(self.content), len(self.content))

    def encode(self) -> dict[str, Any]:
        """Its descriptor in a manifest."""
        return encoded(self.descriptor, annotations=self.annotations)


EMPTY = Layer("application/vnd.oci.empty.v1+json", b"{}", {})
"""image-spec, "Guidance for an Empty Descriptor"."""


@frozen()
class Artifact:
    """What can be attached to an image. `annotations` are the manifest's."""

    artifact_type: str
    layers: tuple[Layer, ...]
    annotations: Mapping[str, str]

    def manifest(self, subject: Descriptor) -> bytes:
        """The manifest that attaches it to the subject: always the same bytes."""
        document = {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": self.artifact_type,
            "config": EMPTY.encode(),
            "layers": [each.encode() for each in self.layers or (EMPTY,)],
            "subject": encoded(subject),
        }
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def attach(registry: Registry, subject: Descriptor, artifact: Artifact) -> Descriptor:
    """Attach it, and read it back. Returns the descriptor of its manifest, the referrer.

    Raises PushFailure, RegistryAuth, DigestMismatch; TagImmutable where the registry has no referrers API and
    forbids to extend the list that stands in for it.
    """
    return attach_all(registry, subject, [artifact])[0]


def attach_all(registry: Registry, subject: Descriptor, artifacts: Sequence[Artifact]) -> list[Descriptor]:
    """Attach several at once: the list of an image is then written once for all. Raises as `attach`.

    `registry` may be another repository than the image's, as with cosign's COSIGN_REPOSITORY.
    """
    texts = [artifact.manifest(subject) for artifact in artifacts]
    contents = [Descriptor(IMAGE_MANIFEST, digest_of(text), len(text)) for text in texts]
    with pushing():
        push_blobs(registry, [EMPTY, *(layer for artifact in artifacts for layer in artifact.layers)])
        said = [
            registry.push_referrer(content, text, subject.digest)
            for content, text in zip(contents, texts, strict=True)
        ]
        for content in contents:
            if registry.manifest_named(content.digest) is None:
                raise _not_kept(content)
        unlisted = _unlisted(registry, subject.digest, contents, patiently=all(said))
        if unlisted and all(said):
            raise _not_listed(unlisted)
        if unlisted:
            entries = {
                str(content.digest): _entry(content, artifact)
                for content, artifact in zip(contents, artifacts, strict=True)
            }
            extend(registry, StandardTag(subject.digest), lambda held: _with(held, subject.digest, entries))
    return contents


def push_blobs(registry: Registry, layers: Sequence[Layer]) -> None:
    """Those that the registry lacks."""
    blobs = {layer.descriptor: layer.content for layer in layers}

    def push(content: Descriptor) -> None:
        registry.push(content, io.BytesIO(blobs[content]))

    map_each(push, blobs, workers=_WORKERS)


def encoded(content: Descriptor, *, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A descriptor as a manifest has it."""
    fields: dict[str, Any] = {
        "mediaType": content.media_type,
        "digest": str(content.digest),
        "size": content.size_bytes,
    }
    return {**fields, "annotations": dict(sorted(annotations.items()))} if annotations else fields


def _unlisted(
    registry: Registry, subject: Digest, contents: Sequence[Descriptor], *, patiently: bool
) -> set[Digest]:
    """Which of them the referrers API does not list; one that said it would is given a moment."""
    tries = _LISTED_TRIES if patiently else 1
    while True:
        missing = {content.digest for content in contents}
        for page in api_pages(registry, subject):
            missing -= {child.content.digest for child in page or ()}
            if not missing:
                break
        tries -= 1
        if not missing or not tries:
            return missing
        time.sleep(_LISTED_WAIT_S)


def _entry(content: Descriptor, artifact: Artifact) -> dict[str, Any]:
    """What the fallback's index says of a referrer, for those who filter by it."""
    entry = encoded(content)
    entry["artifactType"] = artifact.artifact_type
    return (
        {**entry, "annotations": dict(sorted(artifact.annotations.items()))}
        if artifact.annotations
        else entry
    )


def _with(
    held: TagContent | None, subject: Digest, entries: Mapping[str, dict[str, Any]]
) -> tuple[Descriptor, bytes] | None:
    """The fallback's index with these entries too; whatever else stands there stays as it is."""
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": []}
    there: set[str] = set()
    if held is not None and held.content.digest != subject:  # one registry answers with the subject itself
        index = parse(held.text, held.content.media_type, wrong=PushFailure)
        if held.content.media_type not in INDEXES or not isinstance(index, Index):
            raise _no_list(held)
        document = load(held.text, wrong=PushFailure)
        there = {str(child.content.digest) for child in index.children}
    missing = [entry for digest, entry in entries.items() if digest not in there]
    if not missing:
        return None
    document["manifests"] = [*(document.get("manifests") or ()), *missing]
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > MANIFEST_LIMIT_BYTES:
        raise _list_is_full(len(text))
    media_type = held.content.media_type if there and held else IMAGE_INDEX
    return Descriptor(media_type, digest_of(text), len(text)), text


def _not_kept(content: Descriptor) -> PushFailure:
    return PushFailure(
        "the registry took what was attached, and does not have it",
        expected=str(content.digest),
        found="status 404",
        remedy="try again; if it stays so, look at the registry and what stands before it",
    )


def _not_listed(unlisted: set[Digest]) -> PushFailure:
    return PushFailure(
        "the registry says that it lists what was attached, and does not",
        expected=f"{min(map(str, unlisted))} among the referrers",
        found="a list without it",
        remedy="try again; the registry may need more time",
    )


def _no_list(held: TagContent) -> PushFailure:
    return PushFailure(
        "the tag for an image's referrers holds something else",
        expected="an index of referrers",
        found=f"{held.content.media_type} {held.content.digest}",
        remedy="find out who wrote the tag sha256-…; it is not overwritten",
    )


def _list_is_full(size_bytes: int) -> PushFailure:
    return PushFailure(
        "the list of an image's referrers is full",
        expected=f"at most {MANIFEST_LIMIT_BYTES} bytes",
        found=f"{size_bytes} bytes with what is to be added",
        remedy="remove those that nobody needs: regctl artifact list, regctl manifest delete",
    )
