"""Attaching to, and gathering from, registries that are slow, broken or hostile."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from immutag.core.errors import DigestMismatch, ImmutagError, PushFailure, RegistryAuth, SoftVerifyToolError
from immutag.core.values import Digest, Repository
from immutag.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor, attach, extend
from immutag.oci.attach import Artifact, Layer
from immutag.oci.http import Http
from immutag.oci.legacy import LAYERS_LIMIT, SIMPLE_SIGNING, add_layer
from immutag.oci.objects import Objects
from immutag.oci.registry import Registry
from immutag.oci.session import Limits
from immutag.oci.standard_tag import Suffix, TagImmutable
from immutag.trust.attached import CONTENT_LIMIT_BYTES, Kind, Unread
from immutag.trust.places import Places, attestations, look
from tests.faults.hostile_registry import HostileRegistry, Request, Wire, answer, errors, hostile_registry
from tests.parts.images import described, descriptor

FAST = Limits(timeout_s=2.0, stall_s=2.0, transfer_s=5.0, tries=2, first_wait_s=0.01, patience_s=1.0)
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SUBJECT = Descriptor(IMAGE_MANIFEST, Digest("sha256:" + "a" * 64), 7)
TAG = f"sha256-{SUBJECT.digest.hex}"
OURS = Artifact(BUNDLE, (Layer(BUNDLE, b"{}x", {}),), {"a": "b"})

Json = dict[str, Any]
Special = Callable[["Parts", Request, Wire], bool]


class Parts:
    """A registry that keeps what it is given; `special` may answer first, and says whether it did."""

    def __init__(self, special: Special | None = None, *, api: bool = False) -> None:
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.special = special
        self.api = api

    def add(self, document: Json) -> Json:
        """A manifest by its digest; its descriptor."""
        text = json.dumps(document).encode()
        fields = described(text, document.get("mediaType", IMAGE_MANIFEST))
        self.manifests[fields["digest"]] = text
        return fields

    def attached(self, *layers: Json, **fields: Any) -> Json:
        """A referrer of the subject."""
        return self.add(_referrer(*layers, **fields))

    def list_at_tag(self, *entries: Any, tag: str = TAG) -> None:
        index = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": entries}
        self.manifests[tag] = json.dumps(index).encode()

    def listed(self) -> list[str]:
        return [each["digest"] for each in json.loads(self.manifests[TAG])["manifests"]]

    def blob(self, content: bytes, media_type: str = BUNDLE) -> Json:
        fields = described(content, media_type)
        self.blobs[fields["digest"]] = content
        return fields

    def __call__(self, request: Request, wire: Wire) -> None:
        if self.special and self.special(self, request, wire):
            return
        kind, _, name = request.path.rpartition("/")
        if "/referrers/" in request.path:
            self._referrers(wire)
        elif request.method == "PUT" and kind.endswith("/manifests"):
            self.manifests[name] = wire.read(request.length)
            wire.answer(201)
        elif kind.endswith("/manifests"):
            _give(wire, self.manifests.get(name), request.method)
        elif "/blobs/uploads/" in request.path:
            self._upload(request, wire)
        else:
            _give(wire, self.blobs.get(name), request.method)

    def _referrers(self, wire: Wire) -> None:
        if not self.api:
            wire.answer(404)
            return
        found = [
            {**described(text, IMAGE_MANIFEST), "artifactType": json.loads(text).get("artifactType", "")}
            for name, text in self.manifests.items()
            if name.startswith("sha256:") and "subject" in json.loads(text)
        ]
        index = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": found}
        wire.answer(200, {"Content-Type": IMAGE_INDEX}, json.dumps(index).encode())

    def _upload(self, request: Request, wire: Wire) -> None:
        if request.method == "POST":
            wire.answer(202, {"Location": "/v2/owner/api/blobs/uploads/1"})
        else:
            content = wire.read(request.length)
            self.blobs[described(content, BUNDLE)["digest"]] = content
            wire.answer(201)


def _give(wire: Wire, found: bytes | None, method: str) -> None:
    if found is None:
        wire.answer(404)
    else:
        headers = {"Content-Length": str(len(found))} if method == "HEAD" else {}
        wire.answer(200, headers, b"" if method == "HEAD" else found)


def _referrer(*layers: Json, **fields: Any) -> Json:
    return {
        "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "artifactType": BUNDLE,
        "config": described(b"{}", "application/vnd.oci.empty.v1+json"), "layers": list(layers),
        "subject": {"mediaType": SUBJECT.media_type, "digest": str(SUBJECT.digest), "size": 7},
        **fields,
    }  # fmt: skip


Start = Callable[..., tuple[Parts, Registry, HostileRegistry]]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as running:
        http = running.enter_context(Http(environ={}))

        def begin(
            special: Special | None = None, *, api: bool = False
        ) -> tuple[Parts, Registry, HostileRegistry]:
            parts = Parts(special, api=api)
            server = running.enter_context(hostile_registry(parts))
            return parts, Registry(Repository(server.host, "owner/api"), http=http, limits=FAST), server

        yield begin


def _is_write(request: Request, name: str = TAG) -> bool:
    return request.method == "PUT" and request.path.endswith(f"/manifests/{name}")


# --- attaching


def test_a_registry_that_says_it_lists_a_referrer_has_no_tag_written(start: Start) -> None:
    def says_so(parts: Parts, request: Request, wire: Wire) -> bool:
        if request.method != "PUT" or "/manifests/sha256:" not in request.path:
            return False
        parts.manifests[request.path.rpartition("/")[2]] = wire.read(request.length)
        wire.answer(201, {"OCI-Subject": str(SUBJECT.digest)})
        return True

    parts, registry, server = start(says_so, api=True)
    attach.attach(registry, SUBJECT, OURS)
    assert TAG not in parts.manifests
    assert not server.asked("PUT", TAG)


def test_an_api_that_does_not_say_so_is_asked(start: Start) -> None:
    parts, registry, _ = start(api=True)
    attach.attach(registry, SUBJECT, OURS)
    assert TAG not in parts.manifests


@pytest.mark.parametrize("subject", ["sha256:" + "b" * 64, "yes"])
def test_a_word_about_another_subject_is_none(start: Start, subject: str) -> None:
    def says_so(parts: Parts, request: Request, wire: Wire) -> bool:
        if request.method != "PUT" or "/manifests/sha256:" not in request.path:
            return False
        parts.manifests[request.path.rpartition("/")[2]] = wire.read(request.length)
        wire.answer(201, {"OCI-Subject": subject})
        return True

    parts, registry, _ = start(says_so)
    attached = attach.attach(registry, SUBJECT, OURS)
    assert parts.listed() == [str(attached.digest)]


def test_a_registry_that_says_it_lists_and_does_not_is_an_error(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says_so(parts: Parts, request: Request, wire: Wire) -> bool:
        if "/referrers/" in request.path:
            index = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": []}
            wire.answer(200, {"Content-Type": IMAGE_INDEX}, json.dumps(index).encode())
        elif request.method == "PUT" and "/manifests/" in request.path:
            parts.manifests[request.path.rpartition("/")[2]] = wire.read(request.length)
            wire.answer(201, {"OCI-Subject": str(SUBJECT.digest)})
        else:
            return False
        return True

    monkeypatch.setattr(attach, "_LISTED_WAIT_S", 0.01)
    _, registry, server = start(says_so)
    with pytest.raises(PushFailure, match="says that it lists"):
        attach.attach(registry, SUBJECT, OURS)
    assert len(server.asked("GET", "/referrers/")) == 5


def test_a_manifest_that_comes_back_otherwise_is_not_attached(start: Start) -> None:
    def other(parts: Parts, request: Request, wire: Wire) -> bool:
        if request.method == "GET" and "/manifests/sha256:" in request.path:
            _give(wire, json.dumps(_referrer(annotations={"c": "d"})).encode(), "GET")
            return True
        return False

    _, registry, server = start(other)
    with pytest.raises(DigestMismatch):
        attach.attach(registry, SUBJECT, OURS)
    assert not server.asked("PUT", TAG)


def test_a_manifest_that_is_gone_is_not_attached(start: Start) -> None:
    def lose(parts: Parts, request: Request, wire: Wire) -> bool:
        parts.manifests.clear()
        return False

    _, registry, server = start(lose)
    with pytest.raises(PushFailure, match="does not have it"):
        attach.attach(registry, SUBJECT, OURS)
    assert not server.asked("PUT", TAG)


def test_what_another_writer_threw_out_is_put_back(start: Start) -> None:
    """It read the list before our writing, and wrote it after."""
    seen: list[str] = []

    def throw_out(parts: Parts, request: Request, wire: Wire) -> bool:
        if _is_write(request) and not seen:
            seen.append("")
            wire.read(request.length)
            parts.list_at_tag({**parts.attached(annotations={"of": "theirs"}), "artifactType": BUNDLE})
            wire.answer(201)
            return True
        return False

    parts, registry, _ = start(throw_out)
    attached = attach.attach(registry, SUBJECT, OURS)
    assert len(parts.listed()) == 2
    assert str(attached.digest) in parts.listed()


def test_a_list_that_changed_meanwhile_is_read_again(start: Start) -> None:
    """Where the registry compares, nothing is lost at all."""
    conditions: list[str | None] = []

    def compare(parts: Parts, request: Request, wire: Wire) -> bool:
        if request.path.endswith(TAG) and request.method == "GET" and TAG in parts.manifests:
            wire.answer(200, {"ETag": f'"{len(parts.listed())}"'}, parts.manifests[TAG])
            return True
        if not _is_write(request):
            return False
        conditions.append(request.headers.get("if-match") or request.headers.get("if-none-match"))
        text = wire.read(request.length)
        if len(conditions) == 1:
            parts.list_at_tag({**parts.attached(annotations={"of": "theirs"}), "artifactType": BUNDLE})
            wire.answer(412)
        else:
            parts.manifests[TAG] = text
            wire.answer(201)
        return True

    parts, registry, _ = start(compare)
    attach.attach(registry, SUBJECT, OURS)
    assert conditions == ["*", '"1"']
    assert len(parts.listed()) == 2


def test_what_was_written_while_ours_was_made_is_read_before_we_write(start: Start) -> None:
    """The config takes a while to upload; nothing that was read before that is written after it."""
    theirs = described(b"theirs", SIMPLE_SIGNING)

    def slow(parts: Parts, request: Request, wire: Wire) -> bool:
        if (
            request.method == "POST"
            and described(b"{}", "a/b")["digest"] in parts.blobs
            and not parts.manifests
        ):
            parts.manifests[f"{TAG}.sig"] = json.dumps(_referrer(theirs)).encode()
            wire.drip(answer(202, {"Location": "/v2/owner/api/blobs/uploads/1"}), 0.001)
            return True
        return False

    parts, registry, server = start(slow)
    add_layer(registry, SUBJECT.digest, Suffix.SIGNATURES, Layer(SIMPLE_SIGNING, b"{}", {"a": "b"}))
    assert json.loads(parts.manifests[f"{TAG}.sig"])["layers"][0] == theirs
    assert len(server.asked("PUT", f"{TAG}.sig")) == 1


def test_a_list_that_never_keeps_our_entry_ends_in_an_error(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgets(parts: Parts, request: Request, wire: Wire) -> bool:
        if _is_write(request):
            wire.read(request.length)
            wire.answer(201)
            return True
        return False

    monkeypatch.setattr(extend, "_PATIENCE_S", 0.5)
    _, registry, server = start(forgets)
    with pytest.raises(PushFailure, match="does not stay"):
        attach.attach(registry, SUBJECT, OURS)
    assert len(server.asked("PUT", TAG)) > 1


@pytest.mark.parametrize(
    ("status", "code"), [(400, "TAG_IMMUTABLE"), (403, "DENIED"), (405, ""), (409, ""), (412, "")]
)
def test_a_tag_that_may_not_be_written_again_says_so(start: Start, status: int, code: str) -> None:
    def refuse(parts: Parts, request: Request, wire: Wire) -> bool:
        if _is_write(request):
            wire.read(request.length)
            wire.answer(status, {}, errors(code))
            return True
        return False

    parts, registry, _ = start(refuse)
    parts.list_at_tag(described(b"other", IMAGE_MANIFEST))
    before = parts.manifests[TAG]
    with pytest.raises(TagImmutable) as refused:
        attach.attach(registry, SUBJECT, OURS)
    assert str(status) in refused.value.found
    assert parts.manifests[TAG] == before


@pytest.mark.parametrize(("status", "kind"), [(401, RegistryAuth), (403, RegistryAuth), (500, PushFailure)])
def test_a_tag_that_may_not_be_written_at_all_is_another_error(
    start: Start, status: int, kind: type[ImmutagError]
) -> None:
    def refuse(parts: Parts, request: Request, wire: Wire) -> bool:
        if _is_write(request):
            wire.read(request.length)
            wire.answer(status)
            return True
        return False

    _, registry, _ = start(refuse)
    with pytest.raises(kind) as refused:
        attach.attach(registry, SUBJECT, OURS)
    assert not isinstance(refused.value, TagImmutable)


def test_a_refusal_that_passes_is_none(start: Start) -> None:
    """distribution misses blobs that it has, while somebody else uploads them too."""
    refused: list[str] = []

    def hesitate(parts: Parts, request: Request, wire: Wire) -> bool:
        if request.method == "PUT" and "/manifests/" in request.path and request.path not in refused:
            refused.append(request.path)
            wire.read(request.length)
            wire.answer(400, {}, errors("MANIFEST_BLOB_UNKNOWN"))
            return True
        return False

    parts, registry, _ = start(hesitate)
    attached = attach.attach(registry, SUBJECT, OURS)
    assert parts.listed() == [str(attached.digest)]
    assert len(refused) == 2


@pytest.mark.parametrize(
    "text", [b"nonsense", b'{"a":1,"a":2}', b"[" * 100, b'{"schemaVersion":2,"layers":[],"manifests":[]}']
)
def test_a_list_that_cannot_be_read_is_not_overwritten(start: Start, text: bytes) -> None:
    parts, registry, server = start()
    parts.manifests[TAG] = text
    with pytest.raises(PushFailure):
        attach.attach(registry, SUBJECT, OURS)
    assert not server.asked("PUT", TAG)


def test_a_list_that_is_full_says_so(start: Start) -> None:
    parts, registry, server = start()
    entry = {**described(b"other", IMAGE_MANIFEST), "annotations": {"a": "x" * (4 * 1024 * 1024 - 400)}}
    parts.list_at_tag(entry)
    assert len(parts.manifests[TAG]) < 4 * 1024 * 1024
    with pytest.raises(PushFailure, match="full"):
        attach.attach(registry, SUBJECT, OURS)
    assert not server.asked("PUT", TAG)


@pytest.mark.parametrize("manifests", [None, []])
def test_an_empty_list_is_extended(start: Start, manifests: list[Json] | None) -> None:
    parts, registry, _ = start()
    index = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": manifests, "annotations": {"a": "b"}}
    parts.manifests[TAG] = json.dumps(index).encode()
    attached = attach.attach(registry, SUBJECT, OURS)
    assert parts.listed() == [str(attached.digest)]
    assert json.loads(parts.manifests[TAG])["annotations"] == {"a": "b"}


def test_more_layers_than_cosign_reads_are_not_written(start: Start) -> None:
    parts, registry, server = start()
    layer = described(b"{}", SIMPLE_SIGNING)
    document = _referrer(*[layer] * LAYERS_LIMIT)
    parts.manifests[f"{TAG}.sig"] = json.dumps(document).encode()
    with pytest.raises(PushFailure, match="as cosign reads"):
        add_layer(registry, SUBJECT.digest, Suffix.SIGNATURES, Layer(SIMPLE_SIGNING, b"{}", {"a": "b"}))
    assert not server.asked("PUT", TAG)


@pytest.mark.parametrize("config", [b"nonsense", b"[]", None])
def test_a_signature_manifest_with_a_broken_config_is_no_reason_to_lose_it(
    start: Start, config: bytes | None
) -> None:
    parts, registry, _ = start()
    media_type = "application/vnd.oci.image.config.v1+json"
    fields = parts.blob(config, media_type) if config else described(b"gone", media_type)
    theirs = described(b"theirs", SIMPLE_SIGNING)
    document = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": fields, "layers": [theirs]}
    parts.manifests[f"{TAG}.sig"] = json.dumps(document).encode()
    add_layer(registry, SUBJECT.digest, Suffix.SIGNATURES, Layer(SIMPLE_SIGNING, b"{}", {"a": "b"}))
    after = json.loads(parts.manifests[f"{TAG}.sig"])
    assert after["layers"][0] == theirs
    assert len(after["layers"]) == 2
    config_after = json.loads(parts.blobs[after["config"]["digest"]])
    assert len(config_after["rootfs"]["diff_ids"]) == 2


# --- gathering


def test_a_bundle_that_is_too_large_is_a_candidate_that_is_never_read(start: Start) -> None:
    parts, registry, server = start()
    large = {**described(b"large", BUNDLE), "size": 64 * 1024 * 1024}
    parts.list_at_tag(parts.attached(large))
    (found,) = look(registry, SUBJECT.digest).candidates
    assert (found.kind, found.content, found.unread) == (Kind.BUNDLE, None, Unread.TOO_LARGE)
    assert not server.asked("GET", "/blobs/")


def test_a_bundle_that_is_larger_than_it_says_is_cut_off(start: Start) -> None:
    large = described(b"large", BUNDLE)

    def endless(parts: Parts, request: Request, wire: Wire) -> bool:
        if request.path.endswith(large["digest"]):
            wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
            wire.endlessly(b"x" * 65536)
            return True
        return False

    parts, registry, server = start(endless)
    parts.list_at_tag(parts.attached(large))
    (found,) = look(registry, SUBJECT.digest).candidates
    assert (found.content, found.unread) == (None, Unread.TOO_LARGE)
    assert max(wire.sent_bytes for wire in server.wires) < 2 * CONTENT_LIMIT_BYTES


@pytest.mark.parametrize(
    ("content", "size", "unread"),
    [
        (None, 5, Unread.GONE),
        (b"other", 5, Unread.DAMAGED),
        (b"bytes and more", 5, Unread.DAMAGED),
        (b"bytes", 4, Unread.DAMAGED),
    ],
)
def test_a_bundle_that_is_not_there_as_named_spoils_no_other(
    start: Start, content: bytes | None, size: int, unread: Unread
) -> None:
    parts, registry, _ = start()
    bad = {**described(b"bytes", BUNDLE), "size": size}
    if content is not None:
        parts.blobs[bad["digest"]] = content
    parts.list_at_tag(parts.attached(bad), parts.attached(parts.blob(b"good")))
    found = {each.unread: each.content for each in look(registry, SUBJECT.digest).candidates}
    assert found == {unread: None, None: b"good"}


def test_what_was_kept_is_held_against_the_manifest_too(start: Start, tmp_path: Path) -> None:
    """A verdict is the same whether the content was asked for or kept."""
    parts, registry, _ = start()
    fields = parts.blob(b"bytes")
    parts.list_at_tag(parts.attached({**fields, "size": 4}))
    objects = Objects(tmp_path)
    objects.put(Digest(fields["digest"]), b"bytes")
    (found,) = look(registry, SUBJECT.digest, objects=objects).candidates
    assert (found.content, found.unread) == (None, Unread.DAMAGED)


def test_a_list_that_says_another_size_costs_no_verdict(start: Start) -> None:
    """Anybody who may write the fallback tag could otherwise keep the image from being verified."""
    parts, registry, _ = start()
    entry = parts.attached(parts.blob(b"good"))
    parts.list_at_tag({**entry, "size": 3})
    (found,) = look(registry, SUBJECT.digest).candidates
    assert found.content == b"good"
    assert found.manifest == descriptor(entry)


@pytest.mark.parametrize(
    ("media_type", "artifact_type", "kind"),
    [
        (BUNDLE, BUNDLE, Kind.BUNDLE),
        ("application/vnd.dev.sigstore.bundle+json;version=0.2", "application/x", Kind.BUNDLE),
        (BUNDLE, "application/vnd.oci.empty.v1+json", Kind.BUNDLE),
        ("application/octet-stream", "application/vnd.dev.sigstore.bundle+json;version=0.1", Kind.BUNDLE),
        (SIMPLE_SIGNING, "application/vnd.dev.cosign.artifact.sig.v1+json", Kind.LEGACY),
        ("application/jose+json", "application/vnd.cncf.notary.signature", Kind.OTHER_SIGNATURE),
    ],
)
def test_a_signature_is_a_candidate_whatever_the_list_says_of_it(
    start: Start, media_type: str, artifact_type: str, kind: Kind
) -> None:
    parts, registry, _ = start()
    entry = parts.attached(parts.blob(b"content", media_type), artifactType=artifact_type)
    parts.list_at_tag({**entry, "artifactType": "application/x.lie", "annotations": {
        "dev.sigstore.bundle.predicateType": "https://example.org/none"}})  # fmt: skip
    (found,) = look(registry, SUBJECT.digest).candidates
    assert (found.kind, found.content) == (kind, b"content")
    (again,) = Places(registry).look_until(SUBJECT.digest, lambda _: False).candidates
    assert again == found


def test_a_referrer_that_is_an_index_is_attached_as_well(start: Start) -> None:
    parts, registry, _ = start()
    document = _referrer(mediaType=IMAGE_INDEX, manifests=[])
    del document["layers"], document["config"]
    entry = parts.add(document)
    parts.list_at_tag(entry)
    (found,) = attestations(registry, SUBJECT.digest).candidates
    assert found.layer == descriptor(entry)
    assert found.content == parts.manifests[entry["digest"]]


def test_what_is_listed_and_is_none_is_said(start: Start) -> None:
    parts, registry, _ = start()
    other = parts.add({**_referrer(), "subject": described(b"other", IMAGE_MANIFEST)})
    gone = described(b"gone", IMAGE_MANIFEST)
    parts.list_at_tag(other, gone, {**gone, "digest": str(SUBJECT.digest)}, described(b"blob", "text/plain"))
    found = look(registry, SUBJECT.digest)
    assert found.candidates == ()
    answers = {place.name: place.answer for place in found.places}
    assert answers["fallback tag"] == "no referrers; 4 listed that are none of this image"


@pytest.mark.parametrize("status", [401, 500])
@pytest.mark.parametrize("path", ["/manifests/sha256:", "/blobs/"])
def test_a_candidate_that_cannot_be_asked_for_is_no_verdict(start: Start, path: str, status: int) -> None:
    def away(parts: Parts, request: Request, wire: Wire) -> bool:
        if path in request.path:
            wire.answer(status)
            return True
        return False

    parts, registry, _ = start(away)
    parts.list_at_tag(parts.attached(parts.blob(b"good")))
    with pytest.raises(SoftVerifyToolError):
        look(registry, SUBJECT.digest)
    with pytest.raises(SoftVerifyToolError):
        Places(registry).look_until(SUBJECT.digest, lambda _: True)


def test_a_registry_that_gives_another_manifest_is_no_verdict(start: Start) -> None:
    parts, registry, _ = start()
    entry = parts.attached(parts.blob(b"good"))
    parts.manifests[entry["digest"]] = json.dumps(_referrer(annotations={"x": "y"})).encode()
    parts.list_at_tag(entry)
    with pytest.raises(SoftVerifyToolError):
        look(registry, SUBJECT.digest)


def test_more_than_can_be_borne_is_no_verdict(start: Start) -> None:
    parts, registry, server = start()
    large = [{**described(b"%d" % each, BUNDLE), "size": CONTENT_LIMIT_BYTES} for each in range(17)]
    parts.list_at_tag(parts.attached(*large))
    with pytest.raises(SoftVerifyToolError, match="more is attached"):
        look(registry, SUBJECT.digest)
    assert not server.asked("GET", "/blobs/")


def test_a_list_without_an_end_is_no_verdict(start: Start) -> None:
    def paging(parts: Parts, request: Request, wire: Wire) -> bool:
        if "/referrers/" not in request.path:
            return False
        index = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": None}
        headers = {"Content-Type": IMAGE_INDEX, "Link": f'<{request.path.partition("?")[0]}?n=1>; rel="next"'}
        wire.answer(200, headers, json.dumps(index).encode())
        return True

    _, registry, _ = start(paging)
    with pytest.raises(SoftVerifyToolError):
        look(registry, SUBJECT.digest)


def test_many_pages_of_padding_are_bounded(start: Start) -> None:
    padding = json.dumps({
        "schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": None, "annotations": {"a": "x" * 4_000_000}
    }).encode()  # fmt: skip
    asked: list[int] = []

    def paging(parts: Parts, request: Request, wire: Wire) -> bool:
        if "/referrers/" not in request.path:
            return False
        asked.append(1)
        link = f'<{request.path.partition("?")[0]}?n={len(asked)}>; rel="next"'
        wire.answer(200, {"Content-Type": IMAGE_INDEX, "Link": link}, padding)
        return True

    _, registry, _ = start(paging)
    with pytest.raises(SoftVerifyToolError, match="more referrers"):
        look(registry, SUBJECT.digest)
    assert len(asked) < 20
