"""`init` and `doctor` in real repositories, with the real command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from immutag.cli.init import repository_of
from immutag.core.values import Repository
from immutag.oci.auth import Credentials, find_credentials
from immutag.settings import load
from tests.parts.checkouts import Checkout
from tests.parts.programs import program
from tests.parts.registries import Registry

Checkouts = Callable[..., Checkout]
_MAIN = "import sys; from immutag.cli import main; sys.exit(main())"


def immutag(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _MAIN, *arguments],
        cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_what_init_writes_is_a_configuration_and_says_what_was_found(git_repository: Checkouts) -> None:
    checkout = git_repository("my-api", "--initial-branch=trunk")
    checkout.commit("first", {"Containerfile": "FROM scratch\n"})
    checkout.git("remote", "add", "origin", "https://someone:hush@github.com/Owner/My.Api.git")
    done = immutag("init", "--json", cwd=checkout.path)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["written"]
    assert document["repository"] == "ghcr.io/owner/my.api"
    assert document["main"] == "trunk"
    settings = load(checkout.path, None, {})
    assert settings.image.repository == Repository("ghcr.io", "owner/my.api")
    assert settings.image.main == "trunk"
    assert settings.build.file == Path("Containerfile")
    assert [str(name) for name in settings.environments] == ["production"]
    assert "hush" not in (checkout.path / "immutag.toml").read_text() + done.stdout


def test_every_commented_key_of_the_template_may_be_uncommented(git_repository: Checkouts) -> None:
    """The comments are documentation: each shows a key that exists, mostly with its default."""
    checkout = git_repository()
    immutag("init", cwd=checkout.path)
    file = checkout.path / "immutag.toml"
    plain = load(checkout.path, None, {})
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line
        for line in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines))
    full = load(checkout.path, None, {})
    assert sum(origin.source != "default" for origin in full.origins) >= 15
    assert (full.image, full.build, full.ledger, full.trust) == (
        plain.image, plain.build, plain.ledger, plain.trust,
    )  # fmt: skip


def test_a_branch_may_have_any_name_that_git_takes(git_repository: Checkouts) -> None:
    checkout = git_repository("my-api", '--initial-branch=ma"in#{0}')
    checkout.commit("first")
    assert immutag("init", cwd=checkout.path).returncode == 0
    assert load(checkout.path, None, {}).image.main == 'ma"in#{0}'


def test_each_service_of_a_repository_gets_an_image_of_its_own(git_repository: Checkouts) -> None:
    """In one image repository the second service's commit would be found released already: by the first."""
    checkout = git_repository("mono")
    checkout.git("remote", "add", "origin", "https://github.com/owner/mono")
    for service in ("services/api", "services/Web"):
        (checkout.path / service).mkdir(parents=True)
    for folder, repository in {
        "services/api": "ghcr.io/owner/mono/services/api", "services/Web": "ghcr.io/owner/mono/services/web",
        ".": "ghcr.io/owner/mono",
    }.items():  # fmt: skip
        done = immutag("init", "--json", cwd=checkout.path / folder)
        assert json.loads(done.stdout)["repository"] == repository


def test_an_existing_configuration_stays_as_it_is(git_repository: Checkouts) -> None:
    checkout = git_repository()
    (checkout.path / "immutag.toml").write_text("# mine\n")
    done = immutag("init", cwd=checkout.path)
    assert done.returncode == 0
    assert "left as it is" in done.stdout
    assert (checkout.path / "immutag.toml").read_text() == "# mine\n"


def test_the_state_is_kept_out_of_the_repository(git_repository: Checkouts) -> None:
    checkout = git_repository()
    checkout.commit("first", {"Dockerfile": "FROM scratch\n"})
    immutag("init", cwd=checkout.path)
    (checkout.path / ".immutag/ledger.db").touch()
    assert checkout.git("status", "--porcelain").splitlines() == ["?? immutag.toml"]


def test_outside_a_repository_the_folder_names_the_image(tmp_path: Path) -> None:
    folder = tmp_path / "My Service!"
    folder.mkdir()
    assert immutag("init", cwd=folder).returncode == 0
    assert load(folder, None, {}).image.repository == Repository("127.0.0.1:5000", "my-service")


def test_a_folder_that_cannot_be_written_to_is_said_in_words(tmp_path: Path) -> None:
    done = immutag("init", "--json", "--config", "none/immutag.toml", cwd=tmp_path)
    assert done.returncode == 22
    assert json.loads(done.stdout)["error"]["code"] == "CONFIG_INVALID"


@pytest.mark.parametrize(
    ("remote", "repository"),
    [
        ("https://github.com/Owner/api.git", "ghcr.io/owner/api"),
        ("https://token@github.com/owner/api", "ghcr.io/owner/api"),
        ("git@github.com:owner/api.git", "ghcr.io/owner/api"),
        ("ssh://git@github.com/owner/api.git/", "ghcr.io/owner/api"),
        ("ssh://git@gitlab.com:22/group/sub/api.git", "registry.gitlab.com/group/sub/api"),
        ("https://GitHub.com/owner/_api-.x__y", "ghcr.io/owner/api-x-y"),
        ("https://github.com.evil.example/owner/api", None),
        ("https://evil.example/github.com/api", None),
        ("https://git.example/owner/api.git", None),
        ("https://github.com/owner", None),
        ("/srv/git/api.git", None),
        ("../api", None),
        ("", None),
    ],
)
def test_a_remote_names_its_registry(remote: str, repository: str | None) -> None:
    found = repository_of(remote)
    assert (found and str(found)) == repository


# --- doctor


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def configure(
    checkout: Checkout, registry: Registry, target: str = 'target = "command"\napply = ["true"]'
) -> None:
    document = f'[image]\nrepository = "{registry.repository()}"\n[environments.production]\n{target}\n'
    checkout.write({"immutag.toml": document, "Dockerfile": "FROM scratch\n"})


