"""The standards' tags: made from a digest, and extended without losing what is there."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import PushFailure
from immutag.core.values import Digest
from immutag.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor
from immutag.oci.attach import Artifact, Layer, _with, encoded
from immutag.oci.content import digest_of
from immutag.oci.legacy import _manifest
from immutag.oci.standard_tag import StandardTag, Suffix, TagContent

SUBJECT = Descriptor(IMAGE_MANIFEST, Digest("sha256:" + "a" * 64), 7)
OURS = {"sha256:" + "c" * 64: {"mediaType": IMAGE_MANIFEST, "digest": "sha256:" + "c" * 64, "size": 1}}


@pytest.mark.parametrize(
    ("digest", "suffix", "tag"),
    [
        ("sha256:" + "a" * 64, Suffix.REFERRERS, "sha256-" + "a" * 64),
        ("sha256:" + "a" * 64, Suffix.SIGNATURES, "sha256-" + "a" * 64 + ".sig"),
        ("sha256:" + "a" * 64, Suffix.ATTESTATIONS, "sha256-" + "a" * 64 + ".att"),
        ("sha256:" + "a" * 64, Suffix.SBOMS, "sha256-" + "a" * 64 + ".sbom"),
        ("sha512:" + "b" * 128, Suffix.REFERRERS, "sha512-" + "b" * 64),  # a tag has at most 128 characters
    ],
)
def test_a_tag_is_made_from_its_images_digest(digest: str, suffix: Suffix, tag: str) -> None:
    assert str(StandardTag(Digest(digest), suffix)) == tag


def test_an_artifacts_manifest_is_always_the_same() -> None:
    one = Artifact("a/b", (Layer("c/d", b"x", {"k": "v", "a": "b"}),), {"y": "1", "x": "2"})
    other = Artifact("a/b", (Layer("c/d", b"x", {"a": "b", "k": "v"}),), {"x": "2", "y": "1"})
    assert one.manifest(SUBJECT) == other.manifest(SUBJECT)
    assert one.manifest(SUBJECT) != Artifact("a/b", one.layers, {}).manifest(SUBJECT)


def test_an_artifact_without_content_has_the_empty_layer() -> None:
    document = json.loads(Artifact("a/b", (), {}).manifest(SUBJECT))
    assert document["layers"] == [document["config"]]
    assert document["config"]["digest"] == str(digest_of(b"{}"))
    assert document["subject"] == encoded(SUBJECT)
    assert "annotations" not in document


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {
        "mediaType": st.sampled_from([IMAGE_MANIFEST, IMAGE_INDEX, "a/b", "", 1]),
        "digest": st.sampled_from(["sha256:" + "c" * 64, "sha256:" + "d" * 64, "sha256:x", None]),
        "size": st.sampled_from([0, 7, -1, True, "7"]),
    },
    optional={"annotations": JSON, "artifactType": JSON, "x.more": JSON},
)
FALLBACK = st.fixed_dictionaries(
    {
        "schemaVersion": st.sampled_from([2, 2, 2, 1, "2"]),
        "manifests": st.none() | st.lists(ENTRY, max_size=4),
    },
    optional={
        "mediaType": st.sampled_from([IMAGE_INDEX, IMAGE_MANIFEST, None]),
        "annotations": JSON,
        "x": JSON,
    },
)


def _content(text: bytes, media_type: str = IMAGE_INDEX) -> TagContent:
    return TagContent(Descriptor(media_type, digest_of(text), len(text)), text, None)


@given(st.binary(max_size=64) | FALLBACK.map(lambda each: json.dumps(each).encode()))
def test_a_list_of_others_is_extended_whole_or_refused(text: bytes) -> None:
    try:
        made = _with(_content(text), SUBJECT.digest, OURS)
    except PushFailure:
        return
    before: dict[str, Any] = json.loads(text)
    listed = before.get("manifests") or []
    if made is None:
        assert next(iter(OURS)) in [each["digest"] for each in listed]
        return
    content, written = made
    assert content == Descriptor(IMAGE_INDEX, digest_of(written), len(written))
    after = json.loads(written)
    assert after["manifests"] == [*listed, *OURS.values()]
    assert {**after, "manifests": None} == {**before, "manifests": None}


@given(st.binary(max_size=64) | JSON.map(lambda each: json.dumps(each).encode()))
def test_a_signature_manifest_of_others_is_read_or_refused(text: bytes) -> None:
    try:
        found = _manifest(_content(text, IMAGE_MANIFEST))
    except PushFailure:
        return
    assert len(found.layers) == len(found.layer_annotations)
