"""SLSA provenance: what ours says, as the published schema reads it; and what is held against others'."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance  # type: ignore[import-untyped] # made by protoc
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage  # type: ignore[import-untyped]

from immutag.core.builder import ANOTHER_RUN, LOCAL, builder_id
from immutag.core.errors import LedgerConflict
from immutag.core.facts import Built, Claimed, Entry, Fact, Requested, Stream
from immutag.core.frozen import replace
from immutag.core.provenance import (
    DOCKERFILE_BUILD,
    GIVEN_IMAGE,
    BaseImage,
    Recipe,
    Run,
    provenance,
)
from immutag.core.statement import SLSA_PROVENANCE, SLSA_PROVENANCE_V02, Statement, Subject
from immutag.core.values import Digest, GitSha, Repository, RepositoryType
from immutag.trust.evidence.verify_provenance import (
    CHECKS,
    Expected,
    builder_of,
    check_provenance,
    is_provenance,
    repository_of,
)
from immutag.trust.formats.in_toto import parse_statement
from tests.parts.facts import chained

SHA, OTHER_SHA = GitSha("1" * 40), GitSha("2" * 40)
IMAGE, OTHER = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
REPOSITORY = Repository("ghcr.io", "owner/api")
SOURCE = "https://github.com/owner/api"
WORKFLOW = "https://github.com/owner/api/.github/workflows/api-build.yml@refs/heads/main"
ADDRESS = "https://github.com/owner/api/actions/runs/7"
RECIPE = Recipe(
    context="services/api",
    dockerfile="services/api/Dockerfile",
    args={"VERSION": "3"},
    platforms=("linux/amd64",),
    builder_args=(),
)
BASE = BaseImage("docker.io/library/debian:12", OTHER)
RUN = Run(WORKFLOW, "tester@here")  # who appends in tests.parts.facts

REQUESTED = Requested(SHA, REPOSITORY, RepositoryType.CANONICAL, "main", SOURCE)
BUILT = Built(
    SHA, REPOSITORY, IMAGE, "application/vnd.oci.image.manifest.v1+json", 500, "linux/amd64", "buildah", 1500
)
CLAIMED = Claimed(SHA, REPOSITORY, IMAGE, "application/vnd.oci.image.manifest.v1+json", 500)


def entries(*facts: Fact) -> list[Entry]:
    return [entry for entry, _ in chained([(Stream.release(REPOSITORY, SHA), fact) for fact in facts])]


def made(
    facts: Sequence[Fact] = (REQUESTED, BUILT, CLAIMED), run: Run = RUN, bases: Sequence[BaseImage] = (BASE,)
) -> Statement:
    return provenance(entries(*facts), recipe=RECIPE, bases=bases, run=run)


def told(statement: Statement) -> tuple[Any, Any]:
    """The two halves of a predicate, as they are read from its JSON."""
    document = json.loads(statement.encode())
    return document["predicate"]["buildDefinition"], document["predicate"]["runDetails"]


def test_it_is_what_the_published_schema_reads() -> None:
    """Strictly: a field that the schema does not know would be refused."""
    document = json.loads(made().encode())
    read = ParseDict(document["predicate"], Provenance())
    assert read.build_definition.build_type == DOCKERFILE_BUILD
    assert read.run_details.builder.id == WORKFLOW
    assert read.run_details.metadata.started_on.ToJsonString() == "2026-01-02T03:04:01.178Z"
    assert read.run_details.metadata.finished_on.ToJsonString() == "2026-01-02T03:04:02.678Z"
    statement = ParseDict(document, StatementMessage())
    assert dict(statement.subject[0].digest) == {"sha256": IMAGE.hex}
    assert statement.predicate_type == "https://slsa.dev/provenance/v1"


def test_it_names_the_commit_and_the_base_images_by_digest() -> None:
    definition, _ = told(made())
    source, base = definition["resolvedDependencies"]
    assert source["uri"] == f"git+{SOURCE}@refs/heads/main"
    assert source["digest"] == {"gitCommit": str(SHA)}
    assert base["digest"] == {"sha256": OTHER.hex}
    assert base["uri"] == (
        f"pkg:oci/debian@sha256%3A{OTHER.hex}?repository_url=docker.io/library/debian&tag=12"
    )


def test_it_says_how_the_image_was_built() -> None:
    definition, _ = told(made())
    assert definition["internalParameters"] == {"builder": "buildah", "cleanBuild": True}
    assert definition["externalParameters"] == {
        "repository": SOURCE,
        "ref": "refs/heads/main",
        "commit": str(SHA),
        "context": "services/api",
        "dockerfile": "services/api/Dockerfile",
        "args": {"VERSION": "3"},
        "platforms": ["linux/amd64"],
    }


@pytest.mark.parametrize(
    ("name", "has_address"),
    [
        ("127.0.0.1:5000/base:1", True),
        ("ghcr.io/o/base@sha256:" + "b" * 64, True),
        ("localhost/base", True),
        ("debian:12", False),
        ("owner/base:1", False),
        ("debian", False),
    ],
)
def test_a_base_image_without_its_registry_has_a_digest_and_no_address(name: str, has_address: bool) -> None:
    """Where a short name leads is up to the machine."""
    base = told(made(bases=[BaseImage(name, OTHER)]))[0]["resolvedDependencies"][1]
    assert base["digest"] == {"sha256": OTHER.hex}
    assert ("uri" in base) == has_address


def test_a_commit_without_a_remote_or_branch_still_is_the_source() -> None:
    definition, _ = told(made([replace(REQUESTED, source=None, branch=None), BUILT, CLAIMED]))
    assert definition["resolvedDependencies"][0] == {
        "name": "source",
        "digest": {"gitCommit": str(SHA)},
    }
    assert "ref" not in definition["externalParameters"]
    detached, _ = told(made([replace(REQUESTED, branch=None), BUILT, CLAIMED]))
    assert detached["resolvedDependencies"][0]["uri"] == f"git+{SOURCE}@{SHA}"


def test_the_invocation_is_the_ci_run_that_built_it() -> None:
    assert "invocationId" not in told(made())[1]["metadata"]
    in_ci = [replace(entry, actor=f"octocat {ADDRESS}") for entry in entries(REQUESTED, BUILT, CLAIMED)]
    made_there = provenance(in_ci, recipe=RECIPE, bases=[], run=Run(WORKFLOW, f"octocat {ADDRESS}"))
    assert told(made_there)[1]["metadata"]["invocationId"] == ADDRESS
    assert told(made_there)[1]["builder"]["id"] == WORKFLOW


def test_a_run_does_not_speak_for_what_another_one_built() -> None:
    """It finishes another run's release: it knows neither its builder nor how that was configured."""
    definition, details = told(made(run=Run(WORKFLOW, "somebody@elsewhere")))
    assert details["builder"]["id"] == ANOTHER_RUN
    assert "args" not in definition["externalParameters"]
    assert definition["resolvedDependencies"][0]["digest"] == {"gitCommit": str(SHA)}


