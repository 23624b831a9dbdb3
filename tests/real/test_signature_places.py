"""Where signatures lie, put there by other tools; and that ignorance is never `missing`."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import SignatureReason
from immutag.core.values import Digest, Repository
from immutag.core.verification import Unverified
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from immutag.oci.session import Limits
from immutag.trust import verify
from immutag.trust.rule import TrustRule
from tests.parts import registries
from tests.parts.images import add_image, add_index, descriptor, finish
from tests.parts.peers import Crane, Peer
from tests.parts.processes import free_port

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
KINDS = ["registry2", "registry3", "registry_referrers"]


class Signed:
    """An image in a registry, to which other tools attach things."""

    def __init__(self, registry: Registry, subject: Digest, oras: Peer, crane: Crane, folder: Path) -> None:
        self.registry, self.subject, self.oras, self.crane = registry, subject, oras, crane
        self.folder = folder
        self.reference = f"{registry.repository}@{subject}"

    def attach(self, artifact_type: str, *options: str) -> str:
        """By oras: the referrers API where there is one, else the fallback tag. Returns its digest."""
        (self.folder / "bundle.json").write_bytes(os.urandom(8))
        said = self.oras(
            "attach", "--plain-http", "--disable-path-validation", "--artifact-type", artifact_type,
            "--format", "json", *options, self.reference, f"{self.folder / 'bundle.json'}:{artifact_type}",
        )  # fmt: skip
        digest: str = json.loads(said)["digest"]
        return digest

    def look(self) -> tuple[SignatureReason, dict[str, str]]:
        found = verify(self.registry, self.subject, TrustRule())
        assert isinstance(found, Unverified)
        assert found.subject == self.subject
        return found.reason, {place.name: place.answer for place in found.places}


@pytest.fixture(params=KINDS)
def part(request: pytest.FixtureRequest) -> registries.Registry:
    found: registries.Registry = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def http_client() -> Iterator[Http]:
    client = Http(environ={})
    yield client
    client.close()


@pytest.fixture
def signed(part: registries.Registry, http_client: Http, tmp_path: Path, oras: Peer, crane: Crane) -> Signed:
    return _signed(part, http_client, tmp_path, oras, crane)


def _signed(part: registries.Registry, http: Http, folder: Path, oras: Peer, crane: Crane) -> Signed:
    registry = Registry(part.repository(), http=http)
    root = add_image(folder / "image", os.urandom(10))
    copy(Layout(finish(folder / "image", root)), registry, descriptor(root))
    return Signed(registry, descriptor(root).digest, oras, crane, folder)


def test_nothing_anywhere_is_missing(signed: Signed) -> None:
    reason, places = signed.look()
    assert reason is SignatureReason.MISSING
    assert places.pop("referrers API") in ("the registry has no such API", "no referrers")
    assert places == {"cosign tag": "no such tag", "fallback tag": "no referrers"}


def test_a_bundle_attached_by_another_tool_is_found_and_not_believed(signed: Signed) -> None:
    bundle = signed.attach(BUNDLE)
    reason, places = signed.look()
    assert reason is SignatureReason.INVALID  # what lies there is no signature at all
    answered = [name for name, answer in places.items() if answer == f"bundle {bundle}"]
    assert answered in (["referrers API"], ["fallback tag"])


def test_a_signature_in_the_old_place_is_found(signed: Signed) -> None:
    tag = f"{signed.registry.repository}:sha256-{signed.subject.hex}.sig"
    (signed.folder / "payload").write_text("{}")
    signed.oras(
        "push", "--plain-http", "--disable-path-validation", tag,
        f"{signed.folder / 'payload'}:application/vnd.dev.cosign.simplesigning.v1+json",
    )  # fmt: skip
    reason, places = signed.look()
    assert reason is SignatureReason.INVALID  # what lies there is no signature at all
    assert places["cosign tag"] == f"legacy signature {signed.crane.digest(tag)}"


def test_what_is_attached_and_is_no_signature_is_none(signed: Signed) -> None:
    signed.attach("application/spdx+json")
    reason, places = signed.look()
    assert reason is SignatureReason.MISSING
    assert "1 referrers, no signature among them" in places.values()


def test_a_fallback_tag_counts_where_there_is_an_api_with_nothing(
    registry_referrers: registries.Registry, http_client: Http, tmp_path: Path, oras: Peer, crane: Crane
) -> None:
    """A signature from before the registry learned of referrers: only the tag knows it."""
    signed = _signed(registry_referrers, http_client, tmp_path, oras, crane)
    layout = Layout(tmp_path / "image")
    subject = json.loads((tmp_path / "image" / "index.json").read_text())["manifests"][0]
    signature = add_image(tmp_path / "image", subject=subject, artifactType=BUNDLE)
    other = signed.registry.repository
    listing = descriptor(add_index(tmp_path / "image", {**signature, "artifactType": BUNDLE}))
    copy(layout, signed.registry, listing)
    crane("tag", f"{other}@{listing.digest}", f"sha256-{signed.subject.hex}")
    reason, places = signed.look()
    assert reason is SignatureReason.INVALID  # what lies there is no signature at all
    assert places["fallback tag"] == f"bundle {signature['digest']}"


def test_a_fallback_tag_that_is_the_image_itself_says_nothing(signed: Signed) -> None:
    signed.crane("tag", signed.reference, f"sha256-{signed.subject.hex}")
    signed.crane("tag", signed.reference, f"sha256-{signed.subject.hex}.sig")
    reason, places = signed.look()
    assert reason is SignatureReason.MISSING
    assert (places["fallback tag"], places["cosign tag"]) == ("no referrers", "no such tag")


def test_a_signature_of_another_image_is_none(signed: Signed, tmp_path: Path) -> None:
    """The list may say whatever it likes: the manifest's own subject counts."""
    other = add_image(tmp_path / "image", b"other")
    foreign = add_image(tmp_path / "image", subject=other, artifactType=BUNDLE)
    listing = descriptor(add_index(tmp_path / "image", {**foreign, "artifactType": BUNDLE}))
    copy(Layout(tmp_path / "image"), signed.registry, listing)
    tag = f"sha256-{signed.subject.hex}"
    signed.crane("tag", f"{signed.registry.repository}@{listing.digest}", tag)
    assert signed.look()[0] is SignatureReason.MISSING


