"""The laws as functions: what each refuses, what it lets pass, and what it says to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.deployment import Deployed, Environment, EnvironmentState
from immutag.core.errors import PolicyViolation
from immutag.core.facts import Outcome, SignatureReason
from immutag.core.policy import (
    Enforcement,
    Repositories,
    ensure_clean,
    ensure_forward,
    ensure_not_held,
    ensure_repo_allowed,
    ensure_reversible,
    ensure_verified,
    in_force,
)
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository, RepositoryType
from immutag.core.verification import Unverified, Verified
from tests.parts.facts import REPOSITORIES

CANONICAL, STAGING = Repository("ghcr.io", "owner/api"), Repository("ghcr.io", "owner/api-staging")
OF = Repositories(CANONICAL, STAGING, "main")
NAME = EnvironmentName("production")
RUNNING, OTHER = GitSha("a" * 40), GitSha("b" * 40)
SUBJECT = Digest("sha256:" + "1" * 64)


def environment(*, production: bool = True, irreversible: tuple[str, ...] = ()) -> Environment:
    return Environment(NAME, production, "podman", None, 60.0, irreversible)


PRODUCTION, PREVIEW = environment(), environment(production=False)


def state(
    outcome: Outcome = Outcome.OK, *, hold: str | None = None, quarantined: tuple[GitSha, ...] = ()
) -> EnvironmentState:
    """RUNNING is what was brought up last."""
    image = ImageRef(CANONICAL, SUBJECT)
    current = Deployed(RUNNING, image, frozenset({SUBJECT}), None, outcome, SUBJECT, None)
    return EnvironmentState(version=1, current=current, hold=hold, quarantined=quarantined)


# Which repository: what a build may push to, and what a deployment may pull from.

ALLOWED: list[tuple[Repository, Environment | None, str | None, RepositoryType]] = [
    (CANONICAL, None, "main", RepositoryType.CANONICAL),
    (STAGING, None, "feature", RepositoryType.STAGING),
    (STAGING, None, "main-2", RepositoryType.STAGING),
    (STAGING, None, "", RepositoryType.STAGING),
    (CANONICAL, PRODUCTION, None, RepositoryType.CANONICAL),
    (CANONICAL, PREVIEW, None, RepositoryType.CANONICAL),
    (STAGING, PREVIEW, None, RepositoryType.STAGING),
    (CANONICAL, PRODUCTION, "main", RepositoryType.CANONICAL),
    (STAGING, PREVIEW, "feature", RepositoryType.STAGING),
]


@pytest.mark.parametrize(("repository", "into", "branch", "kind"), ALLOWED)
def test_a_repository_that_is_allowed_says_which_it_is(
    repository: Repository, into: Environment | None, branch: str | None, kind: RepositoryType
) -> None:
    assert ensure_repo_allowed(repository, into, branch, of=OF) is kind


REFUSED: list[tuple[Repository, Environment | None, str | None, str]] = [
    (STAGING, None, "main", str(CANONICAL)),
    (CANONICAL, None, "feature", str(STAGING)),
    (CANONICAL, None, "Main", str(STAGING)),
    (CANONICAL, None, "refs/heads/main", str(STAGING)),
    (STAGING, PRODUCTION, None, f"a release in {CANONICAL}"),
    (STAGING, PRODUCTION, "feature", f"a release in {CANONICAL}"),
]


@pytest.mark.parametrize(("repository", "into", "branch", "expected"), REFUSED)
def test_a_repository_that_is_not_allowed_is_named_beside_the_one_that_is(
    repository: Repository, into: Environment | None, branch: str | None, expected: str
) -> None:
    with pytest.raises(PolicyViolation) as caught:
        ensure_repo_allowed(repository, into, branch, of=OF)
    assert caught.value.expected == expected
    assert str(repository) in caught.value.found


ALIKE = st.sampled_from(
    [Repository("ghcr.io", f"owner/api{end}") for end in ("", "-staging", "2", "/api")]
    + [Repository("ghcr.example", path) for path in ("owner/api", "owner/api-staging")]
)


@given(
    ALIKE | REPOSITORIES,
    st.sampled_from([None, PRODUCTION, PREVIEW]),
    st.none() | st.sampled_from(["main", "feature"]),
)
def test_whatever_is_asked_only_the_two_pass_and_only_canonical_reaches_production(
    repository: Repository, into: Environment | None, branch: str | None
) -> None:
    wanted = {
        RepositoryType.CANONICAL: repository == CANONICAL and branch in (None, "main"),
        RepositoryType.STAGING: repository == STAGING and branch != "main" and into is not PRODUCTION,
    }
    try:
        kind = ensure_repo_allowed(repository, into, branch, of=OF)
    except PolicyViolation:
        assert not any(wanted.values())
    else:
        assert wanted[kind]


@given(st.booleans())
def test_what_a_commit_is_released_to_passes_the_gate(on_main: bool) -> None:
    repository, kind = OF.for_commit(on_main=on_main)
    assert ensure_repo_allowed(repository, None, "main" if on_main else "feature", of=OF) is kind


# The work tree.


def test_a_canonical_release_needs_a_clean_work_tree() -> None:
    ensure_clean([], canonical=True)
    with pytest.raises(PolicyViolation) as caught:
        ensure_clean(["app.py"], canonical=True)
    assert caught.value.found == "app.py"


def test_a_staging_release_does_not() -> None:
    ensure_clean(["app.py"], canonical=False)


def test_many_changed_files_are_counted_not_listed() -> None:
    with pytest.raises(PolicyViolation) as caught:
        ensure_clean([f"{n}.py" for n in range(9)], canonical=True)
    assert caught.value.found == "0.py, 1.py, 2.py, 3.py, 4.py and 4 more"


# Hold and quarantine: (held, quarantined, automatic) → refused?


@pytest.mark.parametrize(
    ("held", "quarantined", "automatic", "refused"),
    [
        (False, False, False, False),
        (False, False, True, False),
        (True, False, False, False),
        (True, False, True, True),
        (False, True, False, False),
        (False, True, True, True),
        (True, True, False, True),
        (True, True, True, True),
    ],
)
def test_hold_and_quarantine(held: bool, quarantined: bool, automatic: bool, refused: bool) -> None:
    now = state(hold="" if held else None, quarantined=(OTHER,) if quarantined else ())
    if not refused:
        ensure_not_held(now, OTHER, NAME, automatic=automatic)
        return
    with pytest.raises(PolicyViolation, match=r"held|quarantined") as caught:
        ensure_not_held(now, OTHER, NAME, automatic=automatic)
    assert f"immutag hold lift --environment {NAME}" in caught.value.remedy


def test_the_reason_of_a_hold_is_shown_to_whom_it_stops() -> None:
    with pytest.raises(PolicyViolation) as caught:
        ensure_not_held(state(hold="friday"), OTHER, NAME, automatic=True)
    assert caught.value.found == "held: friday"


def test_another_sha_is_not_in_quarantine() -> None:
    ensure_not_held(state(quarantined=(OTHER,)), RUNNING, NAME, automatic=True)


# Forward only.


@pytest.mark.parametrize("distance", [(1, 0), (7, 0), (0, 0)])
def test_forward_passes(distance: tuple[int, int]) -> None:
    ensure_forward(state(), OTHER, NAME, distance)


@pytest.mark.parametrize("distance", [(0, 1), (3, 1), None])
def test_back_sideways_and_unknown_are_refused(distance: tuple[int, int] | None) -> None:
    with pytest.raises(PolicyViolation) as caught:
        ensure_forward(state(), OTHER, NAME, distance)
    assert str(RUNNING) in caught.value.expected


def test_who_wants_to_go_back_is_told_the_command() -> None:
    with pytest.raises(PolicyViolation) as caught:
        ensure_forward(state(), OTHER, NAME, (2, 3))
    assert caught.value.found == f"{OTHER}: 2 ahead, 3 behind"
    assert caught.value.remedy == f"immutag rollback --environment {NAME} --sha {OTHER}"


@pytest.mark.parametrize("distance", [(0, 1), None])
@pytest.mark.parametrize(
    ("now", "sha"),
    [
        pytest.param(EnvironmentState(), OTHER, id="nothing ran yet"),
        pytest.param(state(), RUNNING, id="the same again"),
        pytest.param(state(Outcome.FAILED), OTHER, id="what came last has failed"),
    ],
)
def test_where_nothing_runs_there_is_no_way_back(
    now: EnvironmentState, sha: GitSha, distance: tuple[int, int] | None
) -> None:
    ensure_forward(now, sha, NAME, distance)


@pytest.mark.parametrize("outcome", [Outcome.RESTORED, Outcome.UNOBSERVED, Outcome.UNCHANGED])
def test_what_was_restored_or_not_seen_counts_as_running(outcome: Outcome) -> None:
    with pytest.raises(PolicyViolation):
        ensure_forward(state(outcome), OTHER, NAME, (0, 1))


# What an image cannot undo.

MIGRATIONS = environment(irreversible=("migrations/**", "*.sql"))


@pytest.mark.parametrize(
    "changed",
    [["migrations/0007.py"], ["migrations/a/b/c.py"], ["app.py", "schema.sql"], ["db/schema.sql"], None],
)
def test_a_rollback_over_irreversible_paths_waits_for_a_word(changed: list[str] | None) -> None:
    with pytest.raises(PolicyViolation) as caught:
        ensure_reversible(changed, MIGRATIONS, acknowledged=False)
    assert "--acknowledge-irreversible" in caught.value.remedy
    ensure_reversible(changed, MIGRATIONS, acknowledged=True)


@pytest.mark.parametrize(
    "changed", [[], ["app.py"], ["src/migrations/x"], ["Migrations/x"], ["migrations.md"]]
)
def test_other_paths_do_not_stop_a_rollback(changed: list[str]) -> None:
    ensure_reversible(changed, MIGRATIONS, acknowledged=False)


def test_without_irreversible_paths_nothing_need_be_known() -> None:
    ensure_reversible(None, PRODUCTION, acknowledged=False)


def test_the_irreversible_paths_are_named() -> None:
    changed = ["app.py", *(f"migrations/{n}" for n in range(7))]
    with pytest.raises(PolicyViolation) as caught:
        ensure_reversible(changed, MIGRATIONS, acknowledged=False)
    assert caught.value.found == ", ".join(f"migrations/{n}" for n in range(5)) + " and 2 more"


# Signatures.

REASONS = [reason for reason in SignatureReason if reason is not SignatureReason.NOT_APPLICABLE]


@pytest.mark.parametrize("reason", REASONS)
def test_unverified_stops_only_where_verification_is_mandatory(reason: SignatureReason) -> None:
    finding = Unverified(SUBJECT, reason)
    ensure_verified(finding, Enforcement.SOFT, remedy="")
    with pytest.raises(PolicyViolation) as caught:
        ensure_verified(finding, Enforcement.MANDATORY, remedy="sign it")
    assert caught.value.found == reason.value
    assert caught.value.remedy == "sign it"


def test_a_setting_that_nobody_resolved_is_not_taken_for_soft() -> None:
    with pytest.raises(PolicyViolation):
        ensure_verified(Unverified(SUBJECT, SignatureReason.MISSING), Enforcement.AUTO, remedy="sign it")


@pytest.mark.parametrize("became", [False, True])
def test_only_auto_looks_at_what_the_ledger_says(became: bool) -> None:
    now = EnvironmentState(mandatory=became)
    assert in_force(Enforcement.SOFT, now) is Enforcement.SOFT
    assert in_force(Enforcement.MANDATORY, now) is Enforcement.MANDATORY
    assert in_force(Enforcement.AUTO, now) is (Enforcement.MANDATORY if became else Enforcement.SOFT)


@pytest.mark.parametrize("enforcement", Enforcement)
def test_verified_passes(enforcement: Enforcement) -> None:
    ensure_verified(Verified(SUBJECT, "a key"), enforcement, remedy="")
