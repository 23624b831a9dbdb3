"""Killed at any point, and then run again: completed, nothing lost, nothing doubled (law 8)."""

import signal
from typing import Literal

import pytest

from tests.parts.peers import Crane
from tests.parts.site import Site

pytestmark = pytest.mark.slow

When = Literal["before", "after"]
WHEN: list[When] = ["before", "after"]
RELEASED = ["requested", "built", "pushed", "claimed", "signature_checked", "tagged"]


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("fact", RELEASED)
def test_a_killed_release_is_completed_by_the_next(fact: str, when: When, site: Site, crane: Crane) -> None:
    assert site.run_killed("release", when=when, fact=fact).returncode == -signal.SIGKILL
    assert site.run("release").returncode == 0
    assert site.facts() == RELEASED
    assert crane.tags(site.repository) == [str(site.sha)]
    assert site.run("ledger", "verify").returncode == 0


@pytest.mark.parametrize("fact", ["pushed", "claimed", "tagged"])
def test_a_finished_build_is_found_again(fact: str, site: Site) -> None:
    assert site.run_killed("release", when="before", fact=fact).returncode == -signal.SIGKILL
    again = site.run("release")
    assert again.returncode == 0
    assert "STEP" not in again.stderr, "it was built again"


def test_a_finished_build_of_another_recipe_is_built_anew(site: Site) -> None:
    assert site.run_killed("release", when="before", fact="pushed").returncode == -signal.SIGKILL
    record = site.json("release", env={"IMMUTAG_BUILD_PLATFORMS": "linux/arm64"})
    assert record["arch"] == "linux/arm64"
    assert site.facts("release:").count("built") == 2


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("fact", ["deploying", "healthy"])
def test_a_killed_deployment_is_closed_by_the_next(fact: str, when: When, site: Site) -> None:
    first, second = two_releases(site)
    site.json("deploy", "--sha", first, "--env", "staging")
    died = site.run_killed("deploy", "--sha", second, "--env", "staging", when=when, fact=fact)
    assert died.returncode == -signal.SIGKILL
    interrupted = (fact == "deploying" and when == "after") or (fact == "healthy" and when == "before")
    assert status(site)["interrupted"] is interrupted
    record = site.json("deploy", "--sha", second, "--env", "staging")
    assert record["outcome"] in ("ok", "unchanged")
    assert (status(site)["image_sha"], status(site)["interrupted"]) == (str(second), False)
    assert (site.box / "runs").read_text().strip() == record["image"]
    closings = [kind for kind in site.facts("environment:") if kind in ("healthy", "restored", "failed")]
    assert len(closings) == site.facts("environment:").count("deploying")


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("fact", ["deploying", "held", "rolled_back"])
def test_a_killed_rollback_holds_and_is_closed_by_the_next(fact: str, when: When, site: Site) -> None:
    first, second = two_releases(site)
    site.json("deploy", "--sha", first, "--env", "staging")
    site.json("deploy", "--sha", second, "--env", "staging")
    died = site.run_killed("rollback", "--sha", first, "--env", "staging", when=when, fact=fact)
    assert died.returncode == -signal.SIGKILL
    if (fact, when) != ("deploying", "before"):
        assert status(site)["held"] is True
        refused = site.error("deploy", "--sha", second, "--env", "staging", "--automatic")
        assert refused["code"] == "POLICY_VIOLATION"
    assert site.json("rollback", "--sha", first, "--env", "staging")["image_sha"] == str(first)
    assert (status(site)["image_sha"], status(site)["held"]) == (str(first), True)
    assert str(first) in (site.box / "applied").read_text().splitlines()[-1]


def test_another_command_also_closes_what_was_interrupted(site: Site) -> None:
    first, second = two_releases(site)
    site.json("deploy", "--sha", first, "--env", "staging")
    site.run_killed("deploy", "--sha", second, "--env", "staging", when="after", fact="deploying")
    record = site.json("deploy", "--sha", first, "--env", "staging")
    assert record["outcome"] == "unchanged"
    assert site.facts("environment:")[-2:] == ["taken_over", "restored"]


def two_releases(site: Site) -> tuple[str, str]:
    first = str(site.sha)
    site.json("release")
    second = str(site.commit("the second"))
    site.json("release")
    return first, second


def status(site: Site) -> dict[str, object]:
    found: dict[str, object] = site.json("status", "staging")[0]
    return found
