"""What we attach is what other tools find; and nobody's entry is lost, whoever else writes the same list."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutag.core.errors import PushFailure
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.attach import EMPTY, Artifact, Layer, attach, attach_all, push_blobs
from immutag.oci.content import digest_of
from immutag.oci.copy import copy
from immutag.oci.fanout import map_each
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.legacy import DSSE_ENVELOPE, SIMPLE_SIGNING, add_layer
from immutag.oci.objects import Objects
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import Suffix, TagImmutable
from immutag.trust.attached import Attached, Kind
from immutag.trust.places import Places, attestations, look
from tests.parts import registries
from tests.parts.attaching import BUNDLE, SIGNATURE, artifact, signature
from tests.parts.images import add_image, add_index, descriptor, finish
from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer

KINDS = ["registry2", "registry3", "registry_referrers", "registry_immutable"]
WITHOUT_API = ["registry2", "registry3"]
PROCESSES, EACH = 8, 2


class Image:
    """An image in a registry, as us and as other tools see it."""

    def __init__(self, part: registries.Registry, registry: Registry, subject: Descriptor) -> None:
        self.part, self.registry, self.subject = part, registry, subject
        self.repository = registry.repository
        self.reference = f"{registry.repository}@{subject.digest}"
        self.list_tag = f"{registry.repository}:sha256-{subject.digest.hex}"

    def writes(self) -> int:
        """How many manifests were put at a tag of the standards' so far."""
        path = f"{self.repository.path}/manifests/sha256-"
        return sum(request.method == "PUT" for request in self.part.requests(path))


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(environ={}) as client:
        yield client


@pytest.fixture(params=KINDS)
def image(request: pytest.FixtureRequest, http: Http, tmp_path: Path) -> Image:
    return _image(request.getfixturevalue(request.param), http, tmp_path)


def _image(part: registries.Registry, http: Http, folder: Path) -> Image:
    registry = Registry(part.repository(), http=http)
    root = add_image(folder / "image", os.urandom(10))
    copy(Layout(finish(folder / "image", root)), registry, descriptor(root))
    return Image(part, registry, descriptor(root))


def _discovered(oras: Peer, image: Image) -> dict[str, dict[str, object]]:
    """What oras lists, by digest."""
    said = json.loads(oras("discover", "--plain-http", "--format", "json", image.reference))
    return {each["digest"]: each for each in said["referrers"] or said.get("manifests") or ()}


# --- referrers


def test_what_is_attached_is_listed_by_another_tool(image: Image, oras: Peer, crane: Crane) -> None:
    made = artifact("ours")
    attached = attach(image.registry, image.subject, made)
    listed = _discovered(oras, image)[str(attached.digest)]
    assert listed["artifactType"] == BUNDLE
    assert listed["annotations"] == made.annotations
    manifest = crane.manifest(f"{image.repository}@{attached.digest}")
    assert manifest["subject"]["digest"] == str(image.subject.digest)
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    (layer,) = manifest["layers"]
    assert crane.raw("blob", f"{image.repository}@{layer['digest']}") == made.layers[0].content
    assert crane.raw("blob", f"{image.repository}@{manifest['config']['digest']}") == b"{}"


def test_attaching_twice_changes_nothing(image: Image, oras: Peer) -> None:
    first = attach(image.registry, image.subject, artifact("ours"))
    before = _discovered(oras, image), image.writes()
    assert attach(image.registry, image.subject, artifact("ours")) == first
    assert (_discovered(oras, image), image.writes()) == before


def test_several_are_attached_with_one_list(image: Image, oras: Peer) -> None:
    made = [artifact(f"number {number}") for number in range(3)]
    attached = attach_all(image.registry, image.subject, made)
    assert set(_discovered(oras, image)) == {str(each.digest) for each in attached}
    assert image.writes() <= 1


