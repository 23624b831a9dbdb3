"""What an environment's facts say: folded from their start, and from any `deploying` on, to the same end."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutag.core.deployment import (
    Deployed,
    EnvironmentState,
    NothingRuns,
    Observation,
    Running,
    Unobservable,
    fold,
    runs,
    seen,
)
from immutag.core.errors import PolicyViolation
from immutag.core.facts import (
    Deploying,
    Entry,
    Fact,
    Failed,
    Healthy,
    Held,
    Mandatory,
    Outcome,
    ReleasedHold,
    Restored,
    RolledBack,
    SignatureReason,
    SignatureStatus,
    Stopped,
    Stream,
    TakenOver,
)
from immutag.core.frozen import replace
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository, RepositoryType
from immutag.ledger.sqlite import SqliteLedger
from immutag.usecases.bring_up import placement_of
from immutag.usecases.state import state_of

REPOSITORY = Repository("registry.example", "owner/api")
PRODUCTION = EnvironmentName("production")
STREAM = Stream.environment(REPOSITORY, PRODUCTION)
A, B, C, D = (GitSha(letter * 40) for letter in "abcd")
REASON = "the page is blank"


def digest_of(sha: GitSha) -> Digest:
    """The index that was recorded for it."""
    return Digest(f"sha256:{sha.value[0] * 63}0")


def platform_of(sha: GitSha) -> Digest:
    """The manifest of its only platform."""
    return Digest(f"sha256:{sha.value[0] * 63}1")


class History:
    """An environment's stream, told as the use cases tell it: each `deploying` restates what it found."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @property
    def state(self) -> EnvironmentState:
        return fold(self.entries)

    def tell(self, fact: Fact) -> None:
        at = len(self.entries) + 1
        time = f"2026-01-01T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}.000Z"
        self.entries.append(Entry(at, STREAM, at, time, "tester", "", "", fact))

    def begin(self, sha: GitSha, command: str = "deploy", *, reason: str | None = None) -> None:
        before = self.state
        failed = before.current is not None and before.current.outcome is Outcome.FAILED
        good = before.good if failed else None
        self.tell(
            Deploying(
                sha=sha,
                repository=REPOSITORY,
                digest=digest_of(sha),
                accepted=(digest_of(sha), platform_of(sha)),
                repository_type=RepositoryType.CANONICAL,
                environment=PRODUCTION,
                target="podman",
                command=command,
                automatic=False,
                reason=reason,
                previous_sha=before.current.sha if before.current else None,
                previous_image=before.current.image if before.current else None,
                commits_ahead=None,
                signature_status=SignatureStatus.UNVERIFIED,
                signature_reason=SignatureReason.MISSING,
                held=before.held,
                quarantined=before.quarantined,
                holder="somebody",
                until=f"2026-01-02T00:{len(self.entries) % 60:02}:00.000Z",
                previous_failed=failed,
                good_sha=good.sha if good else None,
                good_image=good.image if good else None,
            )
        )

    def say_held(self) -> None:
        """What a rollback says after it has begun; killed in between, it does not."""
        work = self.work
        left = work.previous_sha if work.previous_sha != work.sha else None
        self.tell(Held(REPOSITORY, PRODUCTION, work.reason or f"rollback to {work.sha}", left))

    def take_over(self) -> None:
        work, until = self.work, f"2026-01-03T00:{len(self.entries) % 60:02}:00.000Z"
        self.tell(TakenOver(work.sha, REPOSITORY, work.digest, PRODUCTION, "another", until))

    def come_up(self) -> None:
        work, running = self.work, platform_of(self.work.sha)
        if work.command == "rollback":
            self.tell(
                RolledBack(
                    work.sha, REPOSITORY, work.digest, PRODUCTION, Outcome.OK, work.previous_sha, running, 1
                )
            )
        else:
            self.tell(Healthy(work.sha, REPOSITORY, work.digest, PRODUCTION, Outcome.OK, running, 1))

    def restore(self) -> None:
        """What came up before runs again; where nothing did, the deployment has failed."""
        work, back = self.work, placement_of(self.work)
        if back.previous_sha is None or back.previous is None:
            self.fail()
            return
        again = back.previous.digest
        self.tell(
            Restored(
                work.sha, REPOSITORY, work.digest, PRODUCTION, back.previous_sha, again, again, "unhealthy", 1
            )
        )

    def fail(self) -> None:
        work = self.work
        self.tell(Failed(work.sha, REPOSITORY, work.digest, PRODUCTION, None, "unhealthy", 1))

    def hold(self, reason: str = "a person said so") -> None:
        self.tell(Held(REPOSITORY, PRODUCTION, reason, None))

    def escalate(self) -> None:
        self.tell(Mandatory(REPOSITORY, PRODUCTION, 30, 28, 30, 0))

    def lift(self) -> None:
        self.tell(ReleasedHold(REPOSITORY, PRODUCTION, "mended"))

    def refuse(self, sha: GitSha) -> None:
        error = PolicyViolation("held", expected="x", found="y", remedy="z")
        self.tell(
            Stopped.by(
                error,
                sha=sha,
                repository=REPOSITORY,
                command="deploy",
                stage="pre_deploy",
                environment=PRODUCTION,
            )
        )

    def deploy(self, sha: GitSha) -> None:
        self.begin(sha)
        self.come_up()

    def roll_back(self, sha: GitSha, *, reason: str | None = REASON) -> None:
        self.begin(sha, "rollback", reason=reason)
        self.say_held()
        self.come_up()

    @property
    def work(self) -> Deploying:
        work = self.state.open
        assert work
        return work


