"""Side by side with other tools: what they see of ours, and what becomes of theirs."""

import json
import re
from typing import Any

import pytest

from immutag.core.values import Digest, ImageRef
from tests.parts.bench import NOBODY, PERSON, Bench
from tests.parts.peers import Peer

pytestmark = pytest.mark.slow

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
KEY = {"trust.key": "cosign.key"}
KEYLESS = {
    "trust.keyless": "true",
    "trust.signing_config": "signing_config.json",
    "trust.trusted_root": "trusted_root.json",
}
BY_KEY = "cosign verify --key cosign.pub --insecure-ignore-tlog --trusted-root trusted_root.json IMAGE"
KEYLESS_BY_COSIGN = (
    "cosign sign --identity-token TOKEN --signing-config signing_config.json"
    " --trusted-root trusted_root.json IMAGE"
)
VERSIONS = ("cosign 3", "cosign 2")


def discovered(oras: Peer, image: object) -> list[dict[str, Any]]:
    """What oras lists as referrers of the image."""
    found = json.loads(oras("discover", "--plain-http", "--format", "json", image))
    listed: list[dict[str, Any]] = found.get("referrers") or found.get("manifests") or []
    return listed


def test_oras_lists_what_was_attached(bench: Bench, oras: Peer) -> None:
    image = bench.release({**KEY, "provenance.enabled": "true", "sbom.enabled": "true"})
    listed = discovered(oras, image)
    said = sorted(
        (each["artifactType"], each.get("annotations", {}).get("dev.sigstore.bundle.predicateType"))
        for each in listed
    )
    assert said == [
        ("application/vnd.cyclonedx+json", None),
        (BUNDLE, "https://cyclonedx.org/bom"),
        (BUNDLE, "https://sigstore.dev/cosign/sign/v1"),
        (BUNDLE, "https://slsa.dev/provenance/v1"),
    ]


@pytest.mark.parametrize("settings", [KEY, KEYLESS], ids=["key", "keyless"])
def test_signing_again_attaches_nothing_more(bench: Bench, oras: Peer, settings: dict[str, str]) -> None:
    env = {"SIGSTORE_ID_TOKEN": bench.sigstore.token(PERSON)}
    image = bench.release({**settings, "provenance.enabled": "true"}, env)
    before = discovered(oras, image), bench.crane.tags(bench.repository)
    sha = next(tag for tag in before[1] if re.fullmatch("[0-9a-f]{40}", tag))
    bench.result("sign", sha, settings=settings, env=env)
    assert (discovered(oras, image), bench.crane.tags(bench.repository)) == before
    assert len(before[0]) == 2


def test_the_commit_is_signed_too(bench: Bench) -> None:
    """cosign 2 asks for annotations only in signatures of the old form."""
    image = bench.release(KEY)
    sha = next(tag for tag in bench.crane.tags(bench.repository) if len(tag) == 40)
    asked = BY_KEY.replace("IMAGE", "-a org.opencontainers.image.revision={} IMAGE")
    for version in VERSIONS:
        assert bench.cosign(version, asked.format(sha), image)
    assert not bench.cosign("cosign 3", asked.format("0" * 40), image)


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("version", "sign"),
    [
        ("cosign 3", "cosign sign --key other.key --signing-config no_services.json IMAGE"),
        ("cosign 2", "cosign sign --key other.key --tlog-upload=false --new-bundle-format IMAGE"),
    ],
    ids=["3", "2"],
)
def test_bundles_of_others_stay_beside_ours(bench: Bench, version: str, sign: str, first: bool) -> None:
    """In either order: each verifies by its own key, with every reader."""
    image = _signed_by_both(bench, version, sign, first=first)
    for reader in VERSIONS:
        assert bench.cosign(reader, BY_KEY, image)
        assert bench.cosign(reader, BY_KEY, image, **{"cosign.pub": "other.pub"})
    assert bench.verifies(image, {"trust.public_keys": "cosign.pub"})
    assert bench.verifies(image, {"trust.public_keys": "other.pub"})


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_an_old_signature_of_others_stays_and_cosign_has_to_be_told_to_look(
    bench: Bench, first: bool
) -> None:
    """cosign looks at nothing but bundles where there are some; cosign 3 can be told otherwise."""
    sign = "cosign sign --key other.key --tlog-upload=false IMAGE"
    image = _signed_by_both(bench, "cosign 2", sign, first=first)
    old = BY_KEY.replace("IMAGE", "--new-bundle-format=false IMAGE")
    found = {
        (reader, command): bench.cosign(reader, command, image, **{"cosign.pub": "other.pub"})
        for reader in VERSIONS
        for command in (BY_KEY, old)
    }
    assert [each for each, accepted in found.items() if accepted] == [("cosign 3", old)]
    assert bench.cosign("cosign 3", old, image)
    assert bench.verifies(image, {"trust.public_keys": "other.pub"})


