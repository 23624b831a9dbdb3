"""Mandatory verification, break-glass, and the policy commands, through the real command line (DR-003)."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import immutag
from immutag.core.facts import (
    Deploying,
    Fact,
    Healthy,
    Outcome,
    SignatureReason,
    SignatureStatus,
    Stream,
)
from immutag.core.values import Digest, EnvironmentName, GitSha, RepositoryType
from immutag.ledger.sqlite import SqliteLedger
from tests.parts.checkouts import GIT_ENV, Checkout
from tests.parts.images import add_image, finish, tar_of
from tests.parts.keys import new_key, private_pem, public_pem
from tests.parts.peers import Peer
from tests.parts.programs import peer
from tests.parts.registries import Registry
from tests.parts.sigstore import Sigstore
from tests.parts.site import Site

pytestmark = pytest.mark.slow

STAGING = EnvironmentName("staging")
CONFIG = """\
[image]
repository = "{repository}"
[provenance]
enabled = false
[environments.staging]
target = "command"
apply = ["{box}/apply"]
observe = ["{box}/observe"]
"""
TRUSTING = {"IMMUTAG_TRUST_PUBLIC_KEYS": "ours.pub"}
MANDATORY = {**TRUSTING, "IMMUTAG_TRUST_VERIFICATION": "mandatory"}
AUTO = {**TRUSTING, "IMMUTAG_TRUST_VERIFICATION": "auto"}
UNREADABLE_ROOT = {
    **TRUSTING, "IMMUTAG_TRUST_TRANSPARENCY_LOG": "true", "IMMUTAG_TRUST_TRUSTED_ROOT": "ours.pub",
}  # fmt: skip
LOG = ("--log-format", "json")
GLASS = ("--allow-unverified", "--reason", "the pager rings")


@pytest.fixture
def place(git_repository: Callable[..., Checkout], registry2: Registry, tmp_path: Path) -> Iterator[Site]:
    """A service whose images are layouts and whose only environment is a folder: nothing to build or run."""
    box, repository, checkout = tmp_path / "box", registry2.repository(), git_repository()
    box.mkdir()
    (box / "apply").write_text(f'#!/bin/sh\necho "$IMMUTAG_IMAGE" >{box}/runs\n')
    (box / "observe").write_text(f"#!/bin/sh\ntest ! -e {box}/runs || cat {box}/runs\n")
    for program in ("apply", "observe"):
        (box / program).chmod(0o755)
    for name in ("ours", "other"):
        key = new_key("P-256")
        (checkout.path / f"{name}.key").write_bytes(private_pem(key))
        (checkout.path / f"{name}.pub").write_bytes(public_pem(key))
    ignored = ".immutag/\nlayout/\n*.key\n*.pub\n"
    checkout.commit(
        "service", {"immutag.toml": CONFIG.format(repository=repository, box=box), ".gitignore": ignored}
    )
    yield Site(checkout, registry2, repository, box, 0, GIT_ENV)


def released(place: Site, *, signed_by: str | None = "ours") -> str:
    """A commit with a new image, signed at its release by that key."""
    sha = place.commit()
    layout = place.folder / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    finish(layout, add_image(layout, tar_of("content", os.urandom(10))))
    env = {"IMMUTAG_TRUST_KEY": f"{signed_by}.key"} if signed_by else {}
    place.json("release", "--from", "layout", env=env)
    return str(sha)


def deploy(place: Site, sha: str, *options: str, env: Mapping[str, str] = MANDATORY) -> Any:
    return place.json("deploy", "--sha", sha, "--env", "staging", *options, env=env)


def valid(schema: str, document: Any) -> Any:
    """The document, if the shipped schema says that it is one."""
    file = Path(immutag.__file__).parent / "schemas" / f"{schema}.json"
    jsonschema.Draft202012Validator(json.loads(file.read_text())).validate(document)
    return document


def refusal(place: Site, command: str, sha: str, *options: str, env: Mapping[str, str] = MANDATORY) -> Any:
    return place.error(command, "--sha", sha, "--env", "staging", *options, env=env)


def recorded(said: str) -> Any:
    """The log record of the deployment, among the lines of standard error."""
    lines = [json.loads(line) for line in said.splitlines()]
    (record,) = [line for line in lines if line.get("phase") == "deploy"]
    return valid("deploy", record)


def facts(place: Site) -> list[str]:
    return place.facts("environment:")


def history(place: Site, count: int) -> None:
    """So many commits, each deployed and verified. They end so that whatever comes may follow them."""
    stream = Stream.environment(place.repository, STAGING)
    digest = Digest("sha256:" + "0" * 64)
    with closing(SqliteLedger(place.ledger, actor="tester")) as ledger:
        for number in range(1, count + 1):
            sha = GitSha(f"{number:040x}")
            for after, fact in enumerate(deployment(place, sha, digest), 2 * (number - 1)):
                ledger.append(stream, fact, after=after)


def deployment(place: Site, sha: GitSha, digest: Digest) -> list[Fact]:
    work = Deploying(
        sha=sha,
        repository=place.repository,
        digest=digest,
        accepted=(digest,),
        repository_type=RepositoryType.CANONICAL,
        environment=STAGING,
        target="command",
        command="deploy",
        automatic=True,
        reason=None,
        previous_sha=None,
        previous_image=None,
        commits_ahead=None,
        signature_status=SignatureStatus.VERIFIED,
        signature_reason=SignatureReason.NOT_APPLICABLE,
        held=False,
        quarantined=(),
        holder="somebody",
        until="2026-01-02T00:00:00.000Z",
    )
    return [work, Healthy(sha, place.repository, digest, STAGING, Outcome.FAILED, None, 1)]


# Mandatory, and break-glass.


def test_where_verification_is_mandatory_only_verified_images_run(place: Site) -> None:
    good, by_other, unsigned = (
        released(place),
        released(place, signed_by="other"),
        released(place, signed_by=None),
    )
    assert deploy(place, good)["signature_status"] == "verified"
    for sha, reason in ((by_other, "key_not_found"), (unsigned, "missing")):
        error = refusal(place, "deploy", sha)
        assert (error["code"], error["found"]) == ("POLICY_VIOLATION", reason)
        assert "--allow-unverified" in error["next"]
        assert f"immutag verify {sha} --explain" in error["next"]
        record = recorded(place.run("deploy", "--sha", sha, "--env", "staging", *LOG, env=MANDATORY).stderr)
        assert (record["signature_status"], record["signature_reason"]) == ("unverified", reason)
    assert facts(place) == ["deploying", "healthy", *["stopped"] * 4]
    assert refusal(place, "deploy", unsigned, "--dry-run")["code"] == "POLICY_VIOLATION"
    assert deploy(place, unsigned, env=TRUSTING)["signature_reason"] == "missing"


def test_a_rollback_to_an_unverified_image_is_refused_too(place: Site) -> None:
    unsigned, good = released(place, signed_by=None), released(place)
    deploy(place, unsigned, env=TRUSTING)
    deploy(place, good)
    assert refusal(place, "rollback", unsigned)["code"] == "POLICY_VIOLATION"
    record = place.json("rollback", "--sha", unsigned, "--env", "staging", *GLASS, env=MANDATORY)
    assert (record["outcome"], record["reason"]) == ("ok", "the pager rings")
    assert facts(place)[-4:] == ["allowed_unverified", "deploying", "held", "rolled_back"]


def test_who_breaks_the_glass_says_why_and_it_is_told_before_anything_runs(place: Site) -> None:
    unsigned = released(place, signed_by=None)
    plan = deploy(place, unsigned, *GLASS, "--dry-run")
    assert (plan["verification"], plan["allowed_for"]) == ("mandatory", "the pager rings")
    assert facts(place) == []
    assert deploy(place, unsigned, *GLASS)["signature_reason"] == "missing"
    assert facts(place) == ["allowed_unverified", "deploying", "healthy"]
    assert "the pager rings" in place.run("history", "--environment", "staging").stdout
    entry = place.json("history", "--environment", "staging")[2]
    assert (entry["fact"]["sha"], entry["fact"]["signature_reason"]) == (unsigned, "missing")


def test_no_glass_is_broken_where_nothing_would_be_refused(place: Site) -> None:
    good, unsigned = released(place), released(place, signed_by=None)
    assert deploy(place, good, *GLASS, "--dry-run")["allowed_for"] is None
    deploy(place, good, *GLASS)
    deploy(place, unsigned, *GLASS, env=TRUSTING)
    assert "allowed_unverified" not in facts(place)


@pytest.mark.parametrize(
    "options",
    [
        ("--allow-unverified",),
        ("--allow-unverified", "--reason", " "),
        ("--allow-unverified", "--reason", "ci says so", "--automatic"),
    ],
)
def test_the_glass_is_broken_by_a_person_for_a_reason(place: Site, options: tuple[str, ...]) -> None:
    assert refusal(place, "deploy", "a" * 40, *options)["status"] == 2
    assert facts(place) == []


def test_what_cannot_be_determined_is_no_verdict_and_no_glass_helps(place: Site) -> None:
    unsigned = released(place, signed_by=None)
    signed = released(place)
    for env in (MANDATORY | UNREADABLE_ROOT, UNREADABLE_ROOT):
        error = refusal(place, "deploy", signed, *GLASS, env=env)
        assert (error["code"], error["status"]) == ("SOFT_VERIFY_TOOL_ERROR", 16)
    assert facts(place) == ["stopped", "stopped"]
    deploy(place, unsigned, *GLASS)


@pytest.mark.parametrize(
    ("when", "fact"),
    [("before", "allowed_unverified"), ("after", "allowed_unverified"), ("after", "deploying")],
)
def test_a_broken_glass_survives_a_kill(place: Site, when: Any, fact: str) -> None:
    """However far it came: nothing unverified is at work without a word for it, and a re-run completes."""
    unsigned = released(place, signed_by=None)
    command = ("deploy", "--sha", unsigned, "--env", "staging", *GLASS)
    config = (place.folder / "immutag.toml").read_text()
    (place.folder / "immutag.toml").write_text(
        config + '[trust]\nverification = "mandatory"\npublic_keys = ["ours.pub"]\n'
    )
    assert place.run_killed(*command, when=when, fact=fact).returncode == -signal.SIGKILL
    told = facts(place)
    assert "allowed_unverified" in told or "deploying" not in told
    assert place.run(*command).returncode == 0
    assert facts(place)[-1] == "healthy" or "restored" in facts(place)
    assert place.json("status", "staging")[0]["image_sha"] == unsigned


# Auto.


def test_auto_becomes_mandatory_with_the_thirtieth_and_never_goes_back(place: Site) -> None:
    history(place, 28)
    first, second, unsigned = released(place), released(place), released(place, signed_by=None)
    deploy(place, first, env=AUTO)
    (before,) = valid("policy-status", place.json("policy", "status", env=AUTO))
    assert (before["in_force"], before["figures"]["deployed"], before["since"]) == ("soft", 29, None)
    assert before["lacking"] == ["1 more distinct SHAs deployed (29 of 30)"]
    deploy(place, second, env=AUTO)
    assert facts(place)[-3:] == ["deploying", "healthy", "mandatory"]
    assert refusal(place, "deploy", unsigned, env=AUTO)["code"] == "POLICY_VIOLATION"
    (after,) = valid("policy-status", place.json("policy", "status", "--environment", "staging", env=AUTO))
    assert after["in_force"] == "mandatory"
    assert after["decided_by"] == {"deployed": 30, "signed": 30, "checks": 30, "failures": 0}
    deploy(place, unsigned, env=TRUSTING)  # a person has set it to soft
    assert (
        refusal(place, "rollback", first, env={**AUTO, "IMMUTAG_TRUST_PUBLIC_KEYS": "other.pub"})["status"]
        == 14
    )
    assert facts(place).count("mandatory") == 1
    assert "mandatory since" in place.run("policy", "status", env=AUTO).stdout
    assert "30 of 30 signed, 0 of 30 failed" in place.run("history", "--limit", "50").stdout


def test_a_kill_before_the_decision_is_told_changes_only_when_it_is(place: Site) -> None:
    history(place, 29)
    good, unsigned = released(place), released(place, signed_by=None)
    config = (place.folder / "immutag.toml").read_text()
    (place.folder / "immutag.toml").write_text(
        config + '[trust]\nverification = "auto"\npublic_keys = ["ours.pub"]\n'
    )
    command = ("deploy", "--sha", good, "--env", "staging")
    assert place.run_killed(*command, when="before", fact="mandatory").returncode == -signal.SIGKILL
    assert facts(place)[-1] == "healthy"
    assert refusal(place, "deploy", unsigned, "--dry-run", env={})["code"] == "POLICY_VIOLATION"
    assert facts(place)[-1] == "healthy"
    assert refusal(place, "deploy", unsigned, env={})["code"] == "POLICY_VIOLATION"
    assert facts(place)[-2:] == ["mandatory", "stopped"]


def test_nothing_becomes_mandatory_by_itself_where_auto_is_not_set(place: Site) -> None:
    history(place, 30)
    deploy(place, released(place), env=TRUSTING)
    assert "mandatory" not in facts(place)
    (status,) = place.json("policy", "status", env=TRUSTING)
    assert (status["verification"], status["reached"], status["in_force"]) == ("soft", True, "soft")
    assert "never by itself" in place.run("policy", "status", env=TRUSTING).stdout


# What a rule would have refused.


def test_the_last_deployments_are_verified_again_by_any_rule(place: Site) -> None:
    good, by_other, unsigned = (
        released(place),
        released(place, signed_by="other"),
        released(place, signed_by=None),
    )
    for sha in (good, by_other, unsigned):
        deploy(place, sha, env=TRUSTING)
    before = place.facts()
    found = valid("policy-simulation", place.json("policy", "simulate", env=TRUSTING))
    assert {name: found[name] for name in ("deployments", "allowed", "refused", "undetermined")} == {
        "deployments": 3, "allowed": 1, "refused": 2, "undetermined": 0,
    }  # fmt: skip
    assert [(each["image_sha"], each["verdict"], each["signature_reason"]) for each in found["replayed"]] == [
        (unsigned, "refused", "missing"),
        (by_other, "refused", "key_not_found"),
        (good, "allowed", "n/a"),
    ]
    both = place.json("policy", "simulate", "--key", "ours.pub", "--key", "other.pub", "--last", "2")
    assert [each["verdict"] for each in both["replayed"]] == ["refused", "allowed"]
    person = ("--identity", "dev@example.com", "--issuer", "https://issuer.example")
    assert place.json("policy", "simulate", *person)["refused"] == 3
    unknown = place.run("--json", "policy", "simulate", env=UNREADABLE_ROOT)
    assert unknown.returncode == 16
    replayed = valid("policy-simulation", json.loads(unknown.stdout))["replayed"]
    assert [each["verdict"] for each in replayed] == ["refused", "refused", "undetermined"]
    assert place.facts() == before
    text = place.run("policy", "simulate", env=TRUSTING).stdout
    assert "1 allowed, 2 refused, 0 undetermined" in text


def test_half_an_identity_is_a_mistake(place: Site) -> None:
    assert place.error("policy", "simulate", "--identity", "dev@example.com")["status"] == 2
    assert place.error("policy", "simulate", "--env", "elsewhere")["code"] == "CONFIG_INVALID"


# The rule for others.


def test_the_rule_is_printed_for_others(place: Site) -> None:
    for enforcer, kind in (("kyverno", "ImageValidatingPolicy"), ("policy-controller", "ClusterImagePolicy")):
        text = place.run("policy", "render", enforcer, env=TRUSTING).stdout
        assert [yaml.safe_load(text)] == place.json("policy", "render", enforcer, env=TRUSTING)
        assert yaml.safe_load(text)["kind"] == kind
        assert (place.folder / "ours.pub").read_text() in str(yaml.safe_load(text)).replace("\\n", "\n")
    assert place.error("policy", "render", "cosign")["code"] == "CONFIG_INVALID"
    assert place.error("policy", "render", "gh", env=TRUSTING)["code"] == "CONFIG_INVALID"


PERSON = "dev@example.com"


def signed_by_cosign(place: Site, sigstore: Sigstore, tool: str, *options: object) -> str:
    """A release that only cosign has signed."""
    sha = released(place, signed_by=None)
    cosign = Peer(peer(tool), {"COSIGN_PASSWORD": ""})
    cosign("sign", "-y", *options, place.json("show", sha)["image"])
    return sha


def images(place: Site, sigstore: Sigstore) -> dict[str, tuple[str, bool]]:
    """Releases, and whether the rule of the test trusts who signed them."""
    folder = place.folder
    for name in ("ours", "other"):
        peers = Peer(peer("cosign"), {"COSIGN_PASSWORD": ""})
        peers(
            "import-key-pair",
            "--key",
            folder / f"{name}.key",
            "--output-key-prefix",
            folder / f"{name}-cosign",
        )
    keyless = ("--signing-config", sigstore.signing_config, "--trusted-root", sigstore.trusted_root)

    def by_identity(email: str) -> str:
        return signed_by_cosign(
            place, sigstore, "cosign", *keyless, "--identity-token", sigstore.token(email)
        )

    def by_key(name: str) -> str:
        key = ("--key", folder / f"{name}-cosign.key")
        return signed_by_cosign(place, sigstore, "cosign2", *key, "--tlog-upload=false")

    return {
        "our key": (released(place), True),
        "our key, by cosign 2": (by_key("ours"), True),
        "another key": (released(place, signed_by="other"), False),
        "another key, by cosign 2": (by_key("other"), False),
        "nobody": (released(place, signed_by=None), False),
        "our person": (by_identity(PERSON), True),
        "somebody whose name begins alike": (by_identity(f"{PERSON}.evil"), False),
    }


def test_cosign_by_the_rendered_rule_accepts_what_we_accept(place: Site, sigstore: Sigstore) -> None:
    person = f'{{ issuer = "{sigstore.issuer}", subject_regexp = "dev@example.com" }}'
    rule = {
        **TRUSTING,
        "IMMUTAG_TRUST_IDENTITIES": f"[{person}]",
        "IMMUTAG_TRUST_TRUSTED_ROOT": str(sigstore.trusted_root),
    }
    script = place.run("policy", "render", "cosign", env=rule).stdout
    path = f"{Path(peer('cosign')).parent}:{os.environ['PATH']}"
    for name, (sha, accepted) in images(place, sigstore).items():
        env = {**os.environ, "PATH": path, "IMAGE": place.json("show", sha)["image"]}
        theirs = subprocess.run(
            ["sh", "-c", script], env=env, cwd=place.folder, capture_output=True, check=False
        )
        assert (theirs.returncode == 0) is accepted, (name, theirs.stderr)
        assert place.run("verify", sha, env=rule).returncode == (0 if accepted else 31), name
