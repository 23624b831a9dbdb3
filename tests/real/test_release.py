"""Release, through the real command line: one identity, written once (DR-001, DR-005, DR-007, DR-011)."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.parts.images import add, add_image, finish
from tests.parts.peers import Crane, Peer
from tests.parts.site import Site

RELEASED = ["requested", "built", "pushed", "claimed", "signature_checked", "tagged"]


def test_a_release_names_one_digest_from_build_to_tag(site: Site, crane: Crane, skopeo: Peer) -> None:
    record = site.json("release")
    assert site.facts("release:") == RELEASED
    assert crane.tags(site.repository) == [str(site.sha)]
    assert crane.digest(f"{site.repository}:{site.sha}") == record["image_digest"]
    assert record["pre_push_digest"] == record["post_push_digest"] == record["image_digest"]
    assert record["digest_verification"] == "ok"
    image = f"docker://{site.repository}:{site.sha}"
    labels = json.loads(skopeo("inspect", "--tls-verify=false", image))["Labels"]
    manifest = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", image))
    for said in (labels, manifest["annotations"]):
        assert said["org.opencontainers.image.revision"] == str(site.sha)
        assert said["org.opencontainers.image.version"] == str(site.sha)
        assert said["org.opencontainers.image.created"].endswith("Z")


def test_a_second_release_writes_nothing(site: Site, crane: Crane) -> None:
    first = site.json("release")
    facts, tags = site.facts(), crane.tags(site.repository)
    second = site.json("release")
    assert second == first
    assert (site.facts(), crane.tags(site.repository)) == (facts, tags)


def test_a_commit_that_is_not_on_main_goes_to_staging(site: Site, crane: Crane) -> None:
    site.checkout.git("switch", "--quiet", "--create", "feature")
    sha = site.commit("a change on a branch")
    record = site.json("release")
    assert record["repository"] == f"{site.repository}-staging"
    assert record["repository_type"] == "staging"
    assert crane.tags(f"{site.repository}-staging") == [str(sha)]
    assert site.error("deploy", "--sha", sha, "--env", "production")["code"] == "POLICY_VIOLATION"


def test_a_commit_of_another_branch_is_not_said_to_be_of_the_one_checked_out(site: Site) -> None:
    site.checkout.git("switch", "--quiet", "--create", "feature")
    sha = site.commit("a change on a branch")
    site.checkout.git("switch", "--quiet", "main")
    assert site.json("release", "--sha", sha)["repository_type"] == "staging"
    assert site.json("show", sha)["branch"] is None


def test_a_changed_tracked_file_stops_a_canonical_release(site: Site) -> None:
    (site.folder / "Dockerfile").write_text("FROM scratch\n")
    error = site.error("release")
    assert (error["code"], error["status"]) == ("POLICY_VIOLATION", 14)
    assert "Dockerfile" in error["found"]
    assert site.facts() == []


def test_an_untracked_file_is_no_part_of_the_image(site: Site) -> None:
    (site.folder / "secret.txt").write_text("not committed")
    first = site.json("release")["image_digest"]
    assert site.json("release")["image_digest"] == first


def _outside(site: Site) -> Path:
    """A folder beside the repository that builds, too."""
    folder = site.folder.with_name("outside")
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return folder


@pytest.mark.parametrize("context", ["..", "../../../../..", "../../../../../../outside", "link", "link/.."])
def test_a_context_that_leads_out_of_the_commit_is_refused(site: Site, context: str) -> None:
    """The work tree, or any other folder, would be released under the commit's SHA."""
    (site.folder / "link").symlink_to(_outside(site))
    site.commit("a link")
    error = site.error("release", env={"IMMUTAG_BUILD_CONTEXT": context})
    assert (error["code"], error["message"]) == (
        "CONFIG_INVALID",
        "the build's context leads out of the commit",
    )
    assert "built" not in site.facts()


@pytest.mark.parametrize("name", [".dockerignore", ".containerignore", "Dockerfile.dockerignore"])
def test_what_a_build_leaves_out_is_said_in_the_commit(site: Site, name: str) -> None:
    (_outside(site) / "ignore").write_text("README.md\n")
    (site.folder / name).symlink_to(site.folder.with_name("outside") / "ignore")
    site.commit("a link")
    assert site.error("release")["found"] == name
    (site.folder / name).unlink()
    (site.folder / name).symlink_to("shared")
    site.commit("a link within the commit", {"shared": "README.md\n"})
    assert site.json("release")["digest_verification"] == "ok"


def test_a_dockerfile_that_a_preprocessor_would_make_is_refused(site: Site) -> None:
    """buildah lets the C preprocessor of the machine have one whose name ends so."""
    included = _outside(site) / "Dockerfile"
    site.commit("a template", {"Dockerfile.in": f'#include "{included}"\n'})
    error = site.error("release", env={"IMMUTAG_BUILD_FILE": "Dockerfile.in"})
    assert (error["code"], error["found"]) == ("CONFIG_INVALID", "Dockerfile.in")


def test_a_dockerfile_that_leads_in_a_circle_is_none(site: Site) -> None:
    (site.folder / "Dockerfile").unlink()
    (site.folder / "Dockerfile").symlink_to("Dockerfile")
    site.commit("a circle")
    assert site.error("release")["code"] == "CONFIG_INVALID"


