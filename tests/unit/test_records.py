"""The log records: exactly the contracts' fields, whatever happened, and only what the facts say."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import immutag
from immutag.core import records
from immutag.core.errors import (
    KINDS as ERRORS,
)
from immutag.core.errors import (
    DeployFailure,
    DigestMismatch,
    ImmutagError,
    PolicyViolation,
    SoftVerifyToolError,
)
from immutag.core.facts import (
    Built,
    Claimed,
    Deploying,
    Described,
    Entry,
    Evidence,
    Fact,
    Failed,
    Healthy,
    Outcome,
    Pushed,
    Requested,
    Restored,
    RolledBack,
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Stopped,
    Stream,
    Tagged,
    TakenOver,
    WriteOnce,
)
from immutag.core.facts.codec import LATER
from immutag.core.merkle import EMPTY_ROOT
from immutag.core.records import build_record, deploy_record, rollback_record
from immutag.core.values import (
    Digest,
    EnvironmentName,
    GitSha,
    ImageRef,
    Repository,
    RepositoryType,
)
from immutag.ledger.chain import START
from immutag.ledger.export import head_text, line
from immutag.ledger.head import Head
from tests.parts.facts import ENVIRONMENTS, FACTS, KINDS, STREAMS, chained, facts_of

SCHEMAS = {
    file.stem: json.loads(file.read_text())
    for file in (Path(immutag.__file__).parent / "schemas").glob("*.json")
}
REPOSITORY = Repository.parse("ghcr.io/o/api")
PRODUCTION = EnvironmentName("production")
ONE, TWO = GitSha("1" * 40), GitSha("2" * 40)
D1, D2 = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)

BUILD_FIELDS = """phase image_sha short_sha image_digest repository repository_type arch signature_status
    signature_reason build_duration_sec pre_push_digest post_push_digest digest_verification sbom_ref"""
DEPLOY_FIELDS = """phase image_sha image_digest image tag repository repository_type environment target
    signature_status signature_reason deploy_duration_sec outcome running_digest commits_ahead"""
ROLLBACK_FIELDS = """phase previous_sha image_sha image_digest image tag repository repository_type
    environment target signature_status signature_reason rollback_duration_sec outcome running_digest
    reason"""


def entries(*facts: Fact) -> list[Entry]:
    return [entry for entry, _ in chained([(Stream("s"), fact) for fact in facts])]


def valid(name: str, document: object) -> Any:
    """The document as programs read it, if the shipped schema says that it is one."""
    read = json.loads(json.dumps(document))
    jsonschema.Draft202012Validator(SCHEMAS[name]).validate(read)
    return read


def stop(
    error: type[ImmutagError],
    *,
    sha: GitSha = ONE,
    command: str = "deploy",
    stage: str = "digest",
    digest: Digest | None = None,
    environment: EnvironmentName | None = PRODUCTION,
    signature: tuple[SignatureStatus, SignatureReason] | None = None,
) -> Stopped:
    reason = error("why", expected="a", found="b", remedy="c")
    return Stopped.by(
        reason,
        sha=sha,
        repository=REPOSITORY,
        command=command,
        stage=stage,
        digest=digest,
        environment=environment,
        signature=signature,
    )


REQUESTED = Requested(ONE, REPOSITORY, RepositoryType.CANONICAL, "main", None)
BUILT = Built(ONE, REPOSITORY, D1, "m", 5, "linux/amd64", "buildah", 1234)
PUSHED = Pushed(ONE, REPOSITORY, D1, 50)
CLAIMED = Claimed(ONE, REPOSITORY, D1, "m", 5)
CHECKED = SignatureChecked(ONE, REPOSITORY, D1, SignatureStatus.UNVERIFIED, SignatureReason.MISSING, None)
TAGGED = Tagged(ONE, REPOSITORY, D1, False, WriteOnce.CONVENTION)
RELEASED: list[Fact] = [REQUESTED, BUILT, PUSHED, CLAIMED, CHECKED, TAGGED]


def deploying(sha: GitSha, digest: Digest, command: str = "deploy") -> Deploying:
    return Deploying(
        sha=sha,
        repository=REPOSITORY,
        digest=digest,
        accepted=(digest,),
        repository_type=RepositoryType.CANONICAL,
        environment=PRODUCTION,
        target="podman",
        command=command,
        automatic=False,
        reason="it was slow" if command == "rollback" else None,
        previous_sha=TWO,
        previous_image=ImageRef(REPOSITORY, D2),
        commits_ahead=7,
        signature_status=SignatureStatus.VERIFIED,
        signature_reason=SignatureReason.NOT_APPLICABLE,
        held=False,
        quarantined=(),
        holder="host pid=1",
        until="2026-01-01T00:00:00.000Z",
    )


def healthy(sha: GitSha, digest: Digest) -> Healthy:
    return Healthy(sha, REPOSITORY, digest, PRODUCTION, Outcome.OK, digest, 2500)


def restored(sha: GitSha, digest: Digest) -> Restored:
    return Restored(sha, REPOSITORY, digest, PRODUCTION, TWO, D2, D2, "unhealthy", 900)


def build(facts: Sequence[Fact], **how: bool) -> Any:
    return valid("build", build_record(entries(*facts), **how))


def deploy(facts: Sequence[Fact], **how: Any) -> Any:
    return valid("deploy", deploy_record(entries(*facts), **how))


def test_a_release_says_what_its_facts_say() -> None:
    record = build(RELEASED)
    assert list(record) == BUILD_FIELDS.split()
    assert record == {
        "phase": "build",
        "image_sha": "1" * 40,
        "short_sha": "1" * 12,
        "image_digest": str(D1),
        "repository": "ghcr.io/o/api",
        "repository_type": "canonical",
        "arch": "linux/amd64",
        "signature_status": "unverified",
        "signature_reason": "missing",
        "build_duration_sec": 1.234,
        "pre_push_digest": str(D1),
        "post_push_digest": str(D1),
        "digest_verification": "ok",
        "sbom_ref": None,
    }


def test_a_release_names_its_newest_sbom_by_where_it_lies() -> None:
    older = Described(ONE, REPOSITORY, D1, Evidence.CYCLONEDX, D2, Digest("sha256:" + "3" * 64))
    newest = Described(ONE, REPOSITORY, D1, Evidence.SPDX, D2, Digest("sha256:" + "4" * 64))
    of_another = Described(ONE, REPOSITORY, D2, Evidence.SPDX, D2, Digest("sha256:" + "5" * 64))
    assert build([*RELEASED, older, newest, of_another])["sbom_ref"] == f"ghcr.io/o/api@{newest.manifest}"


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ([REQUESTED], {"repository_type"}),
        ([REQUESTED, BUILT], {"repository_type", "arch", "build_duration_sec", "pre_push_digest"}),
        ([stop(PolicyViolation, command="release", environment=None)], set()),
    ],
)
def test_a_release_that_did_not_get_far_says_null_for_the_rest(facts: list[Fact], known: set[str]) -> None:
    record = build(facts)
    always = {"phase", "image_sha", "short_sha", "repository"}
    assert {name for name, value in record.items() if value is not None} == always | known


def test_the_loser_of_a_race_tells_of_the_release_and_not_of_its_own_build() -> None:
    own = Built(ONE, REPOSITORY, D2, "m", 5, "linux/arm64", "podman", 9999)
    record = build([REQUESTED, BUILT, PUSHED, CLAIMED, own, Pushed(ONE, REPOSITORY, D2, 5), TAGGED])
    assert record["image_digest"] == record["pre_push_digest"] == record["post_push_digest"] == str(D1)
    assert (record["arch"], record["build_duration_sec"]) == ("linux/amd64", 1.234)


def test_a_mismatch_is_told_until_the_right_digest_was_read_back() -> None:
    other = stop(DigestMismatch, command="release", digest=D2, environment=None)
    record = build([*RELEASED[:4], other])
    assert (record["digest_verification"], record["pre_push_digest"]) == ("mismatch", str(D2))
    assert build([*RELEASED, other])["digest_verification"] == "mismatch"
    assert build([*RELEASED[:4], other, TAGGED])["digest_verification"] == "ok"
    assert build([*RELEASED, other], confirmed=True)["digest_verification"] == "ok"
    another = stop(PolicyViolation, command="release", environment=None)
    assert build([REQUESTED, another])["digest_verification"] is None


def test_a_deployment_says_what_its_facts_say() -> None:
    record = deploy([deploying(ONE, D1), healthy(ONE, D1)])
    assert list(record) == DEPLOY_FIELDS.split()
    assert record == {
        "phase": "deploy",
        "image_sha": "1" * 40,
        "image_digest": str(D1),
        "image": f"ghcr.io/o/api@{D1}",
        "tag": f"ghcr.io/o/api:{ONE}",
        "repository": "ghcr.io/o/api",
        "repository_type": "canonical",
        "environment": "production",
        "target": "podman",
        "signature_status": "verified",
        "signature_reason": "n/a",
        "deploy_duration_sec": 2.5,
        "outcome": "ok",
        "running_digest": str(D1),
        "commits_ahead": 7,
    }


def test_a_rollback_says_what_it_left_and_why() -> None:
    rolled_back = RolledBack(ONE, REPOSITORY, D1, PRODUCTION, Outcome.UNOBSERVED, TWO, None, 40)
    record = valid("rollback", rollback_record(entries(deploying(ONE, D1, "rollback"), rolled_back)))
    assert set(record) == set(ROLLBACK_FIELDS.split())
    assert (record["previous_sha"], record["reason"]) == (str(TWO), "it was slow")
    assert (record["outcome"], record["running_digest"]) == ("unobserved", None)
    assert record["rollback_duration_sec"] == 0.04


def test_how_a_deployment_ended_is_told() -> None:
    failed = Failed(ONE, REPOSITORY, D1, PRODUCTION, None, "unhealthy", 900)
    begun = deploying(ONE, D1)
    assert deploy([begun, restored(ONE, D1)])["outcome"] == "restored"
    assert deploy([begun, restored(ONE, D1)])["running_digest"] == str(D2)
    assert deploy([begun, failed])["outcome"] == "failed"
    assert deploy([begun])["outcome"] is None
    gone = TakenOver(ONE, REPOSITORY, D1, PRODUCTION, "other pid=2", "2026-01-01T00:00:00.000Z")
    assert deploy([begun, gone, healthy(ONE, D1)])["outcome"] == "ok"


def test_an_error_after_the_end_tells_of_the_same_deployment() -> None:
    running = stop(DigestMismatch, stage="running", digest=D1)
    histories: list[list[Fact]] = [
        [deploying(ONE, D1), running, restored(ONE, D1)],
        [deploying(ONE, D1), restored(ONE, D1), running],
        [deploying(ONE, D1), restored(ONE, D1), stop(DeployFailure, stage="health")],
    ]
    for facts in histories:
        assert (deploy(facts)["outcome"], deploy(facts)["target"]) == ("restored", "podman")


def test_one_that_was_refused_before_it_began_is_told_with_what_is_known() -> None:
    record = deploy([deploying(ONE, D1), healthy(ONE, D1), stop(DigestMismatch, sha=TWO, digest=D2)])
    assert (record["image_sha"], record["image_digest"]) == (str(TWO), str(D2))
    assert (record["outcome"], record["target"], record["signature_status"]) == ("failed", None, None)
    undetermined = deploy([stop(SoftVerifyToolError, sha=TWO)])
    assert (undetermined["signature_status"], undetermined["signature_reason"]) == ("unverified", "error")
    assert (undetermined["image_digest"], undetermined["image"]) == (None, None)
    signature = (SignatureStatus.UNVERIFIED, SignatureReason.KEY_NOT_FOUND)
    refused = deploy([stop(PolicyViolation, sha=TWO, signature=signature)])
    assert (refused["signature_status"], refused["signature_reason"]) == ("unverified", "key_not_found")


def test_one_refused_while_another_is_at_work_does_not_hide_how_that_ends() -> None:
    facts: list[Fact] = [deploying(ONE, D1), stop(PolicyViolation, sha=TWO), healthy(ONE, D1)]
    assert (deploy(facts)["image_sha"], deploy(facts)["outcome"]) == (str(ONE), "ok")
    assert deploy(facts, sha=TWO)["outcome"] == "failed"
    assert deploy(facts[:2])["image_sha"] == str(TWO)


def test_one_that_changed_nothing_says_so_of_the_deployment_that_runs() -> None:
    facts: list[Fact] = [deploying(ONE, D1), healthy(ONE, D1), deploying(TWO, D2), restored(TWO, D2)]
    record = deploy(facts, sha=ONE, outcome=Outcome.UNCHANGED, running=D1)
    assert (record["image_sha"], record["outcome"]) == (str(ONE), "unchanged")
    assert (record["running_digest"], record["deploy_duration_sec"]) == (str(D1), None)


def test_entries_of_something_else_are_not_made_into_a_record() -> None:
    for make in (build_record, deploy_record, rollback_record):
        with pytest.raises(ValueError):
            make([])
    with pytest.raises(ValueError):
        deploy_record(entries(deploying(ONE, D1)), sha=TWO)


RELEASE_KINDS = (Requested, Built, Pushed, Claimed, SignatureChecked, Tagged, Stopped)
DEPLOY_KINDS = (Deploying, TakenOver, Healthy, RolledBack, Restored, Failed)


@settings(max_examples=60)
@given(facts=st.lists(st.one_of([facts_of(kind) for kind in RELEASE_KINDS]), min_size=1, max_size=8))
def test_any_history_of_a_release_gives_a_valid_record(facts: list[Fact]) -> None:
    assert list(build(facts)) == BUILD_FIELDS.split()


@settings(max_examples=60)
@given(
    first=st.one_of([facts_of(Deploying), facts_of(Stopped, environment=ENVIRONMENTS)]),
    facts=st.lists(st.one_of([facts_of(Stopped), *(facts_of(kind) for kind in DEPLOY_KINDS)]), max_size=8),
)
def test_any_history_of_an_environment_gives_valid_records(first: Fact, facts: list[Fact]) -> None:
    made = entries(first, *facts)
    assert list(valid("deploy", deploy_record(made))) == DEPLOY_FIELDS.split()
    assert set(valid("rollback", rollback_record(made))) == set(ROLLBACK_FIELDS.split())


@given(pairs=st.lists(st.tuples(STREAMS, FACTS), min_size=1, max_size=3))
def test_any_entry_is_valid_in_an_export(pairs: list[tuple[Stream, Fact]]) -> None:
    for entry, _ in chained(pairs):
        valid("entry", json.loads(line(entry)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
@settings(max_examples=5)
@given(data=st.data())
def test_an_entry_with_a_field_more_or_less_is_not_valid(kind: type[Fact], data: st.DataObject) -> None:
    [(entry, _)] = chained([(Stream("s"), data.draw(facts_of(kind)))])
    document = json.loads(line(entry))
    less = next(name for name in document["fact"] if name not in LATER.get(kind.type, {}))
    without = {name: value for name, value in document["fact"].items() if name != less}
    for fact in ({**document["fact"], "more": 1}, without):
        with pytest.raises(jsonschema.ValidationError):
            valid("entry", {**document, "fact": fact})


def test_heads_and_errors_are_valid() -> None:
    valid("checkpoint", json.loads(head_text(Head(0, START.hash, EMPTY_ROOT))))
    for kind in ERRORS:
        valid("error", {"error": kind("why", expected="a", found="b", remedy="c").as_json()})


def test_every_object_of_every_schema_is_closed_and_all_its_fields_are_required() -> None:
    assert {"build", "deploy", "rollback", "error", "entry", "checkpoint", "status", "verify"} <= set(SCHEMAS)

    def look(name: str, schema: object, key: str = "") -> None:
        if isinstance(schema, dict):
            if "required" in schema:
                assert schema["additionalProperties"] is False, name
                later = LATER.get(key, {}) if name == "entry" else {}
                assert set(schema["required"]) == schema["properties"].keys() - later.keys(), name
            for below, inner in schema.items():
                look(name, inner, below)
        elif isinstance(schema, list):
            for inner in schema:
                look(name, inner)

    for name, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:immutag:schema:{name}"
        look(name, schema)


def test_records_are_made_without_reading_anything() -> None:
    assert not {"os", "sys", "time", "datetime", "pathlib"} & set(vars(records))