@st.composite
def histories(draw: st.DrawFn, *, most: int = 14) -> History:
    """Any stream that deployments, rollbacks, kills, take-overs and people can leave."""
    history = History()
    for _ in range(draw(st.integers(1, most))):
        act = draw(
            st.sampled_from(
                ["deploy", "deploy", "rollback", "rollback", "hold", "lift", "refuse", "escalate"]
            )
        )
        sha = draw(st.sampled_from([A, B, C, D]))
        match act:
            case "hold":
                history.hold(draw(st.sampled_from(["a person said so", "friday"])))
            case "lift" if history.state.held:
                history.lift()
            case "refuse":
                history.refuse(sha)
            case "escalate" if not history.state.mandatory:
                history.escalate()
            case "deploy" | "rollback":
                history.begin(sha, act, reason=draw(st.sampled_from([None, REASON])))
                _end(history, draw)
    return history


def _end(history: History, draw: st.DrawFn) -> None:
    if history.work.command == "rollback" and draw(st.booleans()):
        history.say_held()
    for _ in range(draw(st.integers(0, 2))):
        history.take_over()
    for meanwhile in draw(st.lists(st.sampled_from([history.hold, history.lift]), max_size=1)):
        meanwhile()
    draw(st.sampled_from([history.come_up, history.come_up, history.restore, history.fail]))()


def prefixes(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[:length] for length in range(1, len(entries) + 1))


def essence(state: EnvironmentState) -> tuple[object, ...]:
    """What decides what may happen next."""
    current = state.current
    where = (current.sha, current.image) if current else None
    return state.version, where, state.open, state.lease, state.held, state.quarantined


@given(histories())
def test_a_fold_may_begin_at_any_deploying(history: History) -> None:
    for entries in prefixes(history.entries):
        whole = fold(entries)
        for at, entry in enumerate(entries):
            if isinstance(entry.fact, Deploying):
                assert essence(fold(entries[at:])) == essence(whole)


@given(histories())
def test_a_fold_that_began_later_says_when_it_does_not_know_all(history: History) -> None:
    for at, entry in enumerate(history.entries):
        later = fold(history.entries[at:])
        if isinstance(entry.fact, Deploying) and not later.restated:
            assert replace(later, mandatory=history.state.mandatory) == history.state


@given(histories())
def test_nothing_takes_back_that_verification_is_mandatory(history: History) -> None:
    told = False
    for entries in prefixes(history.entries):
        told = told or isinstance(entries[-1].fact, Mandatory)
        assert fold(entries).mandatory == told


@given(histories())
def test_somebody_has_a_lease_while_a_deployment_is_open(history: History) -> None:
    for entries in prefixes(history.entries):
        state = fold(entries)
        assert (state.open is None) == (state.lease is None)


@given(histories())
def test_only_a_person_lifts_a_hold(history: History) -> None:
    for entries in prefixes(history.entries):
        before, after = fold(entries[:-1]), fold(entries)
        if before.held and not after.held:
            assert isinstance(entries[-1].fact, ReleasedHold)


@given(histories())
def test_only_a_later_deployment_that_is_healthy_ends_a_quarantine(history: History) -> None:
    for entries in prefixes(history.entries):
        before, after = fold(entries[:-1]), fold(entries)
        if not set(before.quarantined) <= set(after.quarantined):
            assert isinstance(entries[-1].fact, Healthy)
        assert len(set(after.quarantined)) == len(after.quarantined)


@given(histories())
def test_every_rollback_holds_and_quarantines_what_it_left(history: History) -> None:
    for entries in prefixes(history.entries):
        work, state = entries[-1].fact, fold(entries)
        if isinstance(work, Deploying) and work.command == "rollback":
            assert state.held
            assert work.previous_sha in (None, work.sha, *state.quarantined)