def test_the_short_tag_names_the_same_digest(site: Site, crane: Crane) -> None:
    record = site.json("release", env={"IMMUTAG_IMAGE_SHORT_TAG": "true"})
    assert sorted(crane.tags(site.repository)) == sorted([str(site.sha), str(site.sha)[:12]])
    assert crane.digest(f"{site.repository}:{str(site.sha)[:12]}") == record["image_digest"]


def test_a_short_tag_with_other_content_is_a_mismatch(site: Site, crane: Crane, tmp_path: Path) -> None:
    other = site.sha
    site.json("release")
    site.commit("another")
    crane("tag", f"{site.repository}:{other}", str(site.sha)[:12])
    error = site.error("release", env={"IMMUTAG_IMAGE_SHORT_TAG": "true"})
    assert (error["code"], error["status"]) == ("DIGEST_MISMATCH", 15)


def test_a_tag_that_nobody_claimed_is_refused_before_a_build(site: Site, crane: Crane) -> None:
    first = site.sha
    site.json("release")
    sha = site.commit("another")
    crane("tag", f"{site.repository}:{first}", str(sha))
    before = crane.digest(f"{site.repository}:{sha}")
    error = site.error("release")
    assert (error["code"], error["status"]) == ("DIGEST_MISMATCH", 15)
    assert crane.digest(f"{site.repository}:{sha}") == before
    assert "built" not in site.facts(f"release:{site.repository}:{sha}")
    assert site.facts(f"release:{site.repository}:{sha}")[-1] == "stopped"


def test_a_moved_tag_is_a_mismatch_and_stays_as_it_is(site: Site, crane: Crane) -> None:
    first = site.sha
    site.json("release")
    second = site.commit("another")
    site.json("release")
    crane("tag", f"{site.repository}:{first}", str(second))
    for command in (("release",), ("deploy", "--sha", second, "--env", "staging")):
        assert site.error(*command)["code"] == "DIGEST_MISMATCH"
    assert crane.digest(f"{site.repository}:{second}") == crane.digest(f"{site.repository}:{first}")


def test_a_given_layout_is_released_as_it_is(site: Site, skopeo: Peer, crane: Crane, tmp_path: Path) -> None:
    digest = site.json("release")["image_digest"]
    skopeo(
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        f"docker://{site.repository}:{site.sha}",
        f"oci:{tmp_path}/oci:x",
    )
    assert site.json("release", "--from", tmp_path / "oci")["image_digest"] == digest
    sha = site.commit("another")
    assert site.error("release", "--from", tmp_path / "oci")["code"] == "POLICY_VIOLATION"
    assert str(sha) not in crane.tags(site.repository)


def test_what_is_given_is_an_image_of_this_commit(site: Site, tmp_path: Path) -> None:
    """Also by its annotations; and a chart or any other artifact is none."""
    other = {"org.opencontainers.image.revision": "f" * 40}
    finish(tmp_path / "other", add_image(tmp_path / "other", annotations=other))
    assert site.error("release", "--from", tmp_path / "other")["code"] == "POLICY_VIOLATION"
    config = add(tmp_path / "chart", b"{}", "application/vnd.cncf.helm.config.v1+json")
    finish(tmp_path / "chart", add_image(tmp_path / "chart", config=config))
    assert site.error("release", "--from", tmp_path / "chart")["code"] == "BUILD_FAILURE"
    assert "built" not in site.facts()


def test_other_content_than_the_claimed_is_refused(site: Site, tmp_path: Path) -> None:
    site.json("release")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL other=1\nCOPY Dockerfile /\n")
    subprocess.run(
        [
            "buildah",
            "bud",
            "--quiet",
            "--isolation",
            "chroot",
            "--tag",
            f"oci:{tmp_path}/oci:x",
            str(tmp_path),
        ],
        check=True,
        capture_output=True,
    )
    error = site.error("release", "--from", tmp_path / "oci")
    assert (error["code"], error["status"]) == ("DIGEST_MISMATCH", 15)


def test_ci_with_a_ledger_of_its_own_is_refused(site: Site) -> None:
    error = site.error("release", env={"CI": "true"})
    assert (error["code"], error["status"]) == ("CONFIG_INVALID", 22)
    assert site.json("release", env={"CI": "true", "IMMUTAG_LEDGER_ACCEPT_UNSHARED": "true"})["image_sha"]


@pytest.mark.parametrize("sha", ["0" * 40, "f" * 40])
def test_a_sha_that_is_no_commit_here_is_refused(site: Site, sha: str) -> None:
    error = site.error("release", "--sha", sha)
    assert (error["code"], error["status"]) == ("MISSING_SHA", 10)


def test_the_registry_that_forgot_the_tag_gets_it_again(site: Site, crane: Crane) -> None:
    digest = site.json("release")["image_digest"]
    storage = site.registry.storage
    assert storage
    tag = (
        storage / "docker/registry/v2/repositories" / site.repository.path / "_manifests/tags" / str(site.sha)
    )
    for link in sorted(tag.rglob("*"), reverse=True):
        link.unlink() if link.is_file() else link.rmdir()
    tag.rmdir()
    assert site.error("deploy", "--sha", site.sha, "--env", "staging")["code"] == "MISSING_TAG"
    assert site.json("release")["image_digest"] == digest
    assert crane.digest(f"{site.repository}:{site.sha}") == digest
