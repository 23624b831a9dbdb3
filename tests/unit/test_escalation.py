"""When verification becomes mandatory: each border of the rule, and that nothing takes it back (DR-003)."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.errors import LedgerConflict
from immutag.core.escalation import WINDOW, Figures, covers, figures
from immutag.core.facts import (
    Deploying,
    Entry,
    Fact,
    Failed,
    Healthy,
    Held,
    Mandatory,
    Outcome,
    Restored,
    RolledBack,
    SignatureReason,
    SignatureStatus,
    Stopped,
    Stream,
)
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository, RepositoryType
from immutag.ledger.sqlite import SqliteLedger
from immutag.usecases.escalate import escalate, read_figures
from immutag.usecases.state import state_of

REPOSITORY = Repository("registry.example", "owner/api")
PRODUCTION = EnvironmentName("production")
STREAM = Stream.environment(REPOSITORY, PRODUCTION)
DIGEST = Digest("sha256:" + "1" * 64)
VERIFIED, MISSING = SignatureReason.NOT_APPLICABLE, SignatureReason.MISSING
UNKNOWN, INVALID = SignatureReason.KEY_NOT_FOUND, SignatureReason.INVALID
STRANGER, ERROR = SignatureReason.IDENTITY_MISMATCH, SignatureReason.ERROR


class Act(NamedTuple):
    """An attempt: which commit, what its verification found, and how it ended.

    `error` is a stop before it began; `up` and `back` came up, `restored` and `failed` did not.
    """

    number: int
    reason: SignatureReason = VERIFIED
    end: str = "up"


def sha(number: int) -> GitSha:
    return GitSha(f"{number:040x}")


def facts(act: Act) -> list[Fact]:
    """What an attempt leaves in the environment's stream."""
    name = sha(act.number)
    if act.reason is ERROR:
        code = "SOFT_VERIFY_TOOL_ERROR"
        return [
            Stopped(name, REPOSITORY, None, PRODUCTION, "deploy", "pre_deploy", code, "no answer", "x", "y")
        ]
    status = SignatureStatus.VERIFIED if act.reason is VERIFIED else SignatureStatus.UNVERIFIED
    began = Deploying(
        sha=name,
        repository=REPOSITORY,
        digest=DIGEST,
        accepted=(DIGEST,),
        repository_type=RepositoryType.CANONICAL,
        environment=PRODUCTION,
        target="podman",
        command="rollback" if act.end == "back" else "deploy",
        automatic=False,
        reason=None,
        previous_sha=None,
        previous_image=None,
        commits_ahead=None,
        signature_status=status,
        signature_reason=act.reason,
        held=False,
        quarantined=(),
        holder="somebody",
        until="2026-01-02T00:00:00.000Z",
    )
    about = (name, REPOSITORY, DIGEST, PRODUCTION)
    ends: dict[str, list[Fact]] = {
        "up": [Healthy(*about, Outcome.OK, DIGEST, 1)],
        "back": [
            Held(REPOSITORY, PRODUCTION, "slow", None),
            RolledBack(*about, Outcome.UNOBSERVED, None, None, 1),
        ],
        "restored": [Restored(*about, sha(0), DIGEST, DIGEST, "unhealthy", 1)],
        "failed": [Failed(*about, None, "unhealthy", 1)],
    }
    return [began, *ends[act.end]]


def stream_of(acts: Sequence[Act]) -> list[Entry]:
    told = [fact for act in acts for fact in facts(act)]
    return [
        Entry(at, STREAM, at, "2026-01-01T00:00:00.000Z", "tester", "", "", fact)
        for at, fact in enumerate(told, 1)
    ]


def of(acts: Sequence[Act]) -> Figures:
    return figures(stream_of(acts))


def signed(count: int, *, first: int = 1) -> list[Act]:
    return [Act(number) for number in range(first, first + count)]


def with_reason(count: int, reason: SignatureReason) -> list[Act]:
    return [Act(number, reason) for number in range(101, 101 + count)]


# The share of signed ones: more than 90 % of 30.


@pytest.mark.parametrize(("good", "reached"), [(26, False), (27, False), (28, True), (29, True), (30, True)])
def test_more_than_nine_of_ten_must_be_signed(good: int, reached: bool) -> None:
    found = of([*signed(good), *with_reason(WINDOW - good, MISSING)])
    assert found == Figures(30, good, good, 0)
    assert found.reached is reached


@pytest.mark.parametrize("deployed", [0, 1, 28, 29])
def test_fewer_than_thirty_are_never_enough(deployed: int) -> None:
    found = of(signed(deployed))
    assert found == Figures(deployed, deployed, deployed, 0)
    assert not found.reached