def test_a_given_image_is_not_said_to_be_built() -> None:
    definition, _ = told(made([REQUESTED, replace(BUILT, builder="given"), CLAIMED]))
    assert definition["buildType"] == GIVEN_IMAGE
    assert definition["internalParameters"]["cleanBuild"] is False
    assert len(definition["resolvedDependencies"]) == 1
    assert "dockerfile" not in definition["externalParameters"]


def test_the_build_is_the_one_that_gave_the_claimed_digest() -> None:
    lost = replace(BUILT, digest=OTHER, builder="podman")
    definition, _ = told(made([REQUESTED, lost, BUILT, CLAIMED]))
    assert definition["internalParameters"]["builder"] == "buildah"


def test_it_holds_the_ledgers_head_at_the_claim() -> None:
    written = entries(REQUESTED, BUILT, CLAIMED)
    (head,) = told(made())[1]["byproducts"]
    assert head["annotations"] == {"size": "3", "hash": written[2].hash}


def test_the_same_release_has_the_same_bytes_whatever_came_after() -> None:
    assert made().encode() == made([REQUESTED, BUILT, CLAIMED, BUILT]).encode()


@pytest.mark.parametrize("facts", [(), (REQUESTED, BUILT), (REQUESTED, CLAIMED), (BUILT, CLAIMED)])
def test_what_is_not_recorded_is_not_made_up(facts: Sequence[Fact]) -> None:
    with pytest.raises(LedgerConflict):
        made(facts)


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, LOCAL),
        (
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_WORKFLOW_REF": "owner/api/.github/workflows/api-build.yml@refs/heads/main",
            },
            WORKFLOW,
        ),
        (
            {"GITLAB_CI": "true", "CI_PROJECT_URL": "https://gitlab.com/o/api", "CI_RUNNER_ID": "9"},
            "https://gitlab.com/o/api/-/runners/9",
        ),
        ({"GITHUB_WORKFLOW_REF": "owner/api/x@y", "GITHUB_SERVER_URL": "https://github.com"}, LOCAL),
        (
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_WORKFLOW_REF": "a\x1b[31m",
            },
            LOCAL,
        ),
    ],
)
def test_the_builder_is_where_it_runs(environ: Mapping[str, str], found: str) -> None:
    assert builder_id(environ) == found
    assert builder_id(environ, "https://builder.example") == "https://builder.example"


EXPECTED = Expected(IMAGE, SOURCE, SHA, "main", (WORKFLOW,))


def test_our_own_provenance_is_about_what_is_deployed() -> None:
    assert check_provenance(parse_statement(made().encode()), EXPECTED) is None


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"subject": OTHER}, "2 subject"),
        ({"builders": ("https://other.example",)}, "3 builder"),
        ({"repository": "https://github.com/owner/other"}, "4 source repository"),
        ({"commit": OTHER_SHA}, "5 commit"),
        ({"branch": "release"}, "6 branch"),
    ],
)
def test_what_is_deployed_must_be_what_it_is_about(changed: dict[str, Any], check: str) -> None:
    refused = check_provenance(made(), replace(EXPECTED, **changed))
    assert refused is not None
    assert refused.check == check


