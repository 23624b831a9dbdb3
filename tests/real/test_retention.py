"""What clean-up must spare: with all else deleted by another tool, the service still runs and goes back."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import immutag
from immutag.core.values import Repository
from tests.parts.images import GZIPPED_LAYER, add_image, add_index, finish, tar_of
from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer, program
from tests.parts.registries import Registry, distribution
from tests.parts.signing import SigningKey
from tests.parts.site import Site

pytestmark = pytest.mark.slow
SCHEMAS = Path(immutag.__file__).parent / "schemas"
COSIGN = ("--insecure-ignore-tlog", "--allow-http-registry")


def two_platforms(folder: Path, sha: str) -> Path:
    """A layout whose root is an index."""
    images = [
        {
            **add_image(
                folder, tar_of("app", f"{sha} {each}".encode()), architecture=each, layer_type=GZIPPED_LAYER
            ),
            "platform": {"os": "linux", "architecture": each},
        }
        for each in ("amd64", "arm64")
    ]
    return finish(folder, add_index(folder, *images))


def release(site: Site, folder: Path, env: Mapping[str, str], message: str = "") -> str:
    """Release HEAD, or a commit made for it, with two platforms; gives its SHA."""
    sha = str(site.commit(message) if message else site.sha)
    site.json("release", "--from", two_platforms(folder / sha, sha), env=env)
    return sha


def valid(document: Any) -> Any:
    """The document, as the schema that `immutag schema retention` prints has it."""
    jsonschema.validate(document, json.loads((SCHEMAS / "retention.json").read_text()))
    return document


def all_manifests(registry: Registry, repository: Repository, crane: Crane) -> set[str]:
    """Every manifest that was ever pushed there, by the registry's own log, and that is still there."""
    put = [
        request.path.rpartition("/")[2].partition("?")[0]
        for request in registry.requests(f"/{repository.path}/manifests/")
        if request.method == "PUT" and request.status == 201
    ]
    behind_tags = {crane.digest(f"{repository}:{tag}") for tag in crane.tags(repository)}
    return behind_tags | {name for name in put if ":" in name}


def delete_the_rest(
    registry: Registry, repository: Repository, keep: Mapping[str, Any], crane: Crane
) -> set[str]:
    """What a clean-up job does that deletes whatever is not in the list; gives what it deleted."""
    kept = {digest for each in keep["repositories"] for digest in each["digests"]}
    rest = all_manifests(registry, repository, crane) - kept
    tags = [tag for tag in crane.tags(repository) if crane.digest(f"{repository}:{tag}") in rest]
    for tag in tags:  # distribution refuses it: there a tag goes with its manifest
        crane.run("delete", f"{repository}:{tag}")
    for digest in rest:
        crane.run("delete", f"{repository}@{digest}")
    for digest in rest:
        assert crane.run("manifest", f"{repository}@{digest}").returncode != 0
    return rest


@pytest.mark.parametrize("api", [False, True], ids=["fallback tags", "referrers API"])
def test_with_all_else_deleted_deploy_rollback_and_cosign_work(
    site: Site,
    ours: SigningKey,
    crane: Crane,
    registry2: Registry,
    registry_referrers: Registry,
    tmp_path: Path,
    api: bool,
) -> None:
    registry = registry_referrers if api else registry2
    repository = registry.repository()
    env = {**ours.env, "IMMUTAG_IMAGE_REPOSITORY": str(repository)}
    first, second, third = [release(site, tmp_path, env, message) for message in ("", "two", "three")]
    for sha in (first, second, third):
        site.json("deploy", "--sha", sha, "--env", "staging", env=env)
    fourth = release(site, tmp_path, env, "four")
    keep = valid(site.json("retention", "keep", "--candidates", "1", env=env))
    assert [each["image_sha"] for each in keep["releases"]] == [third, second, fourth]
    before = {tag: crane.digest(f"{repository}:{tag}") for tag in crane.tags(repository)}
    deleted = delete_the_rest(registry, repository, keep, crane)
    assert before[first] in deleted
    left = {tag: crane.digest(f"{repository}:{tag}") for tag in crane.tags(repository)}
    assert left == {tag: digest for tag, digest in before.items() if digest not in deleted}
    assert {second, third, fourth} <= left.keys()

    cosign = Peer(peer("cosign"))
    for sha in (second, third, fourth):
        image = f"{repository}@{before[sha]}"
        cosign("verify", "--key", ours.public, *COSIGN, image)
        cosign("verify-attestation", "--key", ours.public, "--type", "slsaprovenance1", *COSIGN, image)
        crane("validate", "--remote", image)
    assert site.json("deploy", "--sha", fourth, "--env", "staging", env=env)["outcome"] == "ok"
    assert site.json("rollback", "--sha", second, "--env", "staging", env=env)["outcome"] == "ok"
    assert site.json("verify", third, env=env)["signature_status"] == "verified"


def test_what_runs_from_staging_and_the_ledgers_checkpoints_are_listed(
    site: Site, ours: SigningKey, crane: Crane, tmp_path: Path
) -> None:
    main = release(site, tmp_path, ours.env)
    site.json("deploy", "--sha", main, "--env", "staging", env=ours.env)
    site.checkout.git("switch", "-c", "feature")
    branch = release(site, tmp_path, ours.env, "on a branch")
    site.json("deploy", "--sha", branch, "--env", "staging", env=ours.env)
    keep = valid(site.json("retention", "keep"))
    assert [(each["image_sha"], each["reasons"][0]["reason"]) for each in keep["releases"]] == [
        (branch, "runs"),
        (main, "rollback candidate"),
    ]
    named = {each["repository"]: each for each in keep["repositories"]}
    assert set(named) == {str(site.repository), f"{site.repository}-staging"}
    assert branch in named[f"{site.repository}-staging"]["tags"]
    kinds = [piece["kind"] for piece in keep["checkpoints"]]
    assert kinds.count("page of checkpoints") == 1
    assert kinds.count("application/vnd.immutag.ledger.checkpoint.v1") == 2
    listed = {tag for each in keep["repositories"] for tag in each["tags"]}
    assert set(crane.tags(site.repository)) <= listed


