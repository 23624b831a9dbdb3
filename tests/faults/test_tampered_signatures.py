"""Signatures that somebody has tampered with, in real registries, through the command line.

Each is `unverified`, for the right reason and by the right check; none is verified, and none is a traceback.
"""

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from immutag.cli import main
from immutag.core.values import Digest, ImageRef, Repository
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.attach import EMPTY, Artifact, Layer, encoded, push_blobs
from immutag.oci.fanout import for_each
from immutag.oci.http import Http
from immutag.oci.registry import Registry
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.formats.simple_signing import CERTIFICATE, LOG_BUNDLE, SIGNATURE, encode_simple
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import parse_private_key
from tests.parts import registries
from tests.parts.keys import new_key as any_key
from tests.parts.keys import private_pem
from tests.parts.paper_sigstore import ISSUER, PERSON, PaperSigstore, new_key, timestamp, with_timestamps
from tests.parts.peers import Crane
from tests.parts.vouching import attach_bundle, attach_legacy, payload_of, push_image, statement

SIGSTORE = PaperSigstore()
EARLIER = datetime.now(UTC) - timedelta(hours=1)
MIB = 1024 * 1024


def signer() -> KeySigner:
    return KeySigner(parse_private_key(private_pem(any_key("P-256")), password=lambda: b""))


OURS, THEIRS = signer(), signer()


class Site(NamedTuple):
    """A project that trusts one key and one person, and an image in a registry."""

    folder: Path
    registry: Registry
    image: Descriptor
    capsys: pytest.CaptureFixture[str]

    def verify(self) -> dict[str, Any]:
        """What `immutag verify --explain --json` says; it says it of itself without --json as well."""
        reference = str(ImageRef(self.registry.repository, self.image.digest))
        statuses = []
        said = ""
        for form in ([], ["--explain"], ["--json"], ["--explain", "--json"]):
            statuses.append(main(["-C", str(self.folder), "verify", *form, reference]))
            out, err = self.capsys.readouterr()
            said = out
            assert "Traceback" not in out + err
        found: dict[str, Any] = json.loads(said)
        assert set(statuses) == {0 if found["signature_status"] == "verified" else 31}
        return found

    def refused(self) -> tuple[str, str | None]:
        """The reason, and the check that refused the only candidate."""
        found = self.verify()
        assert found["signature_status"] == "unverified"
        assert found["signer"] is None
        checks = {each["refused_by"] for each in found["candidates"]}
        assert len(checks) <= 1
        return found["signature_reason"], checks.pop() if checks else None


@pytest.fixture(params=["registry2", "registry_referrers"])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Site]:
    part: registries.Registry = request.getfixturevalue(request.param)
    with Http(environ={}) as http:
        registry = Registry(part.repository(), http=http)
        yield _site(tmp_path, registry, capsys)