def test_nothing_was_told_of_a_new_environment() -> None:
    assert History().state == EnvironmentState()


def test_what_came_up_is_current() -> None:
    history = History()
    history.deploy(A)
    up = Deployed(
        sha=A,
        image=ImageRef(REPOSITORY, digest_of(A)),
        accepted=frozenset({digest_of(A), platform_of(A)}),
        since="2026-01-01T00:00:02.000Z",
        outcome=Outcome.OK,
        running_digest=platform_of(A),
        signature_status=SignatureStatus.UNVERIFIED,
    )
    assert history.state == EnvironmentState(version=2, current=up, good=up)


def test_a_deployment_that_is_open_does_not_run_yet() -> None:
    history = History()
    history.deploy(A)
    history.begin(B)
    state = history.state
    assert state.current
    assert state.current.sha == A
    assert state.open
    assert state.open.sha == B
    assert state.lease == (state.open.holder, state.open.until)


def test_a_take_over_has_a_lease_of_its_own() -> None:
    history = History()
    history.begin(A)
    before = history.state
    history.take_over()
    assert history.state.lease != before.lease
    assert history.state.lease
    assert history.state.lease[0] == "another"
    assert history.state.open == before.open


@pytest.mark.parametrize("say_held", [False, True])
@pytest.mark.parametrize("end", ["open", "come_up", "restore", "fail"])
def test_a_rollback_holds_from_its_beginning_whatever_becomes_of_it(end: str, say_held: bool) -> None:
    history = History()
    history.deploy(A)
    history.deploy(B)
    history.begin(A, "rollback", reason=REASON)
    if say_held:
        history.say_held()
    if end != "open":
        getattr(history, end)()
    assert history.state.hold == REASON
    assert history.state.quarantined == (B,)


def test_a_restored_release_is_what_ran_before() -> None:
    history = History()
    history.deploy(A)
    before = history.state.current
    history.begin(B)
    history.restore()
    assert before
    assert history.state.current == replace(before, outcome=Outcome.RESTORED, running_digest=digest_of(A))


def test_a_failed_release_is_current_as_failed() -> None:
    history = History()
    history.deploy(A)
    history.begin(B)
    history.fail()
    current = history.state.current
    assert current
    assert (current.sha, current.outcome, current.running_digest) == (B, Outcome.FAILED, None)


def test_lifting_a_hold_leaves_the_quarantine() -> None:
    history = History()
    history.deploy(A)
    history.deploy(B)
    history.roll_back(A)
    history.lift()
    assert (history.state.held, history.state.quarantined) == (False, (B,))
    history.deploy(C)
    assert history.state.quarantined == ()


def test_deploying_once_more_what_a_rollback_went_to_leaves_the_quarantine() -> None:
    history = History()
    history.deploy(A)
    history.deploy(B)
    history.roll_back(A)
    history.lift()
    history.deploy(A)
    assert history.state.quarantined == (B,)


def test_a_quarantined_release_that_is_healthy_is_quarantined_no_longer() -> None:
    history = History()
    history.deploy(A)
    history.deploy(B)
    history.begin(A, "rollback")
    history.say_held()
    history.restore()
    history.lift()
    left = history.state.quarantined
    history.deploy(B)
    assert (left, history.state.quarantined) == ((B,), ())


def test_what_comes_back_is_what_came_up_last_not_what_failed_before() -> None:
    history = History()
    history.deploy(A)
    for sha in (B, C):
        history.begin(sha)
        history.fail()
    failed = history.state
    history.begin(D)
    history.restore()
    assert failed.current and failed.good
    assert (failed.current.sha, failed.good.sha) == (C, A)
    assert history.state.current and history.state.current.sha == A
    assert history.state.current.outcome is Outcome.RESTORED
    assert history.state.good == history.state.current


def test_what_an_older_version_restored_is_taken_as_it_was_told() -> None:
    history = History()
    history.deploy(A)
    history.begin(B)
    history.fail()
    history.begin(C)
    image = digest_of(B)
    history.tell(Restored(C, REPOSITORY, digest_of(C), PRODUCTION, B, image, image, "unhealthy", 1))
    assert history.state.current and history.state.current.sha == B


def test_a_deployment_by_hand_leaves_the_hold() -> None:
    history = History()
    history.deploy(A)
    history.hold("friday")
    history.deploy(B)
    assert history.state.hold == "friday"


def test_a_rollback_to_what_runs_quarantines_nothing() -> None:
    history = History()
    history.deploy(A)
    history.roll_back(A)
    assert (history.state.held, history.state.quarantined) == (True, ())


