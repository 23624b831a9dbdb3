"""A layout folder: what index.json names, what is hashed, and what is refused."""

import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immutag.core.errors import BuildFailure, DigestMismatch
from immutag.core.values import GitSha, Platform
from immutag.oci.annotate import image_says, with_annotations
from immutag.oci.copy import digests
from immutag.oci.layout import Layout
from tests.parts.images import add, add_image, add_index, blob_path, described, descriptor, finish

SHA, OTHER = GitSha("1" * 40), GitSha("2" * 40)


def test_the_root_is_what_index_json_names(tmp_path: Path) -> None:
    image = add_image(tmp_path, b"layer")
    assert Layout(finish(tmp_path, image)).root() == descriptor(image)


def test_a_new_layout_has_no_image_until_its_root_is_set(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "new")
    image = add_image(layout.folder, b"layer")
    with pytest.raises(BuildFailure, match="has no image"):
        layout.root()
    layout.set_root(descriptor(image), {"a": "b"})
    assert Layout(layout.folder).root() == descriptor(image)
    (entry,) = json.loads((layout.folder / "index.json").read_text())["manifests"]
    assert entry == {**image, "annotations": {"a": "b"}}


def test_beginning_again_forgets_the_root_and_keeps_the_content(tmp_path: Path) -> None:
    image = add_image(tmp_path, b"layer")
    layout = Layout.create(finish(tmp_path, image))
    assert layout.exists(descriptor(image))
    with pytest.raises(BuildFailure):
        layout.root()


def test_several_images_are_refused_with_their_names(tmp_path: Path) -> None:
    one = {**add_image(tmp_path, b"1"), "annotations": {"org.opencontainers.image.ref.name": "first"}}
    two = add_image(tmp_path, b"2")
    with pytest.raises(BuildFailure, match="several images") as refused:
        Layout(finish(tmp_path, one, two)).root()
    assert refused.value.found == f"first, {two['digest']}"


def test_one_of_several_is_chosen_by_its_platform(tmp_path: Path) -> None:
    images = [
        {**add_image(tmp_path, b"1", architecture=name), "platform": {"os": "linux", "architecture": name}}
        for name in ("amd64", "arm64")
    ]
    layout = Layout(finish(tmp_path, *images))
    assert layout.root(Platform("linux", "arm64")) == descriptor(images[1])
    with pytest.raises(BuildFailure, match="no image"):
        layout.root(Platform("linux", "s390x"))


def test_what_refers_to_the_image_is_not_another_image(tmp_path: Path) -> None:
    image = add_image(tmp_path, b"1")
    signature = add_image(tmp_path, b"2", subject=image)
    assert Layout(finish(tmp_path, signature, image)).root() == descriptor(image)


def test_one_image_under_two_names_is_one_image(tmp_path: Path) -> None:
    image = add_image(tmp_path, b"1")
    names = [{**image, "annotations": {"org.opencontainers.image.ref.name": name}} for name in "ab"]
    assert Layout(finish(tmp_path, *names)).root() == descriptor(image)


def test_a_root_with_other_bytes_is_a_mismatch(tmp_path: Path) -> None:
    image = add_image(tmp_path, b"1")
    path = blob_path(tmp_path, image)
    path.write_bytes(path.read_bytes().replace(b"layers", b"Layers"))
    with pytest.raises(DigestMismatch):
        Layout(finish(tmp_path, image)).root()


def test_a_folder_that_is_no_layout_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BuildFailure, match="not an OCI layout"):
            Layout(folder)


def test_another_version_of_layouts_is_refused(tmp_path: Path) -> None:
    finish(tmp_path)
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(BuildFailure, match="not an OCI layout"):
        Layout(tmp_path)


def test_content_behind_a_symlink_is_refused(tmp_path: Path) -> None:
    layer = add(tmp_path, b"layer")
    path = blob_path(tmp_path, layer)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    layout = Layout(finish(tmp_path))
    with pytest.raises(BuildFailure, match="no file"):
        layout.open(descriptor(layer))
    assert not layout.exists(descriptor(layer))


def test_a_pipe_in_place_of_content_does_not_wait_for_ever(tmp_path: Path) -> None:
    layer = add(tmp_path, b"layer")
    path = blob_path(tmp_path, layer)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BuildFailure, match="no file"):
        Layout(finish(tmp_path)).open(descriptor(layer))


