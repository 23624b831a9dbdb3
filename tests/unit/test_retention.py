"""What is to be spared, over any history: everything that runs, and never less for a larger number."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import immutag
from immutag.core.deployment import fold
from immutag.core.errors import PolicyViolation
from immutag.core.facts import (
    Claimed,
    Deploying,
    Entry,
    Fact,
    Failed,
    Healthy,
    Held,
    Outcome,
    ReleasedHold,
    Restored,
    RolledBack,
    Stream,
)
from immutag.core.retention import (
    NEVER_DEPLOYED,
    KeepList,
    Kept,
    Piece,
    Reason,
    Wanted,
    by_release,
    in_environment,
    never_deployed,
)
from immutag.core.retention_forms import FORMS
from immutag.core.values import Digest, EnvironmentName, GitSha, ImageRef, Repository
from tests.parts.facts import chained, facts_of

NAME = EnvironmentName("production")
API, STAGING = Repository("ghcr.io", "owner/api"), Repository("ghcr.io", "owner/api-staging")
SHAS = [GitSha(f"{number:040x}") for number in range(1, 40)]


def digest_of(sha: GitSha) -> Digest:
    return Digest(f"sha256:{sha.value:0>64}")


def of_environment(kinds: Sequence[type[Fact]]) -> st.SearchStrategy[Fact]:
    """Facts of a few releases, each with one digest."""

    def facts(sha: GitSha) -> st.SearchStrategy[Fact]:
        same: dict[str, st.SearchStrategy[object]] = {
            "sha": st.just(sha), "repository": st.just(API), "digest": st.just(digest_of(sha)),
        }  # fmt: skip
        return st.one_of([facts_of(kind, **same) for kind in kinds])

    return st.sampled_from(SHAS[:6]).flatmap(facts)


DEPLOYMENTS = of_environment([Deploying, Healthy, RolledBack, Restored, Failed])
HOLDS = facts_of(Held, quarantined=st.none() | st.sampled_from(SHAS[:6])) | facts_of(ReleasedHold)
HISTORIES = st.lists(DEPLOYMENTS | HOLDS, max_size=15).map(
    lambda facts: [entry for entry, _ in chained([(Stream.environment(API, NAME), fact) for fact in facts])]
)


def spared(entries: Sequence[Entry], candidates: int) -> list[Wanted]:
    return list(in_environment(NAME, fold(entries), entries, candidates))


@settings(max_examples=25)
@given(HISTORIES, st.integers(1, 8))
def test_whatever_runs_or_is_being_deployed_is_spared(history: list[Entry], candidates: int) -> None:
    state = fold(history)
    images = {each.image for each in spared(history, candidates)}
    for deployed in (state.current, state.good):
        assert deployed is None or deployed.image in images
    if state.open:
        assert ImageRef(state.open.repository, state.open.digest) in images
        assert state.open.previous_sha is None or state.open.previous_image in {None, *images}


@settings(max_examples=25)
@given(HISTORIES, st.integers(1, 8))
def test_a_larger_number_of_candidates_never_spares_less(history: list[Entry], candidates: int) -> None:
    fewer, more = spared(history, candidates), spared(history, candidates + 1)
    assert more[: len(fewer)] == fewer


@settings(max_examples=25)
@given(HISTORIES, st.integers(1, 8))
def test_candidates_came_up_here_and_neither_run_nor_are_quarantined(
    history: list[Entry], candidates: int
) -> None:
    state = fold(history)
    found = [each.sha for each in spared(history, candidates) if each.reason is Reason.CANDIDATE]
    came_up = [each.fact.sha for each in history if isinstance(each.fact, Healthy | RolledBack)]
    could_be = set(came_up) - set(state.quarantined) - ({state.current.sha} if state.current else set())
    assert len(found) == len(set(found)) == min(candidates, len(could_be))
    assert set(found) <= could_be


def healthy(sha: GitSha) -> Healthy:
    return Healthy(
        sha=sha, repository=API, digest=digest_of(sha), environment=NAME, outcome=Outcome.OK,
        running_digest=None, duration_ms=1,
    )  # fmt: skip


def test_the_newest_come_first_and_a_second_deployment_counts_as_new() -> None:
    stream = Stream.environment(API, NAME)
    entries = [entry for entry, _ in chained([(stream, healthy(SHAS[at])) for at in (0, 1, 0, 2, 3)])]
    assert [each.sha for each in spared(entries, 2)] == [SHAS[3], SHAS[2], SHAS[0]]


def test_an_environment_with_nothing_deployed_needs_nothing() -> None:
    assert spared([], 5) == []


def claims(*claimed: tuple[Repository, GitSha]) -> list[Entry]:
    facts = [
        (Stream.release(where, sha), Claimed(sha, where, digest_of(sha), "application/json", 2))
        for where, sha in claimed
    ]
    return [entry for entry, _ in chained(facts)][::-1]


def test_of_each_repository_the_newest_that_nobody_deployed_are_spared() -> None:
    newest_first = claims(*((API, sha) for sha in SHAS[:15]), *((STAGING, sha) for sha in SHAS[20:35]))
    found = list(never_deployed(newest_first, frozenset({SHAS[14], SHAS[3]}), [API, STAGING]))
    assert [each.sha for each in found if each.image.repository == API] == SHAS[4:14][::-1]
    assert [each.sha for each in found if each.image.repository == STAGING] == SHAS[25:35][::-1]
    assert NEVER_DEPLOYED == 10


def test_other_services_in_the_same_ledger_are_none_of_our_business() -> None:
    theirs = Repository("ghcr.io", "owner/other")
    assert list(never_deployed(claims((theirs, SHAS[0])), frozenset(), [API, STAGING])) == []


def test_one_image_is_listed_once_with_all_its_reasons() -> None:
    image = ImageRef(API, digest_of(SHAS[0]))
    reasons = [Wanted(SHAS[0], image, reason, NAME) for reason in (Reason.CANDIDATE, Reason.RUNS)]
    assert by_release(reasons) == {image: (reasons[1], reasons[0])}


def test_the_schema_knows_every_reason() -> None:
    file = Path(immutag.__file__).parent / "schemas" / "retention.json"
    releases = json.loads(file.read_text())["properties"]["releases"]["items"]["properties"]
    known = releases["reasons"]["items"]["properties"]["reason"]["enum"]
    assert known == [reason.value for reason in Reason]


def keep_list(*digests: Digest) -> KeepList:
    pieces = tuple(
        Piece(API, digest, (f"{digest.hex[:40]}", f"sha256-{digest.hex[:64]}.sig"), "image")
        for digest in digests
    )
    return KeepList((Kept(SHAS[0], ImageRef(API, digests[0]), (), pieces),), ())


DIGESTS = st.lists(
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda text: Digest(f"sha256:{text}")),
    min_size=1, max_size=5, unique=True,
)  # fmt: skip


@settings(max_examples=25)
@given(DIGESTS, DIGESTS)
def test_a_pattern_matches_what_is_listed_and_nothing_else(
    listed: list[Digest], others: list[Digest]
) -> None:
    keep = keep_list(*listed)
    pattern = re.compile(FORMS["delete-package-versions"].render(keep).partition("=")[2])
    for digest in (*listed, *others):
        assert bool(pattern.search(str(digest))) == (digest in listed)
    assert not pattern.search(f"{listed[0]}0")


@settings(max_examples=25, deadline=None)
@given(st.sets(st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1, max_size=45))
def test_gitlabs_pattern_fits_into_its_database_and_spares_all_that_is_listed(hexes: set[str]) -> None:
    keep = keep_list(*(Digest(f"sha256:{each}") for each in sorted(hexes)))
    policy = json.loads(FORMS["gitlab"].render(keep))["container_expiration_policy_attributes"]
    pattern = policy["name_regex_keep"]
    assert len(pattern) <= 255
    assert all(re.fullmatch(pattern, tag) for tag in keep.tags)
    assert all(re.fullmatch(pattern, tag[:12]) for tag in keep.tags)  # the short tags
    assert not [tag for tag in ("latest", "v1.2", "") if re.fullmatch(pattern, tag)]


def test_more_than_gitlab_can_be_told_is_refused_and_no_list() -> None:
    keep = keep_list(*(Digest(f"sha256:{number:04x}{'0' * 60}") for number in range(60)))
    with pytest.raises(PolicyViolation, match="more releases to spare"):
        FORMS["gitlab"].render(keep)


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"ecr"}))
def test_every_form_names_a_source_and_is_what_a_job_can_read_in_lines(name: str) -> None:
    form = FORMS[name]
    assert form.source.startswith("https://")
    assert form.tool
    assert form.cannot
    for line in form.render(keep_list(digest_of(SHAS[0]), digest_of(SHAS[1]))).split("\n"):
        assert re.fullmatch(r"[a-z-]+=\S.*|\{.*\}", line)


def test_a_tool_that_cannot_spare_is_refused_in_words() -> None:
    with pytest.raises(PolicyViolation, match="no list of images to spare"):
        FORMS["ecr"].render(keep_list(digest_of(SHAS[0])))