def test_two_rollbacks_quarantine_both_that_they_left() -> None:
    history = History()
    for sha in (A, B, C):
        history.deploy(sha)
    history.roll_back(B)
    history.roll_back(A)
    assert history.state.quarantined == (C, B)


def in_ledger(history: History, file: Path) -> EnvironmentState:
    """What the use cases read of this history in a real ledger; times are that ledger's own."""
    with closing(SqliteLedger(file, actor="tester")) as ledger:
        for entry in history.entries:
            ledger.append(STREAM, entry.fact, after=entry.version - 1)
        read = state_of(ledger, STREAM)
        assert read == fold(ledger.stream(STREAM))
        return read


@pytest.mark.parametrize("refused", [0, 61, 62, 63, 64, 90])
def test_many_refusals_hide_nothing_of_an_interrupted_deployment(refused: int, tmp_path: Path) -> None:
    history = History()
    history.deploy(A)
    history.deploy(B)
    history.roll_back(A)
    for _ in range(refused):
        history.refuse(B)
    history.begin(C)
    state = in_ledger(history, tmp_path / "ledger.db")
    assert state.current
    assert platform_of(A) in state.current.accepted
    assert state.hold == REASON


def test_refusals_since_the_last_deployment_hide_nothing_of_it(tmp_path: Path) -> None:
    history = History()
    history.deploy(A)
    for _ in range(70):
        history.refuse(B)
    state = in_ledger(history, tmp_path / "ledger.db")
    assert state.current
    assert state.current.sha == A


@settings(max_examples=15, deadline=None)
@given(history=histories(most=10), refused=st.integers(55, 70), end=st.sampled_from(["none", "open", "up"]))
def test_the_newest_entries_are_enough(
    tmp_path_factory: pytest.TempPathFactory, history: History, refused: int, end: str
) -> None:
    for _ in range(refused):
        history.refuse(A)
    if end != "none":
        history.begin(D)
    if end == "up":
        history.come_up()
    in_ledger(history, tmp_path_factory.mktemp("ledger") / "ledger.db")


@pytest.mark.parametrize("later", [0, 30, 40])
def test_that_verification_became_mandatory_is_known_however_long_ago(later: int, tmp_path: Path) -> None:
    history = History()
    history.deploy(A)
    history.escalate()
    for _ in range(later):
        history.deploy(B)
    assert in_ledger(history, tmp_path / "ledger.db").mandatory


def test_another_environment_is_not_mandatory_for_it(tmp_path: Path) -> None:
    other = Stream.environment(Repository("registry.example", "owner/web"), PRODUCTION)
    with closing(SqliteLedger(tmp_path / "ledger.db", actor="tester")) as ledger:
        ledger.append(other, Mandatory(REPOSITORY, PRODUCTION, 30, 28, 30, 0), after=0)
        history = History()
        for _ in range(40):
            history.deploy(A)
        for entry in history.entries:
            ledger.append(STREAM, entry.fact, after=entry.version - 1)
        assert not state_of(ledger, STREAM).mandatory
        assert state_of(ledger, other).mandatory


X, Y, Z = (Digest(f"sha256:{digit * 64}") for digit in "123")
OBSERVED: list[tuple[str, Observation, frozenset[Digest], Digest | None]] = [
    ("the digest", Running((frozenset({X}),)), frozenset({X}), X),
    ("a platform's digest", Running((frozenset({Y}),)), frozenset({X, Y}), Y),
    ("under several names", Running((frozenset({X, Z}),)), frozenset({X}), X),
    ("two instances, by different names", Running((frozenset({X}), frozenset({Y}))), frozenset({X, Y}), X),
    ("something else", Running((frozenset({Z}),)), frozenset({X, Y}), None),
    ("one instance runs something else", Running((frozenset({X}), frozenset({Z}))), frozenset({X}), None),
    ("an image without any digest", Running((frozenset({X}), frozenset())), frozenset({X}), None),
    ("no instance", Running(()), frozenset({X}), None),
    ("nothing", NothingRuns(), frozenset({X}), None),
    ("cannot say", Unobservable(), frozenset({X}), None),
    ("nothing is accepted", Running((frozenset({X}),)), frozenset(), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("observation", "accepted", "digest"), [pytest.param(*row, id=name) for name, *row in OBSERVED]
)
def test_what_runs_is_what_every_instance_runs(
    observation: Observation, accepted: frozenset[Digest], digest: Digest | None
) -> None:
    assert runs(observation, accepted) == digest


def test_an_observation_in_words() -> None:
    assert seen(Running((frozenset({Y, X}), frozenset({Z})))) == f"{X}|{Y}, {Z}"
    assert seen(Running(())) == "nothing"
    assert seen(NothingRuns()) == "nothing runs"
    assert seen(Unobservable()) == "the target cannot say what runs"