def test_the_checks_run_in_their_written_order() -> None:
    everything_else = Expected(OTHER, "https://x.example/y", OTHER_SHA, "z", ("b",))
    refused = check_provenance(made(), everything_else)
    assert refused is not None
    assert refused.check == "2 subject"
    assert len(CHECKS) == 6


def test_another_predicate_is_no_provenance() -> None:
    scan = Statement((Subject("", IMAGE, {}),), "https://cosign.sigstore.dev/attestation/vuln/v1", {})
    refused = check_provenance(scan, EXPECTED)
    assert refused is not None
    assert refused.check == "1 predicate type"
    assert not is_provenance(scan)


def about(predicate_type: str, predicate: dict[str, Any]) -> Statement:
    return Statement((Subject("", IMAGE, {}),), predicate_type, predicate)


GITHUB = about(
    SLSA_PROVENANCE,
    {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {
                "workflow": {
                    "ref": "refs/heads/main", "repository": SOURCE, "path": ".github/workflows/api-build.yml",
                }
            },
            "resolvedDependencies": [
                {"uri": f"git+{SOURCE}@refs/heads/main", "digest": {"gitCommit": str(SHA)}}
            ],
        },
        "runDetails": {"builder": {"id": WORKFLOW}, "metadata": {"invocationId": f"{ADDRESS}/attempts/1"}},
    },
)  # fmt: skip
BUILDKIT = about(
    SLSA_PROVENANCE_V02,
    {
        "builder": {"id": WORKFLOW},
        "buildType": "https://mobyproject.org/buildkit@v1",
        "invocation": {
            "configSource": {"uri": f"{SOURCE}.git#refs/heads/main", "digest": {"sha1": str(SHA)}}
        },
        "materials": [
            {"uri": "pkg:docker/debian@12?platform=linux%2Famd64", "digest": {"sha256": OTHER.hex}},
            {"uri": f"{SOURCE}.git#refs/heads/main", "digest": {"sha1": str(SHA)}},
        ],
    },
)


@pytest.mark.parametrize("statement", [GITHUB, BUILDKIT])
def test_provenance_of_other_tools_is_read(statement: Statement) -> None:
    assert check_provenance(statement, EXPECTED) is None
    refused = check_provenance(statement, replace(EXPECTED, commit=OTHER_SHA))
    assert refused is not None
    assert refused.check == "5 commit"


def test_two_commits_of_one_repository_are_two_origins() -> None:
    other = {"uri": f"{SOURCE}.git#refs/heads/main", "digest": {"sha1": str(OTHER_SHA)}}
    torn = about(SLSA_PROVENANCE_V02, {**BUILDKIT.predicate, "materials": [other]})
    refused = check_provenance(torn, EXPECTED)
    assert refused is not None
    assert refused.check == "5 commit"


def test_another_repositorys_commit_proves_nothing() -> None:
    """The right commit id, of somebody's fork."""
    forked = json.loads(
        json.dumps(GITHUB.predicate).replace("git+https://github.com/owner", "git+https://github.com/fork")
    )
    refused = check_provenance(about(SLSA_PROVENANCE, forked), EXPECTED)
    assert refused is not None
    assert refused.check == "4 source repository"


def test_a_commit_without_a_branch_is_not_on_the_branch() -> None:
    """What is not said is not proved."""
    silent = json.loads(json.dumps(GITHUB.predicate).replace('@refs/heads/main", "digest', '", "digest'))
    refused = check_provenance(about(SLSA_PROVENANCE, silent), EXPECTED)
    assert refused is not None
    assert refused.check == "6 branch"
    assert check_provenance(about(SLSA_PROVENANCE, silent), replace(EXPECTED, branch=None)) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/owner/api", "https://github.com/owner/api.git", "git+https://github.com/owner/api",
        "git@github.com:owner/api.git", "ssh://git@github.com/owner/api.git", "https://GitHub.com/owner/api/",
        "https://token@github.com/owner/api", "git+ssh://git@github.com/owner/api",
    ],
)  # fmt: skip
def test_one_repository_has_one_spelling(address: str) -> None:
    assert repository_of(address) == "github.com/owner/api"


@pytest.mark.parametrize(
    "address", ["https://github.com/owner/API", "https://github.com.evil/owner/api", "owner/api"]
)
def test_another_address_is_another_repository(address: str) -> None:
    assert repository_of(address) != "github.com/owner/api"


FIELDS = (
    "buildDefinition", "runDetails", "builder", "id", "resolvedDependencies", "uri", "digest", "gitCommit",
    "sha1", "materials", "invocation", "configSource",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.sampled_from([SOURCE, str(SHA), WORKFLOW]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from([SLSA_PROVENANCE, SLSA_PROVENANCE_V02]),
    st.dictionaries(
        st.sampled_from(["buildDefinition", "runDetails", "builder", "materials", "invocation"]), JSON
    ),
)
def test_whatever_a_predicate_says_the_answer_is_a_finding(kind: str, predicate: dict[str, Any]) -> None:
    statement = about(kind, predicate)
    refused = check_provenance(statement, EXPECTED)
    if refused is None:
        text = json.dumps(predicate)
        assert str(SHA) in text
        assert builder_of(statement) == WORKFLOW