def _site(folder: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> Site:
    root = SIGSTORE.trusted_root(folder, tsa=SIGSTORE.timestamping())
    (folder / "cosign.pub").write_bytes(OURS.public.pem())
    (folder / "immutag.toml").write_text(
        f'[image]\nrepository = "{registry.repository}"\n[trust]\npublic_keys = ["cosign.pub"]\n'
        f'trusted_root = "{root}"\nidentities = [{{ issuer = "{ISSUER}", subject = "{PERSON}" }}]\n'
    )
    return Site(folder, registry, push_image(registry, folder / "image"), capsys)


def bundled(site: Site, document: dict[str, Any]) -> None:
    attach_bundle(site.registry, site.image, json.dumps(document).encode())


# --- what is right is accepted here, so that a refusal below says something


def test_what_nobody_tampered_with_is_verified(site: Site) -> None:
    attach_bundle(site.registry, site.image, OURS.bundle(statement(site.image.digest)))
    assert site.verify()["signer"] == OURS.name


def test_one_good_signature_among_bad_ones_is_enough(site: Site) -> None:
    attach_bundle(site.registry, site.image, b"{}")
    attach_bundle(site.registry, site.image, THEIRS.bundle(statement(site.image.digest)))
    payload = payload_of(site.registry, site.image)
    attach_legacy(site.registry, site.image, payload, THEIRS.simple(payload))
    bundled(site, SIGSTORE.bundle(statement(site.image.digest), SIGSTORE.certify()))
    found = site.verify()
    assert found["signer"] == f"{PERSON} ({ISSUER})"
    assert len(found["candidates"]) == 4


# --- bundles by key


def of_another_image(site: Site) -> bytes:
    return OURS.bundle(statement(Digest("sha256:" + "0" * 64)))


def moved(site: Site) -> bytes:
    """A good signature, of another image in the same repository."""
    other = push_image(site.registry, site.folder / "other")
    return OURS.bundle(statement(other.digest))


def with_another_signature(site: Site) -> bytes:
    good, other = (json.loads(OURS.bundle(each)) for each in (statement(site.image.digest), b"{}"))
    good["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"]
    return json.dumps(good).encode()


def with_another_payload(site: Site) -> bytes:
    good, other = (json.loads(each(site)) for each in (of_another_image, signed))
    good["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    return json.dumps(good).encode()


def signed(site: Site) -> bytes:
    return OURS.bundle(statement(site.image.digest))


def with_a_key_twice(site: Site) -> bytes:
    return b'{"dsseEnvelope": {}, ' + signed(site)[1:]


def with_a_statements_key_twice(site: Site) -> bytes:
    content = statement(site.image.digest)
    return OURS.bundle(b'{"subject": [], ' + content[1:])


@pytest.mark.parametrize(
    ("tampered", "reason", "check"),
    [
        (of_another_image, "invalid", "9 subject"),
        (moved, "invalid", "9 subject"),
        (with_another_signature, "invalid", "5 signature"),
        (with_another_payload, "invalid", "5 signature"),
        (with_a_key_twice, "invalid", "2 form"),
        (with_a_statements_key_twice, "invalid", "2 form"),
        (lambda site: signed(site)[:-200], "invalid", "2 form"),
        (lambda _: b"", "invalid", "2 form"),
        (lambda site: THEIRS.bundle(statement(site.image.digest)), "key_not_found", "4 signer"),
        (lambda _: OURS.bundle(b"not a statement"), "invalid", "2 form"),
        (
            lambda site: OURS.bundle(statement(site.image.digest, predicate_type="https://spdx.dev/Document")),
            "missing",
            "3 statement",
        ),
    ],
)  # fmt: skip
def test_a_tampered_bundle(site: Site, tampered: Callable[[Site], bytes], reason: str, check: str) -> None:
    attach_bundle(site.registry, site.image, tampered(site))
    assert site.refused() == (reason, check)


# --- cosign's legacy layer


def legacy(site: Site, payload: bytes) -> None:
    attach_legacy(site.registry, site.image, payload, OURS.simple(payload))


def test_a_legacy_payload_with_another_digest(site: Site) -> None:
    other = ImageRef(site.registry.repository, Digest("sha256:" + "0" * 64))
    legacy(site, encode_simple(other, {}))
    assert site.refused() == ("invalid", "9 subject")


def test_a_legacy_payload_with_another_repository(site: Site) -> None:
    other = Repository(site.registry.repository.host, "somebody/else")
    legacy(site, encode_simple(ImageRef(other, site.image.digest), {}))
    assert site.refused() == ("invalid", "10 repository")


def test_a_legacy_payload_with_a_key_twice(site: Site) -> None:
    legacy(site, b'{"critical": {}, ' + payload_of(site.registry, site.image)[1:])
    assert site.refused() == ("invalid", "2 form")


@pytest.mark.parametrize(
    ("signature", "reason", "check"),
    [
        (dict(OURS.simple(b"another payload")), "key_not_found", "4 signer"),
        ({SIGNATURE: "!"}, "invalid", "2 form"),
        ({}, "invalid", "2 form"),
    ],
)
def test_a_legacy_signature_that_was_swapped(
    site: Site, signature: dict[str, str], reason: str, check: str
) -> None:
    attach_legacy(site.registry, site.image, payload_of(site.registry, site.image), signature)
    assert site.refused() == (reason, check)


def test_a_legacy_certificate_without_the_logs_promise(site: Site) -> None:
    payload = payload_of(site.registry, site.image)
    annotations = SIGSTORE.legacy(payload, SIGSTORE.certify())
    del annotations[LOG_BUNDLE]
    attach_legacy(site.registry, site.image, payload, annotations)
    assert site.refused() == ("invalid", "8 transparency log")


def test_a_legacy_certificate_that_is_none(site: Site) -> None:
    payload = payload_of(site.registry, site.image)
    annotations = {**SIGSTORE.legacy(payload, SIGSTORE.certify()), CERTIFICATE: "-----BEGIN"}
    attach_legacy(site.registry, site.image, payload, annotations)
    assert site.refused() == ("invalid", "2 form")


# --- certificates


def test_an_expired_certificate(site: Site) -> None:
    bundled(site, SIGSTORE.bundle(statement(site.image.digest), SIGSTORE.certify(at=EARLIER)))
    assert site.refused() == ("invalid", "6 certificate")


def test_an_entry_of_another_log(site: Site) -> None:
    bundled(site, SIGSTORE.bundle(statement(site.image.digest), SIGSTORE.certify(), log=new_key()))
    assert site.refused() == ("invalid", "6 certificate")


def test_a_certificate_of_another_authority(site: Site) -> None:
    other = PaperSigstore()
    bundled(site, other.bundle(statement(site.image.digest), other.certify()))
    assert site.refused() == ("key_not_found", "4 signer")


def test_somebody_elses_certificate(site: Site) -> None:
    bundled(site, SIGSTORE.bundle(statement(site.image.digest), SIGSTORE.certify("eve@example.com")))
    assert site.refused() == ("identity_mismatch", "7 identity")


def test_no_time_and_a_forged_time(site: Site) -> None:
    """Neither the log nor a timestamp authority of ours has said when it was signed."""
    by = SIGSTORE.certify()
    good = SIGSTORE.bundle(statement(site.image.digest), by)
    entry = {**good["verificationMaterial"]["tlogEntries"][0]}
    del entry["inclusionPromise"]
    timeless = {**good, "verificationMaterial": {**good["verificationMaterial"], "tlogEntries": [entry]}}
    bundled(site, timeless)
    assert site.refused() == ("invalid", "6 certificate")
    forged = timestamp(b"another signature", PaperSigstore().timestamping(), site.folder / "tsa")
    bundled(site, with_timestamps(timeless, forged))
    assert site.refused() == ("invalid", "6 certificate")


# --- too much, and what is not what it seems


@pytest.fixture
def roomy(
    registry_referrers: registries.Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Site]:
    with Http(environ={}) as http:
        yield _site(tmp_path, Registry(registry_referrers.repository(), http=http), capsys)


@pytest.mark.parametrize("said_bytes", [64 * MIB, 100])
def test_a_bundle_of_64_mib(roomy: Site, said_bytes: int) -> None:
    """Not read at all where the manifest says so, and no further than allowed where it lies."""
    content = bytes(64 * MIB)
    digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
    roomy.registry.push(Descriptor(BUNDLE_V03, digest, len(content)), io.BytesIO(content))
    layer = encoded(Descriptor(BUNDLE_V03, digest, said_bytes))
    document = json.loads(Artifact(BUNDLE_V03, (), {}).manifest(roomy.image))
    push_blobs(roomy.registry, [EMPTY])
    text = json.dumps({**document, "layers": [layer]}).encode()
    manifest = Descriptor(IMAGE_MANIFEST, Digest(f"sha256:{hashlib.sha256(text).hexdigest()}"), len(text))
    roomy.registry.push(manifest, io.BytesIO(text))
    assert roomy.refused() == ("invalid", "1 content")


def test_a_fallback_tag_that_is_the_image_itself(site: Site, crane: Crane) -> None:
    reference = f"{site.registry.repository}@{site.image.digest}"
    for tag in (f"sha256-{site.image.digest.hex}", f"sha256-{site.image.digest.hex}.sig"):
        crane("tag", reference, tag)
    assert site.refused() == ("missing", None)


@pytest.mark.slow
def test_ten_thousand_referrers(roomy: Site) -> None:
    """All are looked at: the good one is found among them, and without it the reason is theirs."""
    push_blobs(
        roomy.registry, [EMPTY, layer := Layer(BUNDLE_V03, THEIRS.bundle(statement(roomy.image.digest)), {})]
    )

    def push(at: int, _: threading.Event) -> None:
        text = Artifact(BUNDLE_V03, (layer,), {"at": str(at)}).manifest(roomy.image)
        digest = Digest(f"sha256:{hashlib.sha256(text).hexdigest()}")
        roomy.registry.push(Descriptor(IMAGE_MANIFEST, digest, len(text)), io.BytesIO(text))

    for_each(push, range(10_000), workers=4)
    found = roomy.verify()
    assert (found["signature_reason"], len(found["candidates"])) == ("key_not_found", 10_000)
    attach_bundle(roomy.registry, roomy.image, OURS.bundle(statement(roomy.image.digest)))
    assert roomy.verify()["signature_status"] == "verified"
