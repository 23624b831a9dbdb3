"""A deployment asks for provenance and signs a summary of what it verified (SLSA VSA, DR-018)."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer
from tests.parts.signing import SigningKey
from tests.parts.site import Site

pytestmark = pytest.mark.slow


def summaries(site: Site) -> list[Mapping[str, Any]]:
    """The statements of the ledger's summaries, oldest first."""
    lines = site.run("ledger", "export").stdout.splitlines()
    facts = [entry["fact"] for entry in map(json.loads, lines) if entry["type"] == "summarised"]
    bundles = [json.loads(fact["bundle"]) for fact in facts]
    return [json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"])) for bundle in bundles]


def test_a_deployment_signs_one_summary_with_the_ledgers_head(site: Site, ours: SigningKey) -> None:
    record = site.json("release", env=ours.env)
    site.json("deploy", "--sha", site.sha, "--env", "staging", env=ours.env)
    (statement,) = summaries(site)
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert statement["subject"][0]["digest"] == {"sha256": record["image_digest"].removeprefix("sha256:")}
    predicate = statement["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1"]
    assert len(predicate["inputAttestations"]) == 2, "the signature, and the provenance"
    healthy = site.facts().index("healthy") + 1
    head = predicate["urn:immutag:ledger-head:v1"]
    assert head["size"] == healthy
    assert head["checkpoint"].splitlines()[1] == str(healthy), "the same size, signed"
    facts = site.facts()
    assert site.json("deploy", "--sha", site.sha, "--env", "staging", env=ours.env)["outcome"] == "unchanged"
    assert site.facts() == facts


def test_others_find_the_summary_beside_the_image(site: Site, ours: SigningKey) -> None:
    record = site.json("release", env=ours.env)
    site.json("deploy", "--sha", site.sha, "--env", "staging", env=ours.env)
    cosign = Peer(peer("cosign"))
    accepted = cosign.run(
        "verify-attestation", "--key", ours.public, "--insecure-ignore-tlog", "--allow-http-registry",
        "--type", "https://slsa.dev/verification_summary/v1",
        f"{site.repository}@{record['image_digest']}",
    )  # fmt: skip
    assert accepted.returncode == 0, accepted.stderr


def test_a_summary_does_not_vouch_for_an_image(site: Site, ours: SigningKey) -> None:
    """Or else deploying an unsigned image once would make it a signed one."""
    site.json("release")
    site.json("deploy", "--sha", site.sha, "--env", "staging", env=ours.env)
    (statement,) = summaries(site)
    assert statement["predicate"]["verificationResult"] == "FAILED"
    found = site.run("--json", "verify", site.sha, env=ours.env)
    assert (found.returncode, json.loads(found.stdout)["signature_reason"]) == (31, "missing")


def test_a_rollback_has_a_summary_too(site: Site, ours: SigningKey) -> None:
    first = site.sha
    site.json("release", env=ours.env)
    site.json("deploy", "--sha", first, "--env", "staging", env=ours.env)
    second = site.commit("another")
    site.json("release", env=ours.env)
    site.json("deploy", "--sha", second, "--env", "staging", env=ours.env)
    site.json("rollback", "--sha", first, "--env", "staging", env=ours.env)
    acts = [each["predicate"]["urn:immutag:deployment:v1"]["act"] for each in summaries(site)]
    assert acts == ["deploy", "deploy", "rollback"]


def test_without_a_key_there_is_no_summary(site: Site) -> None:
    site.json("release")
    site.json("deploy", "--sha", site.sha, "--env", "staging")
    assert summaries(site) == []


def test_a_plan_says_what_provenance_proves(site: Site, ours: SigningKey) -> None:
    site.json("release", env=ours.env)
    plan = site.json("deploy", "--dry-run", "--sha", site.sha, "--env", "staging", env=ours.env)
    assert plan["provenance"] == "by urn:immutag:builder:local"
    unsigned = site.json("deploy", "--dry-run", "--sha", site.sha, "--env", "staging")
    assert unsigned["provenance"] is None


@pytest.fixture
def contradicted(site: Site, ours: SigningKey, crane: Crane, tmp_path: Path) -> str:
    """A release whose only trusted provenance says that it was made from another commit; gives its SHA."""
    env = {**ours.env, "IMMUTAG_PROVENANCE_ENABLED": "false"}
    record = site.json("release", env=env)
    other = "f" * 40
    predicate = {
        "buildDefinition": {
            "buildType": "https://example.com/build",
            "externalParameters": {"source": "git+https://example.com/owner/api", "commit": other},
            "resolvedDependencies": [
                {"uri": "git+https://example.com/owner/api", "digest": {"gitCommit": other}}
            ],
        },
        "runDetails": {"builder": {"id": "https://example.com/builder"}},
    }
    (tmp_path / "predicate.json").write_text(json.dumps(predicate))
    config = tmp_path / "no-services.json"
    cosign = Peer(peer("cosign"), {"COSIGN_PASSWORD": ""})
    cosign("signing-config", "create", "--out", config)
    cosign("import-key-pair", "--key", ours.private, "--output-key-prefix", tmp_path / "imported", "--yes")
    cosign(
        "attest", "--yes", "--key", tmp_path / "imported.key", "--signing-config", config,
        "--predicate", tmp_path / "predicate.json", "--type", "slsaprovenance1", "--allow-http-registry",
        f"{site.repository}@{record['image_digest']}",
    )  # fmt: skip
    return str(site.sha)


def test_provenance_of_another_commit_stops_a_deployment_where_verification_is_mandatory(
    site: Site, ours: SigningKey, contradicted: str
) -> None:
    mandatory = {**ours.env, "IMMUTAG_TRUST_VERIFICATION": "mandatory"}
    refused = site.error("deploy", "--sha", contradicted, "--env", "staging", env=mandatory)
    assert refused["code"] == "POLICY_VIOLATION"
    assert "provenance" in refused["message"]
    assert refused["found"] == "f" * 40
    plan = site.json(
        "deploy", "--sha", contradicted, "--env", "staging", "--dry-run", "--allow-unverified",
        "--reason", "looked at by two of us", env=mandatory,
    )  # fmt: skip
    assert plan["allowed_for"] == "looked at by two of us"
    soft = site.run("deploy", "--sha", contradicted, "--env", "staging", env=ours.env)
    assert soft.returncode == 0
    assert "contradicted" in soft.stderr
