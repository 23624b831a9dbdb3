"""Releases that are signed between claim and tag, as cosign sees them (DR-003, DR-018)."""

import concurrent.futures
import json

import pytest

from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer
from tests.parts.signing import SigningKey
from tests.parts.site import Site

pytestmark = pytest.mark.slow

SIGNED = ["requested", "built", "pushed", "claimed", "signed", "attested", "signature_checked", "tagged"]
COSIGN = ("--insecure-ignore-tlog", "--allow-http-registry")


def cosign_accepts(image: str, key: SigningKey, *verb: str) -> bool:
    """Whether cosign 3 finds a signature by this key, or another statement, and it holds."""
    cosign = Peer(peer("cosign"))
    return cosign.run(*(verb or ("verify",)), "--key", key.public, *COSIGN, image).returncode == 0


def test_a_release_is_signed_before_it_is_tagged(site: Site, ours: SigningKey, theirs: SigningKey) -> None:
    record = site.json("release", env=ours.env)
    assert site.facts("release:") == SIGNED
    assert (record["signature_status"], record["signature_reason"]) == ("verified", "n/a")
    image = f"{site.repository}@{record['image_digest']}"
    assert cosign_accepts(image, ours)
    assert not cosign_accepts(image, theirs)
    assert cosign_accepts(image, ours, "verify-attestation", "--type", "slsaprovenance1")


def test_a_second_release_signs_nothing(site: Site, ours: SigningKey, crane: Crane) -> None:
    first = site.json("release", env=ours.env)
    facts, tags = site.facts(), crane.tags(site.repository)
    held = {tag: crane.digest(f"{site.repository}:{tag}") for tag in tags}
    assert site.json("release", env=ours.env) == first
    assert site.facts() == facts
    assert {tag: crane.digest(f"{site.repository}:{tag}") for tag in crane.tags(site.repository)} == held


def test_a_key_that_others_do_not_know_is_key_not_found(
    site: Site, ours: SigningKey, theirs: SigningKey
) -> None:
    record = site.json("release", env={**ours.env, "IMMUTAG_TRUST_PUBLIC_KEYS": str(theirs.public)})
    assert (record["signature_status"], record["signature_reason"]) == ("unverified", "key_not_found")


def test_a_key_that_cannot_be_used_is_a_fact_and_the_release_goes_on(site: Site, ours: SigningKey) -> None:
    ours.private.write_text("no key at all")
    record = site.json("release", env=ours.env)
    assert record["signature_reason"] == "missing"
    assert site.facts("release:").count("evidence_failed") == 2
    assert site.facts("release:")[-1] == "tagged"


def test_a_signature_that_failed_is_told_also_where_progress_is_not_wanted(
    site: Site, ours: SigningKey
) -> None:
    ours.private.write_text("no key at all")
    quiet = site.run("--quiet", "release", env=ours.env)
    (signature, provenance) = quiet.stderr.splitlines()[:2]
    assert signature.startswith("! no signature of sha256:")
    assert "COSIGN_PASSWORD" in signature
    assert provenance.startswith("! no provenance of")
    logged = site.run("--quiet", "--log-format", "json", "release", env=ours.env)
    events = [json.loads(line) for line in logged.stderr.splitlines()]
    assert [each.get("event") for each in events[:2]] == ["warning", "warning"]


def test_the_next_run_signs_what_an_earlier_one_could_not(site: Site, ours: SigningKey) -> None:
    key = ours.private.read_bytes()
    ours.private.write_text("no key at all")
    site.json("release", env=ours.env)
    ours.private.write_bytes(key)
    record = site.json("release", env=ours.env)
    assert record["signature_status"] == "verified"
    assert site.facts("release:")[-3:] == ["signed", "attested", "signature_checked"]
    assert cosign_accepts(f"{site.repository}@{record['image_digest']}", ours)


def test_where_verification_is_mandatory_a_release_without_its_signature_is_not_tagged(
    site: Site, ours: SigningKey, crane: Crane
) -> None:
    key = ours.private.read_bytes()
    ours.private.write_text("no key at all")
    mandatory = {**ours.env, "IMMUTAG_TRUST_VERIFICATION": "mandatory"}
    assert site.error("release", env=mandatory)["code"] == "CONFIG_INVALID"
    assert str(site.sha) not in crane.tags(site.repository)
    ours.private.write_bytes(key)
    assert site.json("release", env=mandatory)["signature_status"] == "verified"
    assert str(site.sha) in crane.tags(site.repository)


def test_an_old_release_is_signed_afterwards_once(site: Site, ours: SigningKey) -> None:
    record = site.json("release")
    assert record["signature_reason"] == "missing"
    signed = site.json("sign", site.sha, env=ours.env)
    assert (signed["image_digest"], signed["signature_status"]) == (record["image_digest"], "verified")
    facts = site.facts()
    assert site.json("sign", site.sha, env=ours.env) == signed
    assert site.facts() == facts
    assert cosign_accepts(f"{site.repository}@{record['image_digest']}", ours)


def test_a_sha_that_was_never_released_is_not_signed(site: Site, ours: SigningKey) -> None:
    assert site.error("sign", site.sha, env=ours.env)["code"] == "MISSING_TAG"


def test_a_key_in_a_file_is_never_told(site: Site, ours: SigningKey) -> None:
    secret = ours.private.read_text().splitlines()[1]
    finished = site.run("-v", "release", env=ours.env)
    assert finished.returncode == 0
    assert secret not in finished.stdout + finished.stderr
    assert secret.encode() not in site.ledger.read_bytes()


def test_racing_runs_with_one_key_attach_one_signature(site: Site, ours: SigningKey, crane: Crane) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda _: site.run("--json", "release", env=ours.env), range(8)))
    assert [each.returncode for each in ended] == [0] * 8
    digest = json.loads(ended[0].stdout)["image_digest"]
    listed = json.loads(crane("manifest", f"{site.repository}:{digest.replace(':', '-')}"))
    legacy = json.loads(crane("manifest", f"{site.repository}:{digest.replace(':', '-')}.sig"))
    assert len(legacy["layers"]) == 1
    signatures = [
        each for each in listed["manifests"]
        if each["annotations"]["dev.sigstore.bundle.predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    ]  # fmt: skip
    assert len(signatures) == 1
    assert cosign_accepts(f"{site.repository}@{digest}", ours)


def test_who_signs_here_is_trusted_here_where_nobody_is_named(site: Site, ours: SigningKey) -> None:
    """The public half lies beside the key, as cosign writes it."""
    record = site.json("release", env={"IMMUTAG_TRUST_KEY": str(ours.private)})
    assert record["signature_status"] == "verified"