SUBJECT = Digest("sha256:" + "a" * 64)


@contextmanager
def answering(status_of: dict[str, int]) -> Iterator[Repository]:
    """A registry that gives each place the status whose key its path contains, and 404 to others."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = [status for part, status in status_of.items() if part in self.path]
            self.send_response(found[0] if found else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Repository(f"127.0.0.1:{server.server_address[1]}", "api")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [401, 403, 500, 503])
@pytest.mark.parametrize("place", [".sig", "/referrers/", f"manifests/sha256-{SUBJECT.hex}"])
def test_one_place_that_cannot_be_asked_is_no_verdict(http_client: Http, place: str, status: int) -> None:
    """Two clear answers and one failure are not `missing`."""
    with answering({place: status}) as repository:
        registry = Registry(repository, http=http_client, limits=Limits(tries=1))
        with pytest.raises(SoftVerifyToolError):
            verify(registry, SUBJECT, TrustRule())


def test_three_clear_answers_are_a_verdict(http_client: Http) -> None:
    with answering({}) as repository:
        found = verify(Registry(repository, http=http_client, limits=Limits(tries=1)), SUBJECT, TrustRule())
    assert isinstance(found, Unverified)
    assert found.reason is SignatureReason.MISSING


def test_a_registry_that_is_away_is_no_verdict(http_client: Http) -> None:
    repository = Repository(f"127.0.0.1:{free_port()}", "api")
    with pytest.raises(SoftVerifyToolError):
        verify(Registry(repository, http=http_client, limits=Limits(tries=1)), SUBJECT, TrustRule())


def test_a_registry_that_wants_credentials_is_no_verdict(
    registry_auth: registries.Registry, http_client: Http
) -> None:
    with pytest.raises(SoftVerifyToolError):
        verify(Registry(registry_auth.repository(), http=http_client), SUBJECT, TrustRule())