def test_thirty_deployments_of_fewer_shas_are_not_thirty() -> None:
    acts = [Act(number % 29) for number in range(90)]
    assert of(acts).deployed == 29
    assert not of(acts).reached


def test_only_the_newest_thirty_count() -> None:
    assert of([*with_reason(50, MISSING), *signed(30)]).reached
    assert not of([*signed(30), *with_reason(3, MISSING)]).reached
    assert of([*signed(30), *with_reason(2, MISSING)]).reached


@pytest.mark.parametrize("end", ["restored", "failed"])
def test_what_did_not_come_up_was_not_deployed(end: str) -> None:
    assert not of([*signed(29), Act(77, VERIFIED, end)]).reached
    assert of([*signed(30), *(Act(number, MISSING, end) for number in range(50, 90))]).reached


def test_what_a_rollback_brought_up_was_deployed() -> None:
    assert of([*signed(29), Act(77, VERIFIED, "back")]).reached


# The rate of failures: fewer than 1 % of the verifications of signed images.


@pytest.mark.parametrize("bad", [INVALID, UNKNOWN, STRANGER, ERROR])
@pytest.mark.parametrize(("checks", "reached"), [(31, False), (99, False), (100, False), (101, True)])
def test_fewer_than_one_of_a_hundred_may_fail(bad: SignatureReason, checks: int, reached: bool) -> None:
    """Commit 1 is the oldest, so the window is all of it; the failure is among commit 2's many checks."""
    many = [Act(2)] * (checks - 31)
    found = of([*signed(2), *many, Act(2, bad), *signed(28, first=3)])
    assert found == Figures(30, 30, checks, 1)
    assert found.reached is reached


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_the_rate_is_compared_in_integers(failures: int) -> None:
    assert Figures(30, 30, 100 * failures, failures).failed_little is False
    assert Figures(30, 30, 100 * failures + 1, failures).failed_little is True


@pytest.mark.parametrize("bad", [UNKNOWN, STRANGER])
def test_a_signature_by_somebody_unknown_is_no_signature_and_a_failure(bad: SignatureReason) -> None:
    assert of([*signed(28), *with_reason(2, bad)]) == Figures(30, 28, 30, 2)


def test_an_invalid_signature_by_a_known_key_is_a_signature_and_a_failure() -> None:
    assert of([*signed(28), *with_reason(2, INVALID)]) == Figures(30, 30, 30, 2)


def test_that_it_could_not_be_determined_is_a_failure_only_of_what_is_signed() -> None:
    assert of([*signed(30), Act(30, ERROR)]) == Figures(30, 30, 31, 1)
    assert of([*signed(29), Act(99, ERROR), Act(99, MISSING)]) == Figures(30, 29, 29, 0)
    assert of([*signed(30), Act(99, ERROR)]) == Figures(30, 30, 30, 0)


def test_a_signature_that_is_gone_is_a_check_that_did_not_fail() -> None:
    assert of([*signed(30), Act(30, MISSING, "back")]) == Figures(30, 30, 31, 0)


def test_a_commit_that_is_signed_later_is_signed() -> None:
    assert of([*signed(27), *with_reason(3, MISSING), Act(101)]) == Figures(30, 28, 29, 0)


def test_a_key_that_is_not_trusted_any_more_is_a_failure_at_the_rollback() -> None:
    assert of([*signed(30), Act(29, UNKNOWN, "back")]) == Figures(30, 30, 31, 1)


def test_a_failure_leaves_the_window_with_its_deployment() -> None:
    acts = [Act(1, UNKNOWN), *signed(30, first=2)]
    assert of(acts) == Figures(30, 30, 30, 0)
    assert not of(acts[:-1]).reached


@pytest.mark.parametrize("code", ["POLICY_VIOLATION", "REGISTRY_UNAVAILABLE"])
def test_another_stop_says_nothing_about_signatures(code: str) -> None:
    stopped = Stopped(sha(30), REPOSITORY, None, PRODUCTION, "deploy", "pre_deploy", code, "m", "x", "y")
    entries = stream_of(signed(30))
    entries.append(Entry(61, STREAM, 61, "2026-01-01T00:00:00.000Z", "tester", "", "", stopped))
    assert figures(entries) == Figures(30, 30, 30, 0)


# What is still missing.


