"""What is written into repositories: accepted by other people's linters, least privileged, without logic."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import ImmutagError
from immutag.core.values import EnvironmentName
from immutag.workflows.drift import Drift, drift
from immutag.workflows.template import GITHUB, GITLAB, Workflows, fill, written_by
from tests.parts.programs import peer

ROOT = Path(__file__).parents[2]
SHA = "0123456789abcdef0123456789abcdef01234567"
SOURCES = {GITHUB: f"owner/immutag@{SHA}", GITLAB: f"git.example.com/owner/immutag@{SHA}"}
OTHER = "89abcdef0123456789abcdef0123456789abcdef"
PACKAGES = ("api", "api-staging")
_VENV = Path(sys.executable).parent
# A key of GitHub's since May 2026 that actionlint 1.7.12 does not know yet.
_QUEUE = 'unexpected key "queue" for "concurrency" section'


def workflows(ci: str = GITHUB, **changes: Any) -> Workflows:
    chosen: dict[str, Any] = {
        "ci": ci, "service": "api", "source": SOURCES[ci], "main": "main", "directory": ".",
        "environments": (EnvironmentName("production"), EnvironmentName("eu-west")),
        "git_ledger": False, "keyless": False, "deploy_on": None,
    }  # fmt: skip
    return Workflows(**{**chosen, **changes})


def variants(ci: str) -> list[Workflows]:
    found = [
        workflows(ci, git_ledger=git, keyless=keyless, directory=directory, deploy_on=runner)
        for git, keyless, (directory, runner) in product(
            (False, True), (False, True), ((".", None), ("services/api", "self-hosted"))
        )
    ]
    return found + [workflows(ci, git_ledger=git, packages=PACKAGES) for git in (False, True) if ci == GITHUB]


def jobs(of: Workflows) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every job: its file's last word, its name, and what it is."""
    for path, text in of.files().items():
        for name, job in yaml.safe_load(text)["jobs"].items():
            yield path.rpartition("-")[2].removesuffix(".yml"), name, job