def test_a_machine_that_has_everything_is_ready(git_repository: Checkouts, registry2: Registry) -> None:
    checkout = git_repository()
    configure(checkout, registry2)
    done = immutag("doctor", "--json", cwd=checkout.path)
    assert json.loads(done.stdout)["ready"], done.stdout
    assert done.returncode == 0
    assert {check["state"] for check in checks(done).values()} == {"ok"}
    assert "ready" in immutag("doctor", cwd=checkout.path).stdout


def test_each_thing_that_is_missing_comes_with_what_mends_it(
    git_repository: Checkouts, registry2: Registry, tmp_path: Path
) -> None:
    checkout = git_repository()
    configure(checkout, registry2, 'target = "podman"')
    only_git = tmp_path / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(program("git"))
    done = immutag("doctor", "--json", cwd=checkout.path, env={"PATH": str(only_git)})
    assert done.returncode == 22
    missing = {name for name, check in checks(done).items() if check["state"] == "missing"}
    assert missing == {"builder", "environment production"}
    assert all(checks(done)[name]["next"] for name in missing)


def test_a_repository_whose_commits_have_no_sha_for_a_tag_is_not_ready(
    git_repository: Checkouts, registry2: Registry
) -> None:
    checkout = git_repository("sha256", "--object-format=sha256")
    configure(checkout, registry2)
    done = immutag("doctor", "--json", cwd=checkout.path)
    assert (done.returncode, checks(done)["repository"]["state"]) == (22, "missing")


def test_what_a_release_would_stumble_over_is_a_warning(
    git_repository: Checkouts, registry2: Registry, tmp_path: Path
) -> None:
    checkout = git_repository()
    configure(checkout, registry2)
    checkout.write({"x": "1"})
    checkout.commit("one")
    checkout.commit("two", {"x": "2"})
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.path}", tmp_path / "shallow")
    shallow = Checkout(tmp_path / "shallow")
    (shallow.path / "Dockerfile").unlink(missing_ok=True)
    shallow.write({"immutag.toml": (checkout.path / "immutag.toml").read_text()})
    done = immutag("doctor", "--json", cwd=shallow.path)
    states = {name: check["state"] for name, check in checks(done).items()}
    assert (done.returncode, states["repository"], states["dockerfile"]) == (0, "warning", "warning")


def test_a_registry_that_is_not_there_is_missing(git_repository: Checkouts) -> None:
    checkout = git_repository()
    document = '[image]\nrepository = "127.0.0.1:1/api"\n'
    checkout.write({"immutag.toml": document})
    done = immutag("doctor", "--json", cwd=checkout.path)
    assert done.returncode == 22
    assert "REGISTRY_UNAVAILABLE" in checks(done)["registry 127.0.0.1:1"]["found"]


def test_a_login_by_podman_counts_also_without_a_session(registry_auth: Registry, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    login = ["podman", "login", "--tls-verify=false", "--username", str(registry_auth.username)]
    subprocess.run(
        [*login, "--password-stdin", registry_auth.host],
        input=registry_auth.password, env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    try:
        found = find_credentials(registry_auth.host, env)
    finally:
        subprocess.run(["podman", "logout", registry_auth.host], env=env, check=True, capture_output=True)
    assert found == Credentials(str(registry_auth.username), str(registry_auth.password))


def test_a_registry_may_want_credentials(git_repository: Checkouts, registry_auth: Registry) -> None:
    checkout = git_repository()
    configure(checkout, registry_auth)
    host = str(registry_auth.repository().host)
    bare = {"HOME": str(checkout.path)}
    without = immutag("doctor", "--json", cwd=checkout.path, env=bare)
    assert "REGISTRY_AUTH" in checks(without)[f"registry {host}"]["found"]
    env = {
        **bare,
        "IMMUTAG_REGISTRY_USERNAME": str(registry_auth.username),
        "IMMUTAG_REGISTRY_PASSWORD": str(registry_auth.password),
    }
    done = immutag("doctor", "--json", cwd=checkout.path, env=env)
    assert checks(done)[f"registry {host}"]["state"] == "ok"
    assert str(registry_auth.password) not in done.stdout + done.stderr


def test_a_local_ledger_in_ci_is_no_authority(git_repository: Checkouts, registry2: Registry) -> None:
    checkout = git_repository()
    configure(checkout, registry2)
    done = immutag("doctor", "--json", cwd=checkout.path, env={"CI": "true"})
    assert (done.returncode, checks(done)["shared ledger"]["state"]) == (22, "missing")
    env = {"CI": "true", "IMMUTAG_LEDGER_ACCEPT_UNSHARED": "true"}
    accepted = immutag("doctor", "--json", cwd=checkout.path, env=env)
    assert (accepted.returncode, checks(accepted)["shared ledger"]["state"]) == (0, "warning")


def test_without_a_configuration_doctor_still_says_what_it_can(git_repository: Checkouts) -> None:
    done = immutag("doctor", "--json", cwd=git_repository().path)
    assert done.returncode == 22
    assert checks(done)["git"]["state"] == "ok"
    assert checks(done)["configuration"]["next"] == "immutag init"


def test_a_probe_says_how_write_once_the_registry_is(
    git_repository: Checkouts, registry2: Registry, registry_immutable: Registry
) -> None:
    for registry, strength in ((registry2, "convention"), (registry_immutable, "registry")):
        checkout = git_repository(strength)
        configure(checkout, registry)
        done = immutag("doctor", "--probe", "--json", cwd=checkout.path)
        assert done.returncode == 0, done.stdout
        assert checks(done)["write-once"]["found"] == strength
