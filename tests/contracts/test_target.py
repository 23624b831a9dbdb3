"""What every deployment target promises, on the real platforms. The platform is asked behind its back."""

from pathlib import Path

import pytest

from immutag.core.deployment import NothingRuns, Observation, Running, Unobservable
from immutag.core.errors import DeployFailure
from immutag.core.values import GitSha
from immutag.deploy import Target
from immutag.deploy.command import CommandTarget
from tests.parts.targets import BROKEN, ENVIRONMENT, FIRST, LIMIT_S, SECOND, Platform, Releases

pytestmark = pytest.mark.slow


def bring(platform: Platform, releases: Releases, sha: GitSha, previous: GitSha | None = None) -> None:
    """A deployment that goes well, as far as the target is concerned."""
    placement = releases.placement(sha, previous)
    platform.target.prepare(placement.image, timeout_s=LIMIT_S)
    platform.target.place(placement, timeout_s=LIMIT_S)
    platform.target.keep(placement, timeout_s=LIMIT_S)


def only(releases: Releases, sha: GitSha, observed: Observation) -> bool:
    """Whether one instance runs, and it runs this release."""
    return (
        isinstance(observed, Running)
        and len(observed.instances) == 1
        and releases.image(sha).digest in observed.instances[0]
    )


def test_where_nothing_was_deployed_nothing_runs(platform: Platform) -> None:
    assert platform.target.observe(timeout_s=LIMIT_S) == NothingRuns()


def test_what_was_placed_runs_and_is_observed_by_its_digest(platform: Platform, releases: Releases) -> None:
    bring(platform, releases, FIRST)
    assert only(releases, FIRST, platform.target.observe(timeout_s=LIMIT_S))
    assert platform.answering() == FIRST


def test_a_second_release_takes_the_place_of_the_first(platform: Platform, releases: Releases) -> None:
    bring(platform, releases, FIRST)
    bring(platform, releases, SECOND, previous=FIRST)
    assert only(releases, SECOND, platform.target.observe(timeout_s=LIMIT_S))
    assert (platform.answering(), platform.instances()) == (SECOND, 1)


def test_every_act_may_be_done_twice(platform: Platform, releases: Releases) -> None:
    bring(platform, releases, FIRST)
    placement = releases.placement(SECOND, previous=FIRST)
    for _ in range(2):
        platform.target.prepare(placement.image, timeout_s=LIMIT_S)
    for act in (platform.target.place, platform.target.keep):
        act(placement, timeout_s=LIMIT_S)
        act(placement, timeout_s=LIMIT_S)
    assert only(releases, SECOND, platform.target.observe(timeout_s=LIMIT_S))
    platform.target.restore(placement, timeout_s=LIMIT_S)
    platform.target.restore(placement, timeout_s=LIMIT_S)
    assert only(releases, FIRST, platform.target.observe(timeout_s=LIMIT_S))
    assert (platform.answering(), platform.instances()) == (FIRST, 1)


def test_restore_runs_the_previous_release_and_only_that(platform: Platform, releases: Releases) -> None:
    bring(platform, releases, FIRST)
    placement = releases.placement(SECOND, previous=FIRST)
    platform.target.prepare(placement.image, timeout_s=LIMIT_S)
    platform.target.place(placement, timeout_s=LIMIT_S)
    platform.target.restore(placement, timeout_s=LIMIT_S)
    assert only(releases, FIRST, platform.target.observe(timeout_s=LIMIT_S))
    assert (platform.answering(), platform.instances()) == (FIRST, 1)


def test_a_release_that_cannot_start_fails_with_its_words_and_can_be_restored(
    platform: Platform, releases: Releases
) -> None:
    bring(platform, releases, FIRST)
    placement = releases.placement(BROKEN, previous=FIRST)
    platform.target.prepare(placement.image, timeout_s=LIMIT_S)
    with pytest.raises(DeployFailure) as failure:
        platform.target.place(placement, timeout_s=LIMIT_S)
    assert "the database is gone" in failure.value.found
    platform.target.restore(placement, timeout_s=LIMIT_S)
    assert only(releases, FIRST, platform.target.observe(timeout_s=LIMIT_S))
    assert (platform.answering(), platform.instances()) == (FIRST, 1)


def test_what_ended_is_not_said_to_run(platform: Platform, releases: Releases) -> None:
    bring(platform, releases, FIRST)
    platform.end()
    assert platform.target.observe(timeout_s=LIMIT_S) == NothingRuns()


def test_a_platform_that_runs_another_release_is_found_out(platform: Platform, releases: Releases) -> None:
    bring(platform, releases, FIRST)
    platform.swap(FIRST, SECOND)
    observed = platform.target.observe(timeout_s=LIMIT_S)
    assert only(releases, SECOND, observed)
    assert not only(releases, FIRST, observed)


def test_placing_again_mends_a_platform_that_runs_another_release(
    platform: Platform, releases: Releases
) -> None:
    platform.swap(FIRST, SECOND)
    bring(platform, releases, FIRST)
    assert only(releases, FIRST, platform.target.observe(timeout_s=LIMIT_S))
    assert (platform.answering(), platform.instances()) == (FIRST, 1)


def test_nothing_is_done_after_the_time_is_up(platform: Platform, releases: Releases) -> None:
    bring(platform, releases, FIRST)
    placement = releases.placement(SECOND, previous=FIRST)
    for act in (platform.target.place, platform.target.restore):
        with pytest.raises(DeployFailure):
            act(placement, timeout_s=0)
    assert only(releases, FIRST, platform.target.observe(timeout_s=LIMIT_S))


@pytest.mark.parametrize("observe", [("./observe",), ()])
def test_a_target_that_lies_about_its_act_is_found_out_or_says_that_it_cannot_be(
    releases: Releases, tmp_path: Path, observe: tuple[str, ...]
) -> None:
    """`apply` says yes and does nothing."""
    (tmp_path / "observe").write_text(f"#!/bin/sh\necho {releases.first}\n")
    (tmp_path / "observe").chmod(0o755)
    liar: Target = CommandTarget(ENVIRONMENT, apply=("true",), observe=observe, cwd=tmp_path)
    liar.place(releases.placement(SECOND, previous=FIRST), timeout_s=LIMIT_S)
    observed = liar.observe(timeout_s=LIMIT_S)
    assert not only(releases, SECOND, observed)
    assert only(releases, FIRST, observed) if observe else observed == Unobservable()
