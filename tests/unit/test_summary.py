"""Verification summaries: what was verified when something came to run, as the published schema reads it."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary  # type: ignore[import-untyped]

from immutag.core.facts import (
    Deploying,
    Entry,
    Fact,
    Failed,
    Healthy,
    Outcome,
    RolledBack,
    SignatureReason,
    SignatureStatus,
    Stream,
)
from immutag.core.frozen import replace
from immutag.core.policy import Enforcement
from immutag.core.provenance import LEDGER_HEAD
from immutag.core.summary import DEPLOYMENT, Policy, last_act, summary
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository, RepositoryType
from tests.parts.facts import chained

SHA = GitSha("1" * 40)
IMAGE, BUNDLE = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
REPOSITORY = Repository("ghcr.io", "owner/api")
PRODUCTION = EnvironmentName("production")
RULES = (
    IdentityRule(Pattern("https://issuer.example"), Pattern("release@example.com")),
    IdentityRule(Pattern("https://issuer.example"), Pattern(r".*@example\.com", regexp=True)),
)
POLICY = Policy(Enforcement.MANDATORY, ("key sha256:1", "key sha256:2"), RULES, transparency_log=False)
VERIFIER = "urn:immutag:builder:local"

DEPLOYING = Deploying(
    sha=SHA,
    repository=REPOSITORY,
    digest=IMAGE,
    accepted=(IMAGE,),
    repository_type=RepositoryType.CANONICAL,
    environment=PRODUCTION,
    target="podman",
    command="deploy",
    automatic=False,
    reason=None,
    previous_sha=None,
    previous_image=None,
    commits_ahead=None,
    signature_status=SignatureStatus.VERIFIED,
    signature_reason=SignatureReason.NOT_APPLICABLE,
    held=False,
    quarantined=(),
    holder="here",
    until="2026-01-02T03:05:00.000Z",
)
HEALTHY = Healthy(SHA, REPOSITORY, IMAGE, PRODUCTION, Outcome.OK, IMAGE, 900)
ROLLED_BACK = RolledBack(SHA, REPOSITORY, IMAGE, PRODUCTION, Outcome.OK, GitSha("2" * 40), IMAGE, 900)
UNSIGNED = replace(
    DEPLOYING, signature_status=SignatureStatus.UNVERIFIED, signature_reason=SignatureReason.MISSING
)


def entries(*facts: Fact) -> list[Entry]:
    return [entry for entry, _ in chained([(Stream.environment(REPOSITORY, PRODUCTION), f) for f in facts])]


def told(
    facts: Sequence[Fact], *, policy: Policy = POLICY, proved: bool = False, checkpoint: str | None = None
) -> Any:
    act = last_act(entries(*facts))
    assert act is not None
    statement = summary(
        act, policy=policy, verifier=VERIFIER, inputs=[BUNDLE], proved=proved, checkpoint=checkpoint
    )
    return json.loads(statement.encode())


def test_it_is_what_the_published_schema_reads() -> None:
    """The published message has `verifiedLevels` as one text, against its specification, which has a list;
    and extensions are fields that it does not know."""
    document = told([DEPLOYING, HEALTHY])
    predicate = document["predicate"]
    assert predicate.pop("verifiedLevels") == ["SLSA_BUILD_LEVEL_UNEVALUATED"]
    read = ParseDict(predicate, VerificationSummary(), ignore_unknown_fields=True)
    assert read.verifier.id == VERIFIER
    assert read.time_verified.ToJsonString() == "2026-01-02T03:04:02.678Z"
    assert read.resource_uri == f"ghcr.io/owner/api@{IMAGE}"
    assert read.verification_result == "PASSED"
    assert dict(read.input_attestations[0].digest) == {"sha256": BUNDLE.hex}
    assert document["subject"][0]["digest"] == {"sha256": IMAGE.hex}
    assert document["predicateType"] == "https://slsa.dev/verification_summary/v1"


def test_what_nobody_vouched_for_did_not_pass_though_it_runs() -> None:
    """Soft verification lets it run; whoever reads PASSED would think that somebody had vouched."""
    predicate = told([UNSIGNED, HEALTHY])["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert predicate[DEPLOYMENT]["signatureReason"] == "missing"


def test_a_checked_provenance_is_a_level() -> None:
    assert told([DEPLOYING, HEALTHY], proved=True)["predicate"]["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1"]
    assert told([UNSIGNED, HEALTHY], proved=True)["predicate"]["verifiedLevels"] == ["FAILED"]


def test_it_holds_the_ledgers_head_at_the_acts_end() -> None:
    written = entries(DEPLOYING, HEALTHY)
    assert told([DEPLOYING, HEALTHY])["predicate"][LEDGER_HEAD] == {"size": 2, "hash": written[1].hash}
    assert told([DEPLOYING, HEALTHY], checkpoint="note")["predicate"][LEDGER_HEAD]["checkpoint"] == "note"


def test_it_says_what_was_done() -> None:
    previous = replace(DEPLOYING, command="rollback", previous_sha=GitSha("2" * 40))
    assert told([previous, ROLLED_BACK])["predicate"][DEPLOYMENT] == {
        "environment": "production",
        "act": "rollback",
        "sha": str(SHA),
        "previousSha": "2" * 40,
        "outcome": "ok",
        "runningDigest": str(IMAGE),
    }
    assert told([DEPLOYING, HEALTHY])["predicate"][DEPLOYMENT]["act"] == "deploy"


def test_the_last_act_that_ended_well_is_summarised() -> None:
    other = replace(DEPLOYING, sha=GitSha("3" * 40))
    failed = Failed(other.sha, REPOSITORY, IMAGE, PRODUCTION, None, "unhealthy", 5)
    act = last_act(entries(DEPLOYING, HEALTHY, other, failed))
    assert act is not None
    assert act.fact == HEALTHY
    assert last_act(entries(DEPLOYING)) is None
    assert last_act([]) is None


def digest_of(policy: Policy) -> str:
    found: str = told([DEPLOYING, HEALTHY], policy=policy)["predicate"]["policy"]["digest"]["sha256"]
    return found


def test_the_policy_is_named_by_its_digest_and_can_be_read() -> None:
    policy = told([DEPLOYING, HEALTHY])["predicate"]["policy"]
    content = base64.b64decode(policy["content"])
    assert hashlib.sha256(content).hexdigest() == policy["digest"]["sha256"]
    assert json.loads(content)["verification"] == "mandatory"


def test_the_order_in_the_configuration_makes_no_other_policy() -> None:
    turned = replace(POLICY, keys=POLICY.keys[::-1], identities=RULES[::-1])
    assert digest_of(turned) == digest_of(POLICY)


@pytest.mark.parametrize(
    "change",
    [
        {"enforcement": Enforcement.SOFT},
        {"keys": ("key sha256:1",)},
        {"identities": RULES[:1]},
        {"transparency_log": True},
        {"identities": (RULES[0], IdentityRule(RULES[1].issuer, Pattern(r".*@example\.com")))},
    ],
)
def test_another_rule_is_another_policy(change: dict[str, Any]) -> None:
    assert digest_of(replace(POLICY, **change)) != digest_of(POLICY)