def test_what_another_tool_attached_stays(image: Image, oras: Peer, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("theirs")
    said = oras(
        "attach", "--plain-http", "--disable-path-validation", "--artifact-type", "application/x.note",
        "--format", "json", "--annotation", "who=them", image.reference, f"{tmp_path / 'note'}:text/plain",
    )  # fmt: skip
    theirs = json.loads(said)["digest"]
    before = _discovered(oras, image)[theirs]
    ours = attach(image.registry, image.subject, artifact("ours"))
    after = _discovered(oras, image)
    assert set(after) == {theirs, str(ours.digest)}
    assert after[theirs] == before


@pytest.mark.parametrize("image", WITHOUT_API, indirect=True)
def test_what_we_do_not_know_in_a_list_stays(image: Image, tmp_path: Path, crane: Crane) -> None:
    entry = {**add_image(tmp_path / "image", b"other"), "x.field": [1, {"deep": None}]}
    listing = descriptor(add_index(tmp_path / "image", entry, annotations={"of": "theirs"}))
    copy(Layout(tmp_path / "image"), image.registry, listing)
    crane("tag", f"{image.repository}@{listing.digest}", f"sha256-{image.subject.digest.hex}")
    before = crane.manifest(image.list_tag)
    attach(image.registry, image.subject, artifact("ours"))
    after = crane.manifest(image.list_tag)
    assert after["manifests"][:-1] == before.pop("manifests")
    assert {**before, "manifests": after["manifests"]} == after


@pytest.mark.parametrize("image", WITHOUT_API, indirect=True)
def test_a_tag_that_holds_something_else_is_not_overwritten(
    image: Image, tmp_path: Path, crane: Crane
) -> None:
    other = add_image(tmp_path / "image", b"other")
    copy(Layout(tmp_path / "image"), image.registry, descriptor(other))
    for suffix in ("", ".sig"):
        crane("tag", f"{image.repository}@{other['digest']}", f"sha256-{image.subject.digest.hex}{suffix}")
    with pytest.raises(PushFailure):
        attach(image.registry, image.subject, artifact("ours"))
    assert crane.digest(image.list_tag) == other["digest"]


# --- many at once


def _at_once(image: Image, how: str) -> set[str]:
    """Several processes that attach to one image; what they were told is there."""
    subject = image.subject
    running = [
        subprocess.Popen(
            [
                sys.executable, "-m", "tests.parts.attaching", str(image.repository), subject.media_type,
                str(subject.digest), str(subject.size_bytes), how, str(number), str(EACH),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(PROCESSES)
    ]  # fmt: skip
    try:
        assert [process.stdout and process.stdout.readline() for process in running] == [
            "ready\n"
        ] * PROCESSES
        for process in running:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=120)[0].split() for process in running]
        assert [process.returncode for process in running] == [0] * PROCESSES
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
    return {digest for digests in said for digest in digests}


@pytest.mark.slow
@pytest.mark.parametrize("image", WITHOUT_API, indirect=True)
def test_who_attaches_at_the_same_time_loses_nothing(image: Image, oras: Peer) -> None:
    told = _at_once(image, "referrer")
    assert len(told) == PROCESSES * EACH
    assert set(_discovered(oras, image)) == told


@pytest.mark.slow
@pytest.mark.parametrize("image", WITHOUT_API, indirect=True)
def test_who_signs_at_the_same_time_loses_nothing(image: Image, crane: Crane) -> None:
    _at_once(image, "signature")
    layers = crane.manifest(f"{image.list_tag}.sig")["layers"]
    names = sorted(layer["annotations"][SIGNATURE] for layer in layers)
    assert names == sorted(f"{process}-{number}" for process in range(PROCESSES) for number in range(EACH))


# --- cosign's own tags


@pytest.mark.parametrize("image", KINDS[:3], indirect=True)
def test_a_layer_is_added_to_those_of_others_and_once_only(image: Image, crane: Crane) -> None:
    tag = f"{image.list_tag}.sig"
    first = add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("first"))
    assert crane.digest(tag) == str(first.digest)
    second = add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("second"))
    writes = image.writes()
    assert add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("first")) == second
    assert image.writes() == writes
    manifest, config = crane.manifest(tag), crane.config(tag)
    assert [layer["annotations"] for layer in manifest["layers"]] == [
        {SIGNATURE: "first"}, {SIGNATURE: "second"}
    ]  # fmt: skip
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