# --- other people's judgement


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every variant of every workflow, each in a repository of its own, and the action."""
    box = tmp_path_factory.mktemp("rendered")
    for number, each in enumerate(variants(GITHUB)):
        for path, text in each.files().items():
            file = box / str(number) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    (box / "action.yml").write_bytes((ROOT / "action.yml").read_bytes())
    return box


def test_actionlint_finds_nothing(rendered: Path) -> None:
    files = sorted(rendered.glob("*/.github/workflows/*.yml"))
    assert len(files) == 8 * 3 + 2 * 4
    done = subprocess.run(
        [peer("actionlint"), "-shellcheck", "", "-ignore", _QUEUE, *files],
        capture_output=True, text=True, check=False, cwd=rendered,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.slow
def test_githubs_schema_accepts_it_and_knows_the_values_of_queue(rendered: Path, tmp_path: Path) -> None:
    """Where actionlint is told to overlook the key, another judge reads what stands there."""
    check = [str(_VENV / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    files = sorted(rendered.glob("*/.github/workflows/*.yml"))
    done = subprocess.run([*check, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = next(rendered.glob("0/.github/workflows/*-rollback.yml")).read_text()
    (tmp_path / "x.yml").write_text(text.replace("queue: max", "queue: most"))
    done = subprocess.run([*check, tmp_path / "x.yml"], capture_output=True, text=True, check=False)
    assert (done.returncode, "'most' is not one of ['single', 'max']" in done.stdout) == (1, True)


def test_actionlint_would_find_a_mistake(rendered: Path, tmp_path: Path) -> None:
    text = next(rendered.glob("0/.github/workflows/*-build.yml")).read_text()
    (tmp_path / "x.yml").write_text(text.replace("timeout-minutes", "timeout-minuten"))
    done = subprocess.run([peer("actionlint"), tmp_path / "x.yml"], capture_output=True, check=False)
    assert done.returncode == 1


def test_zizmor_finds_nothing(rendered: Path) -> None:
    done = subprocess.run(
        [_VENV / "zizmor", "--offline", "--no-progress", "--format=json", "--strict-collection", rendered],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (json.loads(done.stdout), done.returncode) == ([], 0), done.stderr


@pytest.mark.slow
def test_gitlabs_schema_accepts_it_and_every_script_line_is_one(tmp_path: Path) -> None:
    files = []
    for number, each in enumerate(variants(GITLAB)):
        (text,) = each.files().values()
        files.append(tmp_path / f"{number}.yml")
        files[-1].write_text(text)
        for job in yaml.safe_load(text).values():
            lines = [*job.get("before_script", []), *job.get("script", [])]
            assert {type(line) for line in lines} == {str}
    done = subprocess.run(
        [_VENV / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


# --- what they may do


@pytest.mark.parametrize("each", variants(GITHUB), ids=str)
def test_every_job_has_the_least_permissions_and_a_time_limit(each: Workflows) -> None:
    contents = "write" if each.git_ledger else "read"
    token = {"id-token": "write"} if each.keyless else {}
    found = {(file, name): job for file, name, job in jobs(each)}
    assert {key: job["permissions"] for key, job in found.items()} == {
        ("build", "build"): {"contents": contents, "packages": "write", **token},
        ("build", "deploy"): {"contents": contents, "packages": "read"},
        ("deploy", "deploy"): {"contents": contents, "packages": "read"},
        ("rollback", "check"): {},
        ("rollback", "rollback"): {"contents": contents, "packages": "read"},
        **({("up", "clean-up"): {"contents": "read", "packages": "write"}} if each.packages else {}),
    }
    limits = {key: job["timeout-minutes"] for key, job in found.items() if "uses" not in job}
    assert sorted(limits.values()) == [2, 5, 5, 10, *([30] if each.packages else [])]
    assert limits["build", "build"] == 10
    for text in each.files().values():
        assert yaml.safe_load(text)["permissions"] == {}


def test_everything_used_is_pinned_to_a_full_commit_with_its_version_beside_it() -> None:
    for text in workflows(packages=PACKAGES).files().values():
        used = re.findall(r"uses: (.*)", text)
        assert used
        for line in used:
            action, _, comment = line.partition(" # ")
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) or action.startswith("./"), line
            assert comment.startswith(("v", "zizmor: ")) or action == SOURCES[GITHUB], line


def test_no_workflow_has_a_shell_and_the_action_puts_no_input_into_one() -> None:
    for _, _, job in jobs(workflows(packages=PACKAGES)):
        assert not [step for step in job.get("steps", []) if "run" in step]
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    scripts = [step["run"] for step in steps]
    assert len(scripts) == 3
    assert not [script for script in scripts if "${{" in script]
    running = [script for script in scripts if script.rstrip().endswith("workflows run")]
    assert len(running) == 2
    for script in running:
        assert re.search(r"\bexec \"", script), "a cancelled run's signal reaches only the step's own process"


def test_the_sha_of_a_rollback_is_checked_where_nothing_is_in_scope() -> None:
    text = workflows().files()[".github/workflows/api-rollback.yml"]
    document = yaml.safe_load(text)
    inputs = document[True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads `on` so
    assert list(document[True]) == ["workflow_dispatch"]
    assert inputs["IMAGE_SHA"]["required"] is True
    check, rollback = document["jobs"]["check"], document["jobs"]["rollback"]
    assert "secrets" not in str(check) + str({**document, "jobs": {}})
    assert "environment" not in check
    assert rollback["needs"] == "check"
    assert "inputs.IMAGE_SHA" not in str(rollback)
    assert [step["with"]["sha"] for step in rollback["steps"] if "sha" in step.get("with", {})] == [
        "${{ needs.check.outputs.sha }}"
    ]


def test_what_reaches_an_environment_runs_where_the_team_says() -> None:
    found = {(file, name): job.get("runs-on") for file, name, job in jobs(workflows(deploy_on="box"))}
    assert [key for key, runner in found.items() if runner == "box"] == [
        ("deploy", "deploy"), ("rollback", "rollback"),
    ]  # fmt: skip
    (text,) = workflows(GITLAB, deploy_on="box").files().values()
    tagged = [name for name, job in yaml.safe_load(text).items() if job.get("tags") == ["box"]]
    assert tagged == ["api-deploy", "api-deploy-sha", "api-rollback"]


@pytest.mark.parametrize("word", ["on", "no", "null", "1", "1e3", "2026-01-01"])
def test_a_name_that_means_something_to_yaml_stays_a_name(word: str) -> None:
    each = workflows(environments=(EnvironmentName(word),), deploy_on=word, directory=word)
    found = {(file, name): job for file, name, job in jobs(each)}
    rollback = yaml.safe_load(each.files()[".github/workflows/api-rollback.yml"])
    choice = rollback[True]["workflow_dispatch"]["inputs"]["environment"]
    assert (choice["options"], choice["default"]) == ([word], word)
    assert found["build", "deploy"]["with"]["environment"] == word
    for key in (("deploy", "deploy"), ("rollback", "rollback")):
        assert found[key]["runs-on"] == word
        assert found[key]["steps"][-1]["with"]["directory"] == word
    (text,) = workflows(GITLAB, environments=(EnvironmentName(word),), deploy_on=word).files().values()
    document = yaml.safe_load(text)
    assert (document["api-deploy"]["environment"], document["api-deploy"]["tags"]) == (word, [word])
    assert document["api-rollback"]["variables"]["DEPLOY_TO"] == word


def test_deployments_of_an_environment_wait_and_none_is_dropped() -> None:
    found = [job["concurrency"] for _, _, job in jobs(workflows()) if "concurrency" in job]
    assert found == [{"group": "api-${{ inputs.environment }}", "queue": "max"}] * 2


def test_the_automatic_deployment_is_of_mains_pushes_only_and_says_that_it_is() -> None:
    (job,) = [job for file, name, job in jobs(workflows(main="trunk")) if (file, name) == ("build", "deploy")]
    assert "github.event_name == 'push' && github.ref == 'refs/heads/trunk'" in job["if"]
    assert job["with"]["automatic"] is True
    (gitlab,) = workflows(GITLAB, main="trunk").files().values()
    assert "--automatic" in str(yaml.safe_load(gitlab)["api-deploy"]["script"])


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "trunk"}, {"api-build", "api-deploy"}),
        ({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "topic"}, {"api-build"}),
        ({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1"}, set()),
        (
            {"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_BRANCH": "trunk", "IMAGE_SHA": SHA},
            {"api-check", "api-deploy-sha", "api-rollback"},
        ),
        ({"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_BRANCH": "topic", "IMAGE_SHA": SHA}, set()),
        ({"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_TAG": "trunk", "IMAGE_SHA": SHA}, set()),
        ({"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_BRANCH": "trunk"}, set()),
        ({"CI_PIPELINE_SOURCE": "merge_request_event", "IMAGE_SHA": SHA}, set()),
    ],
)
def test_on_gitlab_a_pipeline_has_the_jobs_of_its_branch(
    pipeline: dict[str, str], expected: set[str]
) -> None:
    """What is done by hand goes by the branch's immutag.toml: it is of main's pipelines only."""
    (text,) = workflows(GITLAB, main="trunk").files().values()
    document = yaml.safe_load(text)
    found = {name for name, job in document.items() if any(_holds(rule, pipeline) for rule in _rules(job))}
    assert found == expected
    by_hand = {name for name, job in document.items() if any(rule.get("when") for rule in _rules(job))}
    assert by_hand == {"api-deploy-sha", "api-rollback"}


def _rules(job: dict[str, Any]) -> list[dict[str, str]]:
    """All jobs but the hidden one have rules: without any, a job is in every pipeline."""
    found: list[dict[str, str]] = [] if "script" not in job else job["rules"]
    return found


def _holds(rule: dict[str, str], variables: dict[str, str]) -> bool:
    """As GitLab reads the conditions used here: `$NAME` is neither absent nor empty, or equals a text."""
    for term in rule["if"].split(" && "):
        matched = re.fullmatch(r'\$(\w+)(?: == "([^"]*)")?', term)
        assert matched, term
        name, wanted = matched.groups()
        value = variables.get(name)
        if not (value if wanted is None else value == wanted):
            return False
    return True


def test_clean_up_deletes_only_where_the_list_of_what_to_spare_was_made() -> None:
    text = workflows(packages=PACKAGES).files()[".github/workflows/api-clean-up.yml"]
    (job,) = yaml.safe_load(text)["jobs"].values()
    _, keep, delete = job["steps"]
    assert keep["with"]["command"] == "keep"
    assert "if" not in delete
    assert "continue-on-error" not in keep
    assert delete["with"]["packages"] == "api,api-staging"
    assert keep["id"] == "keep"
    assert delete["with"]["exclude-tags"] == "${{ steps.keep.outputs.exclude-tags }}"
    assert "use-regex" not in delete["with"], "the list is of names, not of patterns"


@pytest.mark.parametrize("package", ["", "a b", "-a", "${{ x }}", "a,b", "A"])
def test_a_package_is_a_name(package: str) -> None:
    with pytest.raises(ImmutagError):
        workflows(packages=(package,))


def test_there_is_no_clean_up_for_gitlab() -> None:
    with pytest.raises(ImmutagError, match=r"ghcr\.io only"):
        workflows(GITLAB, packages=PACKAGES)


def test_the_action_has_the_outputs_and_inputs_that_the_workflows_use() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    record = {"image", "digest", "sha", "repository-type", "signature-status"}
    assert set(action["outputs"]) == record | {"exclude-tags"}
    for _, _, job in jobs(workflows(packages=PACKAGES)):
        for step in job.get("steps", []):
            if step["uses"] == SOURCES[GITHUB]:
                assert set(step["with"]) <= set(action["inputs"])


# --- parameters, and the way back from a file


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "a b"}, {"service": "-a"}, {"service": "a\nb"}, {"service": ""}, {"service": "${{x}}"},
        {"main": "main' || true"}, {"main": "-x"}, {"directory": "../x"}, {"directory": "/x"},
        {"directory": "a;b"}, {"environments": ()}, {"source": "owner/immutag@main"},
        {"source": f"owner/immutag@{SHA[:12]}"}, {"source": ""}, {"source": f"owner/immutag@{SHA}\n"},
        {"source": SOURCES[GITLAB]}, {"ci": GITLAB}, {"deploy_on": "a b"}, {"deploy_on": ""},
    ],
)  # fmt: skip
def test_nothing_gets_in_that_could_mean_something_else(changes: dict[str, Any]) -> None:
    with pytest.raises(ImmutagError):
        Workflows(**{name: getattr(workflows(), name) for name in Workflows.__match_args__} | changes)


@pytest.mark.parametrize("each", [*variants(GITHUB), *variants(GITLAB)], ids=str)
def test_a_file_says_which_command_writes_it(each: Workflows) -> None:
    for text in each.files().values():
        assert written_by(text) == each.command()[3:]
    assert written_by("name: mine\n") is None


def test_a_name_without_a_text_is_a_defect() -> None:
    with pytest.raises(KeyError):
        fill("a: @NOTHING@\n", {})
    assert fill("a:\n  @X@\n\nb: @Y@\n", {"X": "", "Y": "1"}) == "a:\n\nb: 1\n"


@given(st.text("ab\r\n", max_size=20), st.text("ab\r\n", max_size=20))
def test_a_difference_is_the_first_and_there_is_none_only_in_equal_texts(one: str, other: str) -> None:
    found = drift("f", one, other)
    assert (found is None) == (one == other)
    if found:
        before = found.line - 1
        assert one.split("\n")[:before] == other.split("\n")[:before]


def test_a_missing_file_differs_in_its_first_line() -> None:
    assert drift("f", "a\nb\n", None) == Drift("f", 1, "a", None)


# --- the command


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "immutag.toml").write_text(
        '[image]\nrepository = "ghcr.io/owner/api"\n[environments.b]\ntarget = "podman"\n'
        '[environments.production]\ntarget = "podman"\n[trust]\nkeyless = true\n'
    )
    return tmp_path


def immutag(
    folder: Path, *arguments: str, installed: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """`installed` is the direct_url.json of its installation (PEP 610); an index leaves none."""
    record = folder / ".git" / "installation"
    about = record / "immutag-0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: immutag\nVersion: 0\n")
    (about / "direct_url.json").write_text(json.dumps(installed or {}))
    done = subprocess.run(
        [sys.executable, "-m", "immutag", "--json", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(record)},
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_init_takes_from_the_configuration_what_is_not_said(repository: Path) -> None:
    status, document = immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB])
    assert (status, len(document["written"])) == (0, 3)
    expected = workflows(
        environments=(EnvironmentName("production"), EnvironmentName("b")), keyless=True
    ).files()  # production first: that is where main goes
    for path, text in expected.items():
        assert (repository / path).read_text() == text
    status, document = immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB])
    assert (status, document["written"]) == (0, [])


def test_check_names_the_file_and_the_first_line_that_differs(repository: Path) -> None:
    immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB], "--service", "web")
    assert immutag(repository, "workflows", "check")[0] == 0
    file = repository / ".github/workflows/web-deploy.yml"
    text = file.read_text()
    file.write_text(text.replace("packages: read", "packages: write"))
    line = text.split("\n").index("      packages: read") + 1
    status, document = immutag(repository, "workflows", "check")
    assert (status, document["error"]["code"]) == (22, "CONFIG_INVALID")
    assert document["error"]["message"].startswith(".github/workflows/web-deploy.yml differs")
    assert document["error"]["message"].endswith(f"in line {line}")
    assert (document["error"]["expected"], document["error"]["found"]) == (
        "packages: read",
        "packages: write",
    )
    file.unlink()
    status, document = immutag(repository, "workflows", "check")
    assert (status, document["error"]["found"]) == (22, "nothing")


@pytest.mark.parametrize("ci", [GITHUB, GITLAB])
def test_check_says_that_the_workflows_install_another_immutag(ci: str, repository: Path) -> None:
    immutag(repository, "workflows", "init", "--ci", ci, "--source", SOURCES[ci])
    status, document = immutag(repository, "workflows", "check", installed=_at(OTHER))
    error = document["error"]
    assert (status, error["code"]) == (22, "CONFIG_INVALID")
    assert "install another immutag" in error["message"]
    assert f"github.com/owner/immutag@{OTHER}" in error["expected"]
    assert error["found"] == f"--source {SOURCES[ci]}"
    command = error["next"].partition(", or ")[0].removeprefix("immutag ").split()
    status, document = immutag(repository, *command)
    assert (status, document["unchanged"]) == (0, [])
    status, document = immutag(repository, "workflows", "check", installed=_at(OTHER))
    assert (status, document["compared_with"]) == (0, f"github.com/owner/immutag@{OTHER}")


def test_check_tells_of_another_immutag_before_a_difference_and_of_both(repository: Path) -> None:
    immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB])
    file = repository / ".github/workflows/api-deploy.yml"
    file.write_text(file.read_text().replace("timeout-minutes: 5", "timeout-minutes: 6"))
    _, document = immutag(repository, "workflows", "check", installed=_at(OTHER))
    assert f"@{OTHER}" in document["error"]["next"]
    assert ".github/workflows/api-deploy.yml differs" in document["error"]["found"]
    _, document = immutag(repository, "workflows", "check", installed=_at(SHA))
    assert document["error"]["found"] == "timeout-minutes: 6"


@pytest.mark.parametrize(
    "url",
    ["https://github.com/owner/immutag", "https://git.example.com/x.git", "git@github.com:fork/immutag"],
)
def test_the_same_commit_of_a_copy_is_the_same_immutag(url: str, repository: Path) -> None:
    immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB])
    assert immutag(repository, "workflows", "check", installed=_at(SHA, url))[0] == 0


@pytest.mark.parametrize("how", ["index", "archive", "folder", "clone without remote"])
def test_what_cannot_be_compared_is_no_alarm(how: str, repository: Path, tmp_path: Path) -> None:
    immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB])
    clone = tmp_path / "clone"
    git = ("git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "x"], check=True)
    if how != "clone without remote":
        subprocess.run([*git, "remote", "add", "origin", "https://github.com/owner/immutag"], check=True)
    records: dict[str, dict[str, Any] | None] = {
        "index": None,
        "archive": {"url": f"{clone.as_uri()}/immutag.whl", "archive_info": {}},
        "folder": {"url": clone.as_uri(), "dir_info": {}},  # the clone may have moved on since
        "clone without remote": {"url": clone.as_uri(), "dir_info": {"editable": True}},
    }
    status, document = immutag(repository, "workflows", "check", installed=records[how])
    assert (status, document["compared_with"]) == (0, None)


def _at(sha: str, url: str = "https://github.com/owner/immutag") -> dict[str, Any]:
    return {"url": url, "vcs_info": {"vcs": "git", "commit_id": sha}}


def test_check_knows_the_clean_up_that_init_wrote(repository: Path) -> None:
    assert immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB], "--clean-up")[0] == 0
    status, document = immutag(repository, "workflows", "check")
    assert (status, len(document["checked"])) == (0, 4)
    file = repository / ".github/workflows/api-clean-up.yml"
    written = file.read_text()
    file.write_text(written.replace("packages: api,api-staging", "packages: api"))
    status, document = immutag(repository, "workflows", "check")
    assert (status, document["error"]["found"]) == (22, "packages: api")
    command = written.partition("\n")[0].removeprefix("# immutag ").split()
    status, document = immutag(repository, *command)
    assert (status, document["written"]) == (0, [".github/workflows/api-clean-up.yml"])
    assert len(document["unchanged"]) == 3


@pytest.mark.parametrize(
    "line", ["# immutag workflows init --service=api", "# immutag workflows init --x", "#"]
)
def test_check_does_not_guess_what_a_file_was_written_from(line: str, repository: Path) -> None:
    file = repository / ".github/workflows/api-build.yml"
    file.parent.mkdir(parents=True)
    file.write_text(f"{line}\nname: x\n")
    assert immutag(repository, "workflows", "check")[0] == 22


def test_init_leaves_anothers_file_alone(repository: Path) -> None:
    file = repository / ".github/workflows/api-deploy.yml"
    file.parent.mkdir(parents=True)
    file.write_text("name: mine\n")
    status, document = immutag(repository, "workflows", "init", "--source", SOURCES[GITHUB])
    assert (status, document["error"]["code"]) == (22, "CONFIG_INVALID")
    assert file.read_text() == "name: mine\n"
    assert [path.name for path in file.parent.iterdir()] == ["api-deploy.yml"]
