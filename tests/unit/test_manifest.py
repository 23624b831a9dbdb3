"""Manifests from bytes that nobody vouches for: read exactly, or refused, and nothing else."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.errors import BuildFailure, RegistryUnavailable
from immutag.core.values import Platform
from immutag.oci import DOCKER_MANIFEST, IMAGE_INDEX, IMAGE_MANIFEST, INDEXES, MANIFESTS
from immutag.oci.manifest import Index, Manifest, load, parse, parse_config
from tests.parts.images import CONFIG, LAYER, described, descriptor

LAYERS = [described(b"one", LAYER), described(b"two", LAYER)]
IMAGE: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": IMAGE_MANIFEST,
    "config": described(b"{}", CONFIG),
    "layers": LAYERS,
    "annotations": {"a": "b"},
}
CHILD = {**described(b"image", IMAGE_MANIFEST), "platform": {"os": "linux", "architecture": "arm64"}}
LISTING: dict[str, Any] = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [CHILD]}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["config", "layers", "digest", "size", "mediaType", "manifests", "platform", "subject",
                 "annotations", "os", "architecture", "urls", "schemaVersion", "artifactType", "rootfs",
                 "diff_ids", "Labels"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)  # fmt: skip


def text(document: object) -> bytes:
    return json.dumps(document).encode()


def test_an_image_is_read_as_it_is_written() -> None:
    subject = described(b"subject", IMAGE_MANIFEST)
    found = parse(text({**IMAGE, "subject": subject, "artifactType": "a/b"}), IMAGE_MANIFEST)
    assert found == Manifest(
        IMAGE_MANIFEST,
        "a/b",
        descriptor(IMAGE["config"]),
        tuple(map(descriptor, LAYERS)),
        (),
        descriptor(subject),
        {"a": "b"},
        ({}, {}),
    )


def test_an_index_is_read_as_it_is_written() -> None:
    found = parse(text(LISTING), IMAGE_INDEX)
    assert isinstance(found, Index)
    assert [(child.content, child.platform) for child in found.children] == [
        (descriptor(CHILD), Platform("linux", "arm64"))
    ]


@pytest.mark.parametrize("name", ["layers", "annotations"])
def test_a_list_that_go_writes_as_null_is_empty(name: str) -> None:
    found = parse(text({**IMAGE, name: None}), IMAGE_MANIFEST)
    assert isinstance(found, Manifest)
    assert not getattr(found, name)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe{\x00}\x00",
        b'\xef\xbb\xbf{"schemaVersion": 2}',
        text(IMAGE) + b"x",
        b'{"schemaVersion": 2,' + text(IMAGE)[1:],
        text({**IMAGE, "schemaVersion": 1}),
        text({**IMAGE, "mediaType": DOCKER_MANIFEST}),
        text({**IMAGE, "manifests": [CHILD]}),
        text({**IMAGE, "config": None}),
        text({**IMAGE, "layers": {}}),
        text({**IMAGE, "layers": [7]}),
        text({**IMAGE, "layers": [{**LAYERS[0], "size": -1}]}),
        text({**IMAGE, "layers": [{**LAYERS[0], "size": True}]}),
        text({**IMAGE, "layers": [{**LAYERS[0], "size": 3.0}]}),
        text({**IMAGE, "layers": [{**LAYERS[0], "size": 1 << 60}]}),
        text({**IMAGE, "layers": [{**LAYERS[0], "digest": "sha256:../../etc"}]}),
        text({**IMAGE, "layers": [{**LAYERS[0], "digest": LAYERS[0]["digest"].upper()}]}),
        text({**IMAGE, "layers": [{**LAYERS[0], "mediaType": "a/b\r\nX-Other: 1"}]}),
        text({**IMAGE, "annotations": {"a": 1}}),
        text({**IMAGE, "annotations": {"a": "\ud800"}}),
        text({**IMAGE, "extra": float("nan")}),
        text(IMAGE).replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": 1e999'),
        text(IMAGE).replace(b'"schemaVersion": 2', b'"schemaVersion": 2, "x": ' + b"9" * 5000),
        text({**IMAGE, "extra": json.loads("[" * 40 + "]" * 40)}),
        b'{"a":' * 100_000,
        b" " * (4 * 1024 * 1024 + 1),
    ],
)
def test_what_is_no_image_manifest_is_refused(wrong: bytes) -> None:
    with pytest.raises(BuildFailure):
        parse(wrong, IMAGE_MANIFEST, wrong=BuildFailure)


@pytest.mark.parametrize(
    "wrong", [{**LISTING, "layers": []}, {**LISTING, "manifests": [{}]}, {**LISTING, "manifests": "x"}]
)
def test_what_is_no_index_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RegistryUnavailable):
        parse(text(wrong), IMAGE_INDEX)


def test_the_old_kind_of_manifest_is_refused_by_name() -> None:
    old = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    with pytest.raises(RegistryUnavailable) as refused:
        parse(text(IMAGE), old)
    assert refused.value.found == old


@pytest.mark.parametrize(
    "layer",
    [
        {**LAYERS[0], "urls": ["https://example.com/layer"]},
        {**LAYERS[0], "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
        {**LAYERS[0], "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"},
    ],
)
def test_a_layer_hosted_elsewhere_is_known_as_such(layer: dict[str, Any]) -> None:
    found = parse(text({**IMAGE, "layers": [layer, LAYERS[1]]}), IMAGE_MANIFEST)
    assert isinstance(found, Manifest)
    assert found.elsewhere == (descriptor(layer),)


def test_messages_hold_no_terminal_escapes_and_are_short() -> None:
    with pytest.raises(RegistryUnavailable) as refused:
        parse(text({**IMAGE, "annotations": {"\x1b[2J" * 100: 1}}), IMAGE_MANIFEST)
    shown = refused.value.message + refused.value.found
    assert "\x1b" not in shown
    assert len(shown) < 600


def test_a_config_gives_labels_and_layers() -> None:
    diff_id = LAYERS[0]["digest"]
    found = parse_config(
        text({"os": "linux", "architecture": "amd64", "config": {"Labels": {"a": "b"}},
              "rootfs": {"diff_ids": [diff_id]}})
    )  # fmt: skip
    assert (dict(found.labels), [str(each) for each in found.diff_ids]) == ({"a": "b"}, [diff_id])
    assert found.platform == Platform("linux", "amd64")


def test_an_empty_config_has_nothing() -> None:
    assert parse_config(b"{}").labels == {}


@settings(deadline=None)
@given(st.binary(max_size=400), st.sampled_from(sorted(MANIFESTS | INDEXES)))
def test_any_bytes_are_read_or_refused(content: bytes, media_type: str) -> None:
    read_or_refuse(content, media_type)


@settings(deadline=None)
@given(JSON, st.sampled_from(sorted(MANIFESTS | INDEXES)))
def test_any_json_is_read_or_refused(document: object, media_type: str) -> None:
    read_or_refuse(text(document), media_type)


@settings(deadline=None)
@given(st.sampled_from([IMAGE, LISTING]), st.data())
def test_a_manifest_with_one_value_changed_is_read_or_refused(
    document: dict[str, Any], data: st.DataObject
) -> None:
    changed = json.loads(text(document))
    place: Any = changed
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    read_or_refuse(text(changed), document["mediaType"])


def read_or_refuse(content: bytes, media_type: str) -> None:
    """Nothing but a value or the error asked for, and a value that can be written again."""
    with suppress(BuildFailure):
        found = parse(content, media_type, wrong=BuildFailure)
        assert all((name + value).encode() is not None for name, value in found.annotations.items())
        text(load(content, wrong=BuildFailure))
    with suppress(RegistryUnavailable):
        parse_config(content)