def test_what_is_missing_is_said_in_words() -> None:
    few = of([*signed(10), *with_reason(2, UNKNOWN)])
    assert [words.split(" (")[0] for words in few.lacking] == [
        "18 more distinct SHAs deployed",
        "18 more of them signed",
        "fewer failed verifications of signed images",
    ]
    assert of(signed(30)).lacking == ()


@given(st.data())
def test_something_is_missing_exactly_until_it_is_reached(data: st.DataObject) -> None:
    deployed = data.draw(st.integers(0, WINDOW))
    known = data.draw(st.integers(0, deployed))
    checks = data.draw(st.integers(known, 400))
    found = Figures(deployed, known, checks, data.draw(st.integers(0, min(checks, 5))))
    assert (found.lacking == ()) is found.reached


# Any history.

ACTS = st.builds(
    Act,
    st.integers(0, 36),
    st.sampled_from([*[VERIFIED] * 8, MISSING, UNKNOWN, INVALID, STRANGER, ERROR]),
    st.sampled_from([*["up"] * 5, "back", "restored", "failed"]),
)


def by_hand(acts: Sequence[Act]) -> Figures:
    """The rule once more, over attempts instead of entries."""
    came_up = [
        (at, act) for at, act in enumerate(acts) if act.reason is not ERROR and act.end in ("up", "back")
    ]
    newest: list[int] = []
    begin = 0
    for at, act in reversed(came_up):
        if act.number not in newest:
            newest.append(act.number)
        if len(newest) == WINDOW:
            begin = at
            break
    told = [act for act in acts[begin:] if act.number in newest]
    found = {number: [act.reason for act in told if act.number == number] for number in newest}
    known = [number for number in newest if {VERIFIED, INVALID} & {*found[number]}]
    having = [number for number in newest if {VERIFIED, INVALID, UNKNOWN, STRANGER} & {*found[number]}]
    checks = [reason for number in having for reason in found[number]]
    return Figures(
        len(newest), len(known), len(checks), len([r for r in checks if r not in (VERIFIED, MISSING)])
    )


@settings(max_examples=150)
@given(st.lists(ACTS, max_size=120))
def test_the_figures_are_those_of_the_rule(acts: list[Act]) -> None:
    assert of(acts) == by_hand(acts)


@settings(max_examples=100)
@given(st.lists(ACTS, max_size=60), st.lists(ACTS, max_size=60))
def test_an_end_that_covers_the_window_says_what_the_whole_stream_says(
    before: list[Act], after: list[Act]
) -> None:
    late = stream_of([*before, *after])[len(stream_of(before)) :]
    if covers(late):
        assert figures(late) == of([*before, *after])


@settings(max_examples=100)
@given(st.lists(ACTS, max_size=60), st.randoms(use_true_random=False))
def test_of_one_deployment_for_each_commit_the_order_does_not_matter(acts: list[Act], random: object) -> None:
    once = list({act.number: act for act in acts if act.reason is not ERROR}.values())[:WINDOW]
    shuffled = list(once)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis calls it object
    assert of(shuffled) == of(once)


def test_of_two_who_decide_at_once_one_tells_it(tmp_path: Path) -> None:
    with closing(SqliteLedger(tmp_path / "ledger.db", actor="tester")) as ledger:
        for version, entry in enumerate(stream_of(signed(30))):
            ledger.append(STREAM, entry.fact, after=version)
        seen, due = state_of(ledger, STREAM), read_figures(ledger, STREAM)
        escalate(seen, due, PRODUCTION, canonical=REPOSITORY, ledger=ledger, stream=STREAM)
        with pytest.raises(LedgerConflict):
            escalate(seen, due, PRODUCTION, canonical=REPOSITORY, ledger=ledger, stream=STREAM)
        assert state_of(ledger, STREAM).mandatory
        assert ledger.stream(STREAM)[-1].fact == Mandatory(REPOSITORY, PRODUCTION, 30, 30, 30, 0)


@pytest.mark.parametrize("refusals", [0, 40, 600])
def test_the_figures_are_read_from_as_much_of_the_stream_as_says_them(refusals: int, tmp_path: Path) -> None:
    """However many entries lie between the deployments that count."""
    acts = [*with_reason(5, UNKNOWN), *signed(29), *[Act(99, ERROR)] * refusals, Act(30)]
    with closing(SqliteLedger(tmp_path / "ledger.db", actor="tester")) as ledger:
        for version, entry in enumerate(stream_of(acts)):
            ledger.append(STREAM, entry.fact, after=version)
        assert read_figures(ledger, STREAM) == Figures(30, 30, 30, 0)
        assert read_figures(ledger, Stream("environment:another")) == Figures(0, 0, 0, 0)