@pytest.mark.slow
def test_cosigns_signature_stays_valid_beside_ours(
    registry2: registries.Registry, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ours stays where cosign adds one: each takes the other's manifest for its own kind."""
    image = _image(registry2, http, tmp_path)
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    monkeypatch.chdir(tmp_path)
    cosign = Peer(peer("cosign2"))
    cosign("generate-key-pair")
    sign = ["sign", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry"]
    verify = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry"]
    add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("bm9uZQ=="))
    cosign(*sign, image.reference)
    add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("b3RoZXI="))
    (verified,) = json.loads(cosign(*verify, image.reference))
    assert verified["critical"]["image"]["docker-manifest-digest"] == str(image.subject.digest)
    found = look(image.registry, image.subject.digest)
    assert [each.kind for each in found.candidates] == [Kind.LEGACY] * 3
    assert len({each.layer_annotations[SIGNATURE] for each in found.candidates}) == 3


# --- registries whose tags are written once


def test_where_no_tag_may_change_referrers_still_work_and_the_legacy_form_says_why_not(
    registry_immutable: registries.Registry, http: Http, tmp_path: Path, crane: Crane
) -> None:
    image = _image(registry_immutable, http, tmp_path)
    attach_all(image.registry, image.subject, [artifact("one"), artifact("two")])
    attach(image.registry, image.subject, artifact("three"))
    first = add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("first"))
    with pytest.raises(TagImmutable) as refused:
        add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("second"))
    assert "signature_repository" in refused.value.remedy
    assert "403" in refused.value.found
    assert crane.digest(f"{image.list_tag}.sig") == str(first.digest)
    assert len(look(image.registry, image.subject.digest).candidates) == 4


