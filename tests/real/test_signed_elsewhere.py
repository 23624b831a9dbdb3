"""Signed releases on registries that differ, with signatures elsewhere, and by a program (DR-018)."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer, program
from tests.parts.registries import Registry
from tests.parts.signing import SigningKey
from tests.parts.site import Site
from tests.real.test_signed_release import COSIGN, SIGNED, cosign_accepts

pytestmark = pytest.mark.slow


def there(registry: Registry) -> Mapping[str, str]:
    """The same service, with its repository in another registry."""
    return {"IMMUTAG_IMAGE_REPOSITORY": str(registry.repository())}


def test_a_registry_with_the_referrers_api_needs_no_fallback_tag(
    site: Site, ours: SigningKey, registry_referrers: Registry, crane: Crane
) -> None:
    record = site.json("release", env={**ours.env, **there(registry_referrers)})
    assert record["signature_status"] == "verified"
    digest = record["image_digest"]
    tags = crane.tags(record["repository"])
    assert sorted(tags) == sorted([str(site.sha), digest.replace(":", "-") + ".sig"])
    assert cosign_accepts(f"{record['repository']}@{digest}", ours)


def test_a_registry_that_forbids_changing_tags_is_signed_without_one(
    site: Site, ours: SigningKey, theirs: SigningKey, registry_immutable: Registry
) -> None:
    env = {**ours.env, **there(registry_immutable)}
    record = site.json("release", env=env)
    assert record["signature_status"] == "verified"
    assert site.facts("release:") == SIGNED
    image = f"{record['repository']}@{record['image_digest']}"
    assert cosign_accepts(image, ours)
    second = site.json("sign", site.sha, env={**env, **theirs.env})
    assert second["signature_status"] == "verified", "the tag .sig was full, the referrers were not"
    assert cosign_accepts(image, theirs)


def test_signatures_may_lie_in_a_repository_of_their_own(site: Site, ours: SigningKey, crane: Crane) -> None:
    elsewhere = site.registry.repository("signatures")
    env = {**ours.env, "IMMUTAG_TRUST_SIGNATURE_REPOSITORY": str(elsewhere)}
    record = site.json("release", env=env)
    assert record["signature_status"] == "verified"
    assert crane.tags(site.repository) == [str(site.sha)], "nothing beside the image itself"
    assert any(tag.endswith(".sig") for tag in crane.tags(elsewhere))
    cosign = Peer(peer("cosign2"), {"COSIGN_REPOSITORY": str(elsewhere)})
    image = f"{site.repository}@{record['image_digest']}"
    assert (
        cosign.run("verify", "--key", ours.public, "--new-bundle-format=false", *COSIGN, image).returncode
        == 0
    )
    alone = site.run("verify", site.sha, env=ours.env)
    assert alone.returncode == 31, "without the setting nobody knows of them"


def test_a_program_signs_instead_of_a_file(site: Site, ours: SigningKey, tmp_path: Path) -> None:
    script, openssl = tmp_path / "kms", program("openssl")
    signs = f"{openssl} dgst -sha256 -sign {ours.private} | {openssl} base64 -A"
    script.write_text(f"#!/bin/sh\n{signs}\n")
    script.chmod(0o755)
    env = {
        "IMMUTAG_TRUST_SIGNER": str(script),
        "IMMUTAG_TRUST_SIGNER_KEY": str(ours.public),
        "IMMUTAG_TRUST_PUBLIC_KEYS": str(ours.public),
    }
    record = site.json("release", env=env)
    assert record["signature_status"] == "verified"
    assert cosign_accepts(f"{site.repository}@{record['image_digest']}", ours)


def test_a_program_that_does_not_sign_is_a_fact(site: Site, ours: SigningKey) -> None:
    env = {"IMMUTAG_TRUST_SIGNER": "false", "IMMUTAG_TRUST_SIGNER_KEY": str(ours.public)}
    record = site.json("release", env=env)
    assert record["signature_reason"] == "missing"
    assert site.facts("release:").count("evidence_failed") == 2
