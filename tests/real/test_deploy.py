"""Deploy, roll back and hold, through the real command line (DR-005, DR-006, DR-007, DR-014)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.peers import Crane
from tests.parts.site import Site

pytestmark = pytest.mark.slow


def released(site: Site, *messages: str) -> list[str]:
    """A release for the first commit, and one for each message."""
    shas = [str(site.sha)]
    site.json("release")
    for message in messages:
        shas.append(str(site.commit(message)))
        site.json("release")
    return shas


def status(site: Site, environment: str = "staging") -> dict[str, object]:
    found: dict[str, object] = site.json("status", environment)[0]
    return found


def test_a_container_runs_the_recorded_digest_and_a_rollback_brings_the_first_back(site: Site) -> None:
    first, second = released(site, "the second")
    record = site.json("deploy", "--sha", first, "--env", "production")
    assert (record["outcome"], record["running_digest"]) == ("ok", record["image_digest"])
    assert first in site.answer()
    record = site.json("deploy", "--sha", second, "--env", "production")
    assert (record["commits_ahead"], record["outcome"]) == (1, "ok")
    assert second in site.answer()
    record = site.json("rollback", "--sha", first, "--env", "production", "--reason", "it is slow")
    assert (record["previous_sha"], record["reason"]) == (second, "it is slow")
    assert record["running_digest"] == record["image_digest"]
    assert first in site.answer()
    assert status(site, "production")["held"] is True


def test_deploying_twice_changes_nothing(site: Site) -> None:
    (first,) = released(site)
    site.json("deploy", "--sha", first, "--env", "staging")
    facts = site.facts()
    assert site.json("deploy", "--sha", first, "--env", "staging")["outcome"] == "unchanged"
    assert site.facts() == facts
    assert (site.box / "applied").read_text().split() == [first]


def test_what_was_changed_behind_our_back_is_deployed_again(site: Site) -> None:
    (first,) = released(site)
    site.json("deploy", "--sha", first, "--env", "staging")
    (site.box / "runs").write_text(f"sha256:{'0' * 64}\n")
    record = site.json("deploy", "--sha", first, "--env", "staging")
    assert (record["outcome"], record["running_digest"]) == ("ok", record["image_digest"])


def test_a_target_that_lies_is_a_mismatch_and_is_restored(site: Site) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", first, "--env", "staging")
    (site.box / "lie").touch()
    error = site.error("deploy", "--sha", second, "--env", "staging")
    assert (error["code"], error["status"]) == ("DIGEST_MISMATCH", 15)
    assert status(site)["image_sha"] == first
    assert site.facts("environment:")[-2:] == ["stopped", "restored"]


def test_a_target_that_refuses_keeps_the_release_before(site: Site) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", first, "--env", "staging")
    (site.box / "apply").write_text(
        f'#!/bin/sh\ntest "$IMMUTAG_IMAGE_SHA" = {first} && echo "$IMMUTAG_IMAGE" >{site.box}/runs\n'
    )
    finished = site.run("--log-format", "json", "deploy", "--sha", second, "--env", "staging")
    assert finished.returncode == 19
    said = [json.loads(line) for line in finished.stderr.splitlines()]
    (record,) = [line for line in said if "phase" in line]
    assert (record["phase"], record["outcome"]) == ("deploy", "restored")
    assert (status(site)["image_sha"], status(site)["outcome"]) == (first, "restored")


def test_a_first_deployment_that_fails_has_nothing_to_restore(site: Site) -> None:
    (first,) = released(site)
    (site.box / "refuse").touch()
    assert site.error("deploy", "--sha", first, "--env", "staging")["code"] == "DEPLOY_FAILURE"
    assert status(site)["outcome"] == "failed"
    (site.box / "refuse").unlink()
    assert site.json("deploy", "--sha", first, "--env", "staging")["outcome"] == "ok"


def test_after_two_failures_the_last_release_that_came_up_comes_back(site: Site) -> None:
    first, second, third = released(site, "the second", "the third")
    site.json("deploy", "--sha", first, "--env", "staging")
    (site.box / "refuse").touch()
    site.error("deploy", "--sha", second, "--env", "staging")
    assert (status(site)["image_sha"], status(site)["outcome"]) == (second, "failed")
    (site.box / "refuse").unlink()
    (site.box / "apply").write_text(
        f'#!/bin/sh\ntest "$IMMUTAG_IMAGE_SHA" != {third} && echo "$IMMUTAG_IMAGE" >{site.box}/runs\n'
    )
    error = site.error("deploy", "--sha", third, "--env", "staging")
    assert (error["code"], f"{first} runs again" in error["next"]) == ("DEPLOY_FAILURE", True)
    assert (status(site)["image_sha"], status(site)["outcome"]) == (first, "restored")
    assert (site.box / "runs").read_text().strip() == site.json("show", first)["image"]


def test_a_release_that_failed_first_does_not_come_back(site: Site) -> None:
    first, second = released(site, "the second")
    (site.box / "refuse").touch()
    site.error("deploy", "--sha", first, "--env", "staging")
    (site.box / "refuse").unlink()
    (site.box / "apply").write_text(
        f'#!/bin/sh\ntest "$IMMUTAG_IMAGE_SHA" != {second} && echo "$IMMUTAG_IMAGE" >{site.box}/runs\n'
    )
    error = site.error("deploy", "--sha", second, "--env", "staging")
    assert (error["code"], "nothing was restored" in error["next"]) == ("DEPLOY_FAILURE", True)
    assert not (site.box / "runs").exists()


def test_a_deployment_does_not_go_back_or_sideways(site: Site) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", second, "--env", "staging")
    error = site.error("deploy", "--sha", first, "--env", "staging")
    assert (error["code"], error["found"]) == ("POLICY_VIOLATION", f"{first}: 0 ahead, 1 behind")
    site.checkout.git("switch", "--quiet", "--create", "side", first)
    side = released(site, "beside it")[-1]
    error = site.error("deploy", "--sha", side, "--env", "staging")
    assert error["found"] == f"{side}: 1 ahead, 1 behind"
    assert status(site)["image_sha"] == second


def test_a_rollback_holds_until_a_person_lifts_it(site: Site) -> None:
    first, second, third = released(site, "the second", "the third")
    site.json("deploy", "--sha", first, "--env", "staging")
    site.json("deploy", "--sha", second, "--env", "staging")
    site.json("rollback", "--sha", first, "--env", "staging")
    for sha in (second, third):
        error = site.error("deploy", "--sha", sha, "--env", "staging", "--automatic")
        assert (error["code"], error["status"]) == ("POLICY_VIOLATION", 14)
    assert site.error("deploy", "--sha", second, "--env", "staging")["code"] == "POLICY_VIOLATION"
    site.json("hold", "lift", "--env", "staging", "--reason", "mended")
    assert (
        "quarantined" in site.error("deploy", "--sha", second, "--env", "staging", "--automatic")["message"]
    )
    assert site.json("deploy", "--sha", third, "--env", "staging", "--automatic")["outcome"] == "ok"


def test_repeating_what_a_rollback_went_to_does_not_let_the_release_that_it_left_come_back(
    site: Site,
) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", second, "--env", "staging")
    site.json("rollback", "--sha", first, "--env", "staging")
    (site.box / "runs").unlink()
    assert site.json("deploy", "--sha", first, "--env", "staging")["outcome"] == "ok"
    site.json("hold", "lift", "--env", "staging", "--reason", "mended")
    error = site.error("deploy", "--sha", second, "--env", "staging", "--automatic")
    assert (error["status"], "quarantined" in error["message"]) == (14, True)
    assert status(site)["image_sha"] == first


def test_a_person_may_deploy_the_mended_release_while_it_is_held(site: Site) -> None:
    first, second, third = released(site, "the second", "the third")
    site.json("deploy", "--sha", second, "--env", "staging")
    site.json("rollback", "--sha", first, "--env", "staging")
    assert site.json("deploy", "--sha", third, "--env", "staging")["outcome"] == "ok"
    assert status(site)["held"] is True


def test_a_rollback_without_a_sha_lists_and_changes_nothing(site: Site) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", first, "--env", "staging")
    site.json("deploy", "--sha", second, "--env", "staging")
    facts = site.facts()
    (candidate,) = site.json("rollback", "--env", "staging")["candidates"]
    assert candidate["sha"] == first
    assert candidate["distance"] == "0 ahead, 1 behind"
    assert candidate["command"] == f"immutag rollback --environment staging --sha {first}"
    assert site.facts() == facts
    assert site.error("rollback", "--env", "staging", env={"IMAGE_SHA": ""})["code"] == "MISSING_SHA"
    assert site.json("rollback", "--env", "staging", env={"IMAGE_SHA": first})["image_sha"] == first


def test_a_rollback_works_without_the_registry_where_the_engine_holds_the_image(
    site: Site, crane: Crane
) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", first, "--env", "production")
    site.json("deploy", "--sha", second, "--env", "production")
    assert site.registry.storage
    repository = site.registry.storage / "docker/registry/v2/repositories" / site.repository.path
    shutil.rmtree(repository / "_manifests/tags")
    (repository / "_manifests/tags").mkdir()
    assert crane.tags(site.repository) == []
    finished = site.run("rollback", "--sha", first, "--env", "production")
    assert finished.returncode == 0, finished.stderr
    assert "the engine still holds" in finished.stderr
    assert first in site.answer()
    assert site.error("deploy", "--sha", second, "--env", "staging")["code"] == "MISSING_TAG"


def test_irreversible_paths_stop_a_rollback_until_acknowledged(site: Site) -> None:
    first = released(site)[0]
    second = str(site.commit("a migration", {"migrations/0001.sql": "drop table users;"}))
    site.json("release")
    site.json("deploy", "--sha", second, "--env", "staging")
    irreversible = {"IMMUTAG_ENVIRONMENTS_STAGING_IRREVERSIBLE": '["migrations/**"]'}
    error = site.error("rollback", "--sha", first, "--env", "staging", env=irreversible)
    assert (error["code"], error["found"]) == ("POLICY_VIOLATION", "migrations/0001.sql")
    acknowledged = ("rollback", "--sha", first, "--env", "staging", "--acknowledge-irreversible")
    assert site.json(*acknowledged, env=irreversible)["outcome"] == "ok"


def test_a_dry_run_checks_everything_and_touches_nothing(site: Site) -> None:
    (first,) = released(site)
    facts = site.facts()
    plan = site.json("deploy", "--sha", first, "--env", "staging", "--dry-run")
    assert plan["image"] == f"{site.repository}@{site.json('show', first)['image'].partition('@')[2]}"
    assert site.facts() == facts
    assert not (site.box / "applied").exists()
    assert site.error("deploy", "--sha", "0" * 40, "--env", "staging", "--dry-run")["code"] == "MISSING_TAG"


def test_a_target_that_cannot_be_observed_is_never_ok(site: Site) -> None:
    config = (site.folder / "immutag.toml").read_text().replace("observe =", "# observe =")
    site.commit("no way to observe", {"immutag.toml": config})
    (first,) = released(site)
    record = site.json("deploy", "--sha", first, "--env", "staging")
    assert (record["outcome"], record["running_digest"]) == ("unobserved", None)


def test_a_program_that_is_not_there_leaves_nothing_open(site: Site) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", first, "--env", "staging")
    (site.box / "apply").rename(site.box / "gone")
    assert site.error("deploy", "--sha", second, "--env", "staging")["status"] in (19, 22)
    (site.box / "gone").rename(site.box / "apply")
    assert site.facts("environment:")[-1] == "failed"
    assert site.json("deploy", "--sha", second, "--env", "staging")["outcome"] == "ok"


def test_who_is_at_work_is_not_disturbed(site: Site) -> None:
    first, second = released(site, "the second")
    site.json("deploy", "--sha", first, "--env", "staging")
    (site.box / "apply").write_text(
        f'#!/bin/sh\ncd {site.box}\nif test "$IMMUTAG_IMAGE_SHA" = {second}; then cd {site.folder}\n'
        f"immutag rollback --json --sha {first} --env staging >{site.box}/other; cd {site.box}; fi\n"
        'echo "$IMMUTAG_IMAGE" >runs\n'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert site.json("deploy", "--sha", second, "--env", "staging", env={"PATH": path})["outcome"] == "ok"
    other = json.loads((site.box / "other").read_text())["error"]
    assert other["code"] == "LEDGER_CONFLICT"
    assert status(site)["image_sha"] == second


def test_a_full_disk_below_the_log_stops_no_rollback(site: Site) -> None:
    """It may be why somebody rolls back."""
    first, second = released(site, "the second")
    for sha in (first, second):
        site.json("deploy", "--sha", sha, "--env", "staging")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "immutag", "rollback", "--sha", first, "--env", "staging"],
            cwd=site.folder,
            env={**os.environ, **site.env},
            stdout=subprocess.DEVNULL,
            stderr=full,
            check=False,
        )
    assert done.returncode == 0
    assert status(site)["image_sha"] == first