def _signed_by_both(bench: Bench, version: str, sign: str, *, first: bool) -> ImageRef:
    """By us with cosign.key in both forms, and by cosign before that, or after it."""
    image = bench.image()
    assert not first or bench.cosign(version, sign, image)
    assert bench.release(KEY) == image
    assert first or bench.cosign(version, sign, image)
    return image


def test_a_workflow_signs_as_itself(bench: Bench) -> None:
    """By the identity that a CI gives a job, and a rule for all workflows of one repository."""
    env = bench.sigstore.workflow_environment("owner/api", sha="c" * 40)
    image = bench.release(KEYLESS, env)
    issuer = bench.sigstore.workflow_issuer
    by = (
        "cosign verify --certificate-identity {} --certificate-oidc-issuer {} --use-signed-timestamps"
        " --trusted-root trusted_root.json IMAGE"
    )
    for version in VERSIONS:
        assert bench.cosign(version, by.format(bench.sigstore.workflow("owner/api"), issuer), image)
        assert not bench.cosign(version, by.format(bench.sigstore.workflow("owner/other"), issuer), image)
    for repository, expected in (("owner/api", True), ("owner/ap", False)):
        pattern = f"https://github\\\\.com/{repository}/\\\\.github/workflows/.*"
        rule = f'[{{ issuer = "{issuer}", subject_regexp = "{pattern}" }}]'
        assert bench.verifies(image, {"trust.identities": rule}) is expected


def test_the_log_is_asked_for_where_the_rule_says_so(bench: Bench) -> None:
    logged = (
        "cosign sign --key cosign.key --signing-config signing_config.json"
        " --trusted-root trusted_root.json IMAGE"
    )
    rule = {"trust.public_keys": "cosign.pub", "trust.transparency_log": "true"}
    image = bench.image()
    assert bench.cosign(
        "cosign 3", "cosign sign --key cosign.key --signing-config no_services.json IMAGE", image
    )
    assert not bench.verifies(image, rule)
    assert bench.cosign("cosign 3", logged, image)
    assert bench.verifies(image, rule)


def test_a_certificate_without_a_log_is_refused(bench: Bench) -> None:
    """cosign can be told to leave the log out, and to accept that. We cannot."""
    image = bench.image()
    sign = (
        f"cosign sign --identity-token TOKEN --fulcio-url {bench.sigstore.fulcio} --insecure-skip-verify"
        f" --tlog-upload=false --timestamp-server-url {bench.sigstore.tsa}/api/v1/timestamp IMAGE"
    )
    assert bench.cosign("cosign 2", sign, image)
    rule = {
        "trust.identities": f'[{{ issuer = "{bench.sigstore.issuer}", subject = "{PERSON}" }}]',
        "trust.trusted_root": "trusted_root.json",
    }
    found = bench.immutag("--json", "verify", image, settings=rule)
    assert (found.returncode, json.loads(found.stdout)["signature_reason"]) == (31, "invalid"), found.stderr


@pytest.mark.parametrize(
    ("kind", "trusted", "accepted"),
    [
        ("public_keys", "cosign.pub", True),
        ("public_keys", '["other.pub", "cosign.pub"]', True),
        ("public_keys", "other.pub", False),
        ("identities", f'[{{ issuer = "ISSUER", subject = "{PERSON}" }}]', True),
        ("identities", '[{ issuer = "ISSUER", subject_regexp = "dev@.*[.]com" }]', True),
        ("identities", '[{ issuer_regexp = "http://.*", subject_regexp = "x|dev@example[.]com" }]', True),
        ("identities", f'[{{ issuer = "ISSUER", subject = "{NOBODY}" }}]', False),
        ("identities", '[{ issuer = "ISSUER", subject_regexp = "dev@example" }]', False),
        ("identities", f'[{{ issuer = "ISSUER/github", subject = "{PERSON}" }}]', False),
    ],
)
@pytest.mark.parametrize("bench", ["registry_referrers"], indirect=True)
def test_the_command_that_is_called_equal_is_equal(
    bench: Bench, kind: str, trusted: str, accepted: bool
) -> None:
    """What `verify --explain` prints is run, and says what we say: of a signed image, and an unsigned one."""
    signed = bench.release(KEY)
    assert bench.cosign("cosign 3", KEYLESS_BY_COSIGN, signed)
    bench.crane("mutate", signed, "--label", "a=b", "--tag", f"{signed.repository}:unsigned")
    unsigned = ImageRef(signed.repository, Digest(bench.crane.digest(f"{signed.repository}:unsigned")))
    rule = {
        f"trust.{kind}": trusted.replace("ISSUER", bench.sigstore.issuer),
        "trust.trusted_root": "trusted_root.json",
    }
    for image, expected in ((signed, accepted), (unsigned, False)):
        found = bench.immutag("--json", "verify", image, "--explain", settings=rule)
        commands = json.loads(found.stdout)["explained"]["commands"]
        cosign = [command for command in commands if "cosign" in command]
        assert [bench.shell(command) for command in cosign] == [expected], found.stdout
        assert found.returncode == (0 if expected else 31), found.stderr
