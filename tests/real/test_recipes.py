"""A service in a folder of its sources: provenance names everything as the commit has it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from immutag.composition.recipes import Recipes
from immutag.core.facts import Claimed
from immutag.core.provenance import BaseImage
from immutag.core.values import Digest, GitSha, Repository
from immutag.oci.http import Http
from immutag.oci.registry import Registry
from immutag.settings import load
from tests.parts.checkouts import Checkout

DIGEST = "sha256:" + "a" * 64
REPOSITORY = Repository("127.0.0.1:1", "owner/api")
CONFIG = """\
[image]
repository = "127.0.0.1:1/owner/api"
[build]
context = "app"
file = "docker/Dockerfile"
args = { VERSION = "3" }
"""


def recipes(folder: Path) -> Recipes:
    """With a registry that would be found missing if it were asked: everything is in the commit."""
    return Recipes(load(folder, None, {}), lambda name: Registry(name, http=Http(environ={})))


def claimed(sha: GitSha) -> Claimed:
    return Claimed(sha, REPOSITORY, Digest(DIGEST), "application/vnd.oci.image.manifest.v1+json", 500)


@pytest.fixture
def checkout(git_repository: Callable[[], Checkout]) -> Checkout:
    made = git_repository()
    made.commit(
        "service",
        {
            "services/api/immutag.toml": CONFIG,
            "services/api/app/docker/Dockerfile": f"FROM debian@{DIGEST}\n",
        },
    )
    return made


def test_paths_are_those_of_the_commit(checkout: Checkout) -> None:
    recipe = recipes(checkout.path / "services" / "api").recipe()
    assert recipe.context == "services/api/app"
    assert recipe.dockerfile == "services/api/app/docker/Dockerfile"
    assert recipe.args == {"VERSION": "3"}


def test_the_dockerfile_is_the_commits_whatever_lies_in_the_work_tree(checkout: Checkout) -> None:
    first = checkout.head
    folder = checkout.path / "services" / "api"
    second = checkout.commit("unpin", {"services/api/app/docker/Dockerfile": "FROM $BASE\n"})
    assert recipes(folder).bases(claimed(first)) == [BaseImage(f"debian@{DIGEST}", Digest(DIGEST))]
    assert recipes(folder).bases(claimed(second)) == []


def test_of_a_commit_that_is_not_here_nothing_is_known(checkout: Checkout) -> None:
    assert recipes(checkout.path / "services" / "api").bases(claimed(GitSha("f" * 40))) == []


def test_without_a_clone_paths_are_as_they_are_configured(tmp_path: Path) -> None:
    (tmp_path / "immutag.toml").write_text(CONFIG)
    assert recipes(tmp_path).recipe().dockerfile == "app/docker/Dockerfile"
    assert recipes(tmp_path).bases(claimed(GitSha("f" * 40))) == []
