"""The metrics: the contracts' names and labels, counted from facts, and promtool has no complaint."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from immutag.core.facts import (
    Built,
    Deploying,
    Fact,
    Failed,
    Healthy,
    Outcome,
    Requested,
    Restored,
    RolledBack,
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Stopped,
    Stream,
)
from immutag.core.frozen import replace
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository, RepositoryType
from immutag.metrics import exposition
from immutag.metrics.emit import write
from tests.parts.facts import FACTS, STREAMS, chained
from tests.parts.programs import program

SHA, DIGEST = GitSha("a" * 40), Digest("sha256:" + "b" * 64)
CANONICAL, STAGING = Repository.parse("ghcr.io/o/api"), Repository.parse("ghcr.io/o/api-staging")
PRODUCTION = EnvironmentName("production")
ENVIRONMENT = Stream.environment(CANONICAL, PRODUCTION)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def requested(repository: Repository, kind: RepositoryType) -> Requested:
    return Requested(SHA, repository, kind, None, None)


def built(repository: Repository, duration_ms: int) -> Built:
    return Built(SHA, repository, DIGEST, "m", 5, "linux/amd64", "buildah", duration_ms)


def deploying(command: str) -> Deploying:
    return Deploying(
        sha=SHA,
        repository=CANONICAL,
        digest=DIGEST,
        accepted=(),
        repository_type=RepositoryType.CANONICAL,
        environment=PRODUCTION,
        target="podman",
        command=command,
        automatic=False,
        reason=None,
        previous_sha=None,
        previous_image=None,
        commits_ahead=None,
        signature_status=SignatureStatus.UNVERIFIED,
        signature_reason=SignatureReason.MISSING,
        held=False,
        quarantined=(),
        holder="",
        until="",
    )


def stopped(code: str, stage: str) -> Stopped:
    return Stopped(SHA, CANONICAL, None, PRODUCTION, "deploy", stage, code, "", "", "")


def samples(pairs: Sequence[tuple[Stream, Fact]]) -> Samples:
    text = exposition(entry for entry, _ in chained(pairs))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def environment(*facts: Fact) -> Samples:
    return samples([(ENVIRONMENT, fact) for fact in facts])


HEALTHY = Healthy(SHA, CANONICAL, DIGEST, PRODUCTION, Outcome.OK, DIGEST, 2_000)
RESTORED = Restored(SHA, CANONICAL, DIGEST, PRODUCTION, SHA, DIGEST, DIGEST, "why", 90_000)
FAILED = Failed(SHA, CANONICAL, DIGEST, PRODUCTION, None, "why", 1_000)
ROLLED_BACK = RolledBack(SHA, CANONICAL, DIGEST, PRODUCTION, Outcome.OK, SHA, DIGEST, 4_500)


def test_builds_are_counted_by_the_type_of_their_repository() -> None:
    found = samples(
        [
            (Stream("release:a"), requested(CANONICAL, RepositoryType.CANONICAL)),
            (Stream("release:b"), requested(STAGING, RepositoryType.STAGING)),
            (Stream("release:a"), built(CANONICAL, 60_000)),
            (Stream("release:b"), built(STAGING, 60_001)),
            (Stream("release:b"), built(STAGING, 5_000_000)),
        ]
    )
    assert found["image_build_total", (("repository_type", "canonical"),)] == 1
    assert found["image_build_total", (("repository_type", "staging"),)] == 2
    buckets = {bound: found["image_build_duration_seconds_bucket", (("le", bound),)] for bound in BOUNDS}
    assert buckets == {"30.0": 0, "60.0": 1, "120.0": 2, "1800.0": 2, "+Inf": 3}
    assert found["image_build_duration_seconds_sum", ()] == 5120.001
    assert found["image_build_duration_seconds_count", ()] == 3


BOUNDS = ("30.0", "60.0", "120.0", "1800.0", "+Inf")


def test_deployments_are_counted_by_how_they_ended() -> None:
    work = deploying("deploy")
    found = environment(work, HEALTHY, work, RESTORED, work, FAILED, work, HEALTHY, work)
    for outcome, count in (("ok", 2), ("restored", 1), ("failed", 1)):
        assert found["deploy_total", (("environment", "production"), ("outcome", outcome))] == count
    assert found["deploy_duration_seconds_count", ()] == 4
    assert found["deploy_duration_seconds_sum", ()] == 95
    assert found["rollback_duration_seconds_count", ()] == 0


def test_a_rollback_is_counted_as_one_however_it_ended() -> None:
    found = environment(deploying("rollback"), ROLLED_BACK, deploying("rollback"), RESTORED)
    assert found["rollback_total", (("repository_type", "canonical"),)] == 2
    assert found["rollback_duration_seconds_sum", ()] == 94.5
    assert not any(name == "deploy_total" for name, _ in found)


def test_verifications_and_mismatches_are_counted() -> None:
    verified = SignatureChecked(
        SHA, CANONICAL, DIGEST, SignatureStatus.VERIFIED, SignatureReason.NOT_APPLICABLE, "key"
    )
    found = environment(
        verified,
        deploying("deploy"),
        stopped("SOFT_VERIFY_TOOL_ERROR", "signature"),
        stopped("DIGEST_MISMATCH", "registry"),
        stopped("DIGEST_MISMATCH", "running"),
        stopped("DIGEST_MISMATCH", "running"),
        stopped("POLICY_VIOLATION", "guard"),
        replace(
            stopped("POLICY_VIOLATION", "pre_deploy"),
            signature_status=SignatureStatus.UNVERIFIED,
            signature_reason=SignatureReason.KEY_NOT_FOUND,
        ),
    )

    def verifications(status: str, reason: str) -> float:
        return found["signature_verification_total", (("reason", reason), ("status", status))]

    assert verifications("verified", "n/a") == 1
    assert verifications("unverified", "missing") == 1
    assert verifications("unverified", "error") == 1
    assert verifications("unverified", "key_not_found") == 1
    assert found["digest_mismatch_total", (("stage", "registry"),)] == 1
    assert found["digest_mismatch_total", (("stage", "running"),)] == 2


def test_an_empty_ledger_has_metrics_that_are_zero() -> None:
    found = samples([])
    assert found["deploy_duration_seconds_count", ()] == 0


def lint(text: str) -> str:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    return (done.stdout + done.stderr).decode() + (f"exit {done.returncode}" if done.returncode else "")


def test_promtool_has_no_complaint() -> None:
    facts: list[Fact] = [
        requested(CANONICAL, RepositoryType.CANONICAL),
        built(CANONICAL, 70_000),
        deploying("deploy"),
        HEALTHY,
        deploying("rollback"),
        ROLLED_BACK,
        stopped("DIGEST_MISMATCH", 'a "stage"\\ with\nmarks'),
    ]
    text = exposition(entry for entry, _ in chained([(ENVIRONMENT, fact) for fact in facts]))
    assert lint(text) == ""
    assert lint(text.replace("# HELP deploy_total", "# NOTE deploy_total")) != ""


@settings(max_examples=30)
@given(pairs=st.lists(st.tuples(STREAMS, FACTS), max_size=10))
def test_any_history_gives_metrics_that_can_be_read(pairs: list[tuple[Stream, Fact]]) -> None:
    found = samples(pairs)
    counted = sum(value for (name, _), value in found.items() if name == "image_build_total")
    assert counted == found["image_build_duration_seconds_count", ()]
    assert counted == sum(isinstance(fact, Built) for _, fact in pairs)


def test_the_textfile_is_replaced_as_a_whole_and_others_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "immutag.prom"
    assert write("one\n", path) is None
    first = path.stat()
    reading = path.open()
    assert write("two\n", path) is None
    assert (path.read_text(), reading.read()) == ("two\n", "one\n")
    reading.close()
    assert path.stat().st_ino != first.st_ino
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("where", ["file/immutag.prom", "folder"])
def test_a_textfile_that_cannot_be_written_is_said_in_words_and_leaves_nothing(
    tmp_path: Path, where: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert str(tmp_path) in str(write("one\n", tmp_path / where))
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["file", "folder"]