@pytest.mark.slow
@pytest.mark.parametrize("image", ["registry2", "registry_referrers"], indirect=True)
def test_a_repository_of_their_own_holds_signatures_as_cosign_has_it(
    image: Image, http: Http, crane: Crane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image's repository is not written; cosign puts its own where ours are."""
    before = crane.tags(image.repository)
    signatures = Registry(image.part.repository("signatures"), http=http)
    attached = attach(signatures, image.subject, artifact("ours"))
    add_layer(signatures, image.subject.digest, Suffix.SIGNATURES, signature("ours"))
    monkeypatch.chdir(tmp_path)
    cosign = Peer(peer("cosign"), {"COSIGN_PASSWORD": "", "COSIGN_REPOSITORY": str(signatures.repository)})
    cosign("generate-key-pair")
    cosign("signing-config", "create", "--out", "empty.json")
    cosign("sign", "--yes", "--key", "cosign.key", "--signing-config", "empty.json",
           "--allow-http-registry", image.reference)  # fmt: skip
    found = look(image.registry, image.subject.digest, signatures=signatures)
    bundles = [each for each in found.candidates if each.kind is Kind.BUNDLE]
    assert len(bundles) == 2
    assert len({each.place for each in bundles}) == 1
    assert attached.digest in {each.manifest.digest for each in bundles}
    assert len(found.candidates) == 3
    assert all(each.place.endswith(f" in {signatures.repository}") for each in found.candidates)
    assert crane.tags(image.repository) == before
    assert look(image.registry, image.subject.digest).candidates == ()
    assert f"sha256-{image.subject.digest.hex}.sig" in cosign(
        "tree", "--allow-http-registry", image.reference
    )


# --- gathering


def test_nothing_attached_is_dropped_whatever_its_form(image: Image) -> None:
    made = [
        artifact("bundle"),
        Artifact("application/spdx+json", (Layer("application/spdx+json", b'{"spdx":1}', {}),), {}),
        Artifact("application/x.empty", (), {"a": "b"}),
    ]
    attach_all(image.registry, image.subject, made)
    add_layer(image.registry, image.subject.digest, Suffix.SIGNATURES, signature("ours"))
    envelope = Layer(DSSE_ENVELOPE, b'{"payload":""}', {"predicateType": "x"})
    add_layer(image.registry, image.subject.digest, Suffix.ATTESTATIONS, envelope)
    found = attestations(image.registry, image.subject.digest)
    assert {(each.layer.media_type, each.content, each.kind) for each in found.candidates} == {
        (BUNDLE, b'{"of":"bundle"}', Kind.BUNDLE),
        ("application/spdx+json", b'{"spdx":1}', Kind.OTHER),
        ("application/vnd.oci.empty.v1+json", b"{}", Kind.OTHER),
        (SIMPLE_SIGNING, signature("ours").content, Kind.LEGACY),
        (DSSE_ENVELOPE, b'{"payload":""}', Kind.ENVELOPE),
    }
    (envelope_found,) = (each for each in found.candidates if each.kind is Kind.ENVELOPE)
    assert envelope_found.layer_annotations == {"predicateType": "x"}
    looked = look(image.registry, image.subject.digest)
    assert {each.kind for each in looked.candidates} == {Kind.BUNDLE, Kind.LEGACY}
    assert looked.complete


def test_a_search_ends_with_the_first_candidate_that_is_enough(image: Image) -> None:
    """The signature is looked at before the others, though it was attached last."""
    others = [artifact(f"number {number}") for number in range(6)]
    sign = Artifact(
        BUNDLE, others[0].layers, {"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"}
    )
    attach_all(image.registry, image.subject, [*others, sign])
    places = Places(image.registry)
    seen: list[str] = []

    def enough(attached: Attached) -> bool:
        seen.append(attached.annotations.get("dev.sigstore.bundle.predicateType", "none"))
        return True

    found = places.look_until(image.subject.digest, enough)
    assert seen == ["https://sigstore.dev/cosign/sign/v1"]
    assert not found.complete
    answers = {place.name: place.answer for place in found.places}
    assert "6 not read" in " ".join(answers.values())
    assert answers["cosign tag"].startswith("not asked")
    before = image.registry.requests
    places.look_until(image.subject.digest, lambda _: True)  # the place that had it is now asked first
    assert image.registry.requests == before + 3
    complete = places.look_until(image.subject.digest, lambda _: False)
    assert complete.complete
    assert len(complete.candidates) == 7


def test_what_cannot_change_is_asked_for_once(image: Image, tmp_path: Path) -> None:
    attach(image.registry, image.subject, artifact("ours"))
    objects = Objects(tmp_path / "objects")
    first = look(image.registry, image.subject.digest, objects=objects)
    before = image.registry.requests
    assert look(image.registry, image.subject.digest, objects=objects) == first
    assert image.registry.requests == before + 3  # the three places, and nothing by digest


@pytest.mark.slow
def test_ten_thousand_referrers_are_an_answer(
    registry_referrers: registries.Registry, http: Http, tmp_path: Path
) -> None:
    """All are read; and the one that matters is found at once by whoever asks for it."""
    image = _image(registry_referrers, http, tmp_path)
    push_blobs(image.registry, [EMPTY])
    made = [Artifact("application/x.note", (EMPTY,), {"number": str(number)}) for number in range(10_000)]

    def push(each: Artifact) -> None:
        text = each.manifest(image.subject)
        content = Descriptor(IMAGE_MANIFEST, digest_of(text), len(text))
        image.registry.push_referrer(content, text, image.subject.digest)

    map_each(push, made, workers=8)
    signed = attach(image.registry, image.subject, artifact("the one"))
    before = image.registry.requests
    quick = Places(image.registry).look_until(image.subject.digest, lambda _: True)
    assert [each.manifest.digest for each in quick.candidates] == [signed.digest]
    assert image.registry.requests - before < 100
    found = look(image.registry, image.subject.digest)
    assert [each.manifest.digest for each in found.candidates] == [signed.digest]
    assert image.registry.requests - before > 10_000