def test_signatures_in_a_repository_of_their_own_are_spared_there(
    site: Site, ours: SigningKey, crane: Crane, tmp_path: Path
) -> None:
    elsewhere = site.registry.repository("signatures")
    env = {**ours.env, "IMMUTAG_TRUST_SIGNATURE_REPOSITORY": str(elsewhere)}
    sha = release(site, tmp_path, env)
    site.json("deploy", "--sha", sha, "--env", "staging", env=env)
    keep = valid(site.json("retention", "keep", env=env))
    assert {each["repository"] for each in keep["repositories"]} == {str(site.repository), str(elsewhere)}
    before = crane.tags(elsewhere)
    delete_the_rest(site.registry, elsewhere, keep, crane)
    delete_the_rest(site.registry, site.repository, keep, crane)
    assert crane.tags(elsewhere) == before
    assert site.json("verify", sha, env=env)["signature_status"] == "verified"
    assert site.run("ledger", "verify", "--against", "repository", env=env).returncode == 0


def test_each_tools_form_names_all_that_the_list_names(site: Site, ours: SigningKey, tmp_path: Path) -> None:
    release(site, tmp_path, ours.env)
    keep = site.json("retention", "keep")
    (only,) = keep["repositories"]

    def form(name: str) -> str:
        finished = site.run("--log-format", "json", "retention", "keep", "--format", name)
        assert finished.returncode == 0, finished.stderr
        assert any("cannot be told" in json.loads(line)["message"] for line in finished.stderr.splitlines())
        return finished.stdout.rstrip("\n")

    listed = form("ghcr-cleanup-action").removeprefix("exclude-tags=").split(",")
    assert set(listed) == {*only["tags"], *only["digests"]}
    tags, shas = form("container-retention-policy").split("\n")
    assert tags == "image-tags=" + " ".join(f"!{tag}" for tag in only["tags"])
    assert shas == "skip-shas=" + ",".join(only["digests"])
    pattern = re.compile(form("delete-package-versions").removeprefix("ignore-versions="))
    assert all(pattern.search(digest) for digest in only["digests"])
    assert not pattern.search(f"sha256:{'0' * 64}")
    policy = json.loads(form("gitlab"))["container_expiration_policy_attributes"]
    assert all(re.fullmatch(policy["name_regex_keep"], tag) for tag in only["tags"])
    assert not re.fullmatch(policy["name_regex_keep"], "latest")
    assert not re.fullmatch(policy["name_regex_keep"], "f" * 40)
    (rule,) = json.loads(form("harbor"))["rules"]
    assert rule["tag_selectors"][0]["pattern"] == "{" + ",".join(only["tags"]) + "}"
    assert rule["scope_selectors"]["repository"][0]["pattern"] == site.repository.path.partition("/")[2]
    assert site.error("retention", "keep", "--format", "ecr")["code"] == "POLICY_VIOLATION"
    document = valid(site.json("retention", "keep", "--format", "gitlab"))
    assert json.loads(document["form"]["value"])["container_expiration_policy_attributes"] == policy


def test_what_cannot_be_determined_is_an_error_and_never_a_short_list(
    site: Site, ours: SigningKey, crane: Crane, tmp_path: Path
) -> None:
    assert site.error("retention", "keep")["code"] == "MISSING_TAG"
    assert site.run("retention", "keep", "--format", "gitlab").stdout == ""
    with distribution(program("docker-registry"), tmp_path / "registry") as registry:
        repository = registry.repository()
        env = {**ours.env, "IMMUTAG_IMAGE_REPOSITORY": str(repository)}
        first, second = [release(site, tmp_path, env, message) for message in ("", "two")]
        site.json("deploy", "--sha", first, "--env", "staging", env=env)
        assert site.error("retention", "keep", env={**env, "CI": "true"})["code"] == "CONFIG_INVALID"
        crane("delete", f"{repository}@{crane.digest(f'{repository}:{second}')}")
        found = valid(site.json("retention", "keep", env=env))
        assert [(each["image_sha"], each["there"]) for each in found["releases"]] == [
            (first, True), (second, False),
        ]  # fmt: skip
        assert second in found["repositories"][0]["tags"]  # named all the same: no list is ever empty
        crane("delete", f"{repository}@{crane.digest(f'{repository}:{first}')}")
        error = site.error("retention", "keep", env=env)
        assert (error["code"], "staging runs" in error["message"]) == ("MISSING_TAG", True)
    for form in ("json", "ghcr-cleanup-action", "text"):
        finished = site.run("retention", "keep", "--format", form, env=env)
        assert (finished.returncode, finished.stdout) == (18, "")


def test_the_action_hands_the_list_to_the_tool_that_deletes(site: Site, tmp_path: Path) -> None:
    site.json("release")
    output = tmp_path / "output"
    env = {"GITHUB_OUTPUT": str(output), "IMMUTAG_INPUT_COMMAND": "keep"}
    done = site.run("workflows", "run", env=env)
    assert done.returncode == 0, done.stderr
    name, _, value = output.read_text().rstrip("\n").partition("=")
    assert name == "exclude-tags"
    assert str(site.sha) in value.split(",")
