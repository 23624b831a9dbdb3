"""The file that takes a release's identity from job to job (DR-020)."""

import json
from pathlib import Path

import pytest

from tests.parts.site import Site

pytestmark = pytest.mark.slow


def test_a_release_leaves_its_record_and_a_deployment_takes_it(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "new" / "metadata.json"
    record = site.json("release", "--metadata-file", file)
    assert json.loads(file.read_text()) == record
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    deployed = site.json("deploy", "--env", "staging", "--metadata-file", file, "--sha", site.sha)
    assert deployed["image"] == f"{record['repository']}@{record['image_digest']}"
    assert (site.box / "applied").read_text().split() == [str(site.sha)]


def test_a_release_that_fails_leaves_no_file(site: Site, tmp_path: Path) -> None:
    site.commit("broken", {"Dockerfile": "FROM scratch\nCOPY nothing /\n"})
    assert site.error("release", "--metadata-file", tmp_path / "m.json")["code"] == "BUILD_FAILURE"
    assert not (tmp_path / "m.json").exists()


def test_a_release_that_fails_leaves_no_file_of_an_earlier_one(site: Site, tmp_path: Path) -> None:
    """On a runner that keeps its folder the next job would deploy the earlier one, and be green."""
    file = tmp_path / "m.json"
    site.json("release", "--metadata-file", file)
    site.commit("broken", {"Dockerfile": "FROM scratch\nCOPY nothing /\n"})
    assert site.error("release", "--metadata-file", file)["code"] == "BUILD_FAILURE"
    assert site.error("deploy", "--env", "staging", "--metadata-file", file)["code"] == "MISSING_SHA"
    file.mkdir()
    assert site.error("release", "--metadata-file", file)["code"] == "CONFIG_INVALID"


def test_a_file_that_contradicts_is_refused_before_anything_is_touched(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    record = site.json("release", "--metadata-file", file)
    first, facts = site.sha, site.facts()
    second = site.commit("another")
    deploy = ("deploy", "--env", "staging", "--metadata-file", file)
    assert site.error(*deploy, "--sha", second)["code"] == "MISSING_SHA"
    assert site.error(*deploy, "--sha", str(first)[:12])["code"] == "POLICY_VIOLATION"
    file.write_text(json.dumps({**record, "image_digest": "sha256:" + "0" * 64}))
    error = site.error(*deploy)
    assert (error["code"], error["expected"]) == (
        "DIGEST_MISMATCH", f"{record['repository']}@{record['image_digest']}",
    )  # fmt: skip
    file.write_text(json.dumps({**record, "image_sha": str(second)}))
    assert site.error(*deploy)["code"] == "MISSING_TAG"
    file.write_text("{")
    assert site.error(*deploy)["code"] == "MISSING_SHA"
    assert site.error("deploy", "--env", "staging", "--metadata-file", tmp_path)["code"] == "MISSING_SHA"
    assert site.facts() == facts
    assert not (site.box / "applied").exists()