def test_a_tag_is_an_entry_of_index_json_and_moves(tmp_path: Path) -> None:
    one, two = (descriptor(add_image(tmp_path, content)) for content in (b"1", b"2"))
    layout = Layout(finish(tmp_path))
    layout.tag(one, SHA)
    layout.tag(one, OTHER)
    layout.tag(two, OTHER)
    assert (layout.resolve(SHA), layout.resolve(OTHER)) == (one, two)
    layout.tag(two, SHA)
    assert layout.root() == two


def test_content_without_a_name_is_named_by_its_bytes(tmp_path: Path) -> None:
    found = Layout.create(tmp_path).add("a/b", iter([b"12", b"3"]))
    assert found == descriptor(described(b"123", "a/b"))
    assert blob_path(tmp_path, described(b"123", "a/b")).read_bytes() == b"123"


def test_nothing_unfinished_is_left(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path)
    with pytest.raises(DigestMismatch):
        layout.push(descriptor(described(b"123", "a/b")), io.BytesIO(b"124"))
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []
    assert list((tmp_path / "blobs" / "sha256").iterdir()) == []


def test_annotations_change_the_root_and_nothing_below(tmp_path: Path) -> None:
    children = [add_image(tmp_path, b"1"), add_image(tmp_path, b"2", architecture="arm64")]
    root = add_index(tmp_path, *children, annotations={"kept": "yes", "changed": "old"})
    layout = Layout(finish(tmp_path, root))
    found = with_annotations(layout, descriptor(root), {"changed": "new", "added": "é"})
    document = json.loads(layout.manifest(found))
    assert document["manifests"] == children
    assert document["annotations"] == {"kept": "yes", "changed": "new", "added": "é"}
    assert layout.root() == found
    assert found.digest.hex == hashlib.sha256(layout.manifest(found)).hexdigest()


ANNOTATIONS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8), max_size=4)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(annotations=ANNOTATIONS)
def test_annotating_twice_is_annotating_once(annotations: dict[str, str], tmp_path: Path) -> None:
    image = descriptor(add_image(tmp_path, b"1"))
    layout = Layout(finish(tmp_path, add_image(tmp_path, b"1")))
    once = with_annotations(layout, image, annotations)
    assert with_annotations(layout, once, annotations) == once
    assert json.loads(layout.manifest(once)).get("annotations", {}) == annotations
    assert (once == image) == (annotations == {})


def test_labels_are_those_of_every_platform(tmp_path: Path) -> None:
    attestation = {**add_image(tmp_path, b"0", labels={"a": "0"}),
                   "platform": {"os": "unknown", "architecture": "unknown"}}  # fmt: skip
    image = {**add_image(tmp_path, b"1", labels={"a": "1"}),
             "platform": {"os": "linux", "architecture": "amd64"}}  # fmt: skip
    other = {**add_image(tmp_path, b"2", labels={"a": "2", "b": "2"}, architecture="arm64"),
             "platform": {"os": "linux", "architecture": "arm64"}}  # fmt: skip
    root = add_index(tmp_path, attestation, image, other)
    layout = Layout(finish(tmp_path, root))
    said = with_annotations(layout, descriptor(root), {"b": "3"})
    assert image_says(layout, said) == {"a": {"1", "2"}, "b": {"2", "3"}}
    said = with_annotations(layout, descriptor(image), {"a": "4"})
    assert image_says(layout, said) == {"a": {"1", "4"}}
    assert image_says(layout, descriptor(root)) == {"a": {"1", "2"}, "b": {"2"}}
    assert image_says(layout, descriptor(image)) == {"a": {"1"}}
    assert digests(layout, descriptor(root)) == {descriptor(each).digest for each in (root, image, other)}


def test_an_artifact_says_nothing_of_an_image(tmp_path: Path) -> None:
    empty = add(tmp_path, b"{}", "application/vnd.oci.empty.v1+json")
    image = add_image(tmp_path, config=empty, artifactType="a/b", annotations={"a": "1"})
    assert image_says(Layout(finish(tmp_path, image)), descriptor(image)) == {}
