"""The trust rule as other tools are told it: the same signers, nobody else, and in words that they know."""

import base64
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Digest, ImageRef, Repository
from immutag.trust.checks import VOUCHING
from immutag.trust.enforcers.admission import REKOR
from immutag.trust.enforcers.kyverno import kyverno
from immutag.trust.enforcers.policy_controller import policy_controller
from immutag.trust.enforcers.render import (
    File,
    Rule,
    cosign_command,
    cosign_verify,
    gh_command,
    gh_verify,
    script,
)
from immutag.trust.enforcers.trust_root import trust_root
from immutag.trust.enforcers.yaml import write_yaml
from tests.parts.keys import a_key, public_pem

CANONICAL, STAGING = Repository("ghcr.io", "owner/api"), Repository("ghcr.io", "owner/api-staging")
BOTH = (CANONICAL, STAGING)
IMAGE = ImageRef(CANONICAL, Digest("sha256:" + "1" * 64))
GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/owner/api/.github/workflows/api-build.yml@refs/heads/main"
KEY = File(Path("cosign.pub"), public_pem(a_key()).decode())
OTHER = File(Path("the other.pub"), public_pem(a_key("P-384")).decode())
BY_GITHUB = IdentityRule(Pattern(GITHUB), Pattern(WORKFLOW))
BY_ANY_OF_OURS = IdentityRule(
    Pattern(GITHUB), Pattern(r"https://github\.com/owner/api/\.github/workflows/.+", regexp=True)
)
BY_A_PERSON = IdentityRule(Pattern(r"https://.*\.example", regexp=True), Pattern("dev@example.com"))
CERTIFICATE, LOG = b"a certificate", b"a log's key"
_LOG: dict[str, Any] = {
    "baseUrl": "https://log.example",
    "hashAlgorithm": "SHA2_256",
    "publicKey": {"rawBytes": base64.b64encode(LOG).decode()},
}
_AUTHORITY = {
    "subject": {"organization": "us", "commonName": "root"},
    "uri": "https://ca.example",
    "certChain": {"certificates": [{"rawBytes": base64.b64encode(CERTIFICATE).decode()}] * 2},
}
ROOT = json.dumps(
    {
        "certificateAuthorities": [_AUTHORITY],
        "tlogs": [_LOG],
        "ctlogs": [_LOG],
        "timestampAuthorities": [_AUTHORITY],
    }
)
PRIVATE = Rule((KEY,), (BY_GITHUB,), True, File(Path("root.json"), ROOT))
EVERYBODY = Rule((KEY, OTHER), (BY_GITHUB, BY_A_PERSON))


def test_a_rule_that_trusts_nobody_is_told_to_nobody() -> None:
    with pytest.raises(ConfigInvalid, match="no trust rule"):
        Rule((), ())


# Command lines.


def test_every_signer_has_a_cosign_command_of_its_own() -> None:
    commands = cosign_verify(EVERYBODY)
    assert commands == [
        ("cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true"),
        ("cosign", "verify", "--key", "the other.pub", "--insecure-ignore-tlog=true"),
        (
            "cosign", "verify", "--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", GITHUB,
        ),
        (
            "cosign", "verify", "--certificate-identity", "dev@example.com",
            "--certificate-oidc-issuer-regexp", r"^(?:https://.*\.example)$",
        ),
    ]  # fmt: skip
    assert cosign_command(IMAGE, EVERYBODY).count(" || ") == 3
    assert shlex.split(cosign_command(IMAGE, EVERYBODY).split(" || ")[1]) == [*commands[1], str(IMAGE)]


def test_a_log_is_ignored_only_where_the_rule_needs_none() -> None:
    logged = cosign_verify(Rule((KEY,), (BY_GITHUB,), transparency_log=True))
    assert not [argv for argv in logged if "--insecure-ignore-tlog=true" in argv]


def test_what_the_registry_and_the_root_need_is_in_every_command() -> None:
    rule = Rule(
        (KEY,),
        (BY_GITHUB,),
        False,
        File(Path("root.json"), ROOT),
        STAGING,
        plain_http=True,
        ca=Path("our ca.pem"),
    )
    for argv in cosign_verify(rule):
        assert argv[-5:] == (
            "--trusted-root", "root.json", "--allow-http-registry", "--registry-cacert", "our ca.pem",
        )  # fmt: skip
    for line in cosign_command(IMAGE, rule).split(" || "):
        assert line.startswith(f"COSIGN_REPOSITORY={STAGING} cosign verify ")


def test_a_pattern_that_must_match_all_here_must_match_all_there() -> None:
    """cosign's and the controllers' expressions search, so `a|b` and a prefix would let more through."""
    either = IdentityRule(Pattern("a|b", regexp=True), Pattern("ci@example.com|ops", regexp=True))
    (argv,) = cosign_verify(Rule((), (either,)))
    subject = argv[argv.index("--certificate-identity-regexp") + 1]
    for text in ("ci@example.com", "ops", "xops", "opsx", "ci@example.com.evil", ""):
        assert bool(re.search(subject, text)) is either.subject.matches(text)


@pytest.mark.parametrize(
    ("identity", "place"),
    [
        (BY_GITHUB, ("--repo", "owner/api")),
        (BY_ANY_OF_OURS, ("--repo", "owner/api")),
        (
            IdentityRule(Pattern(GITHUB), Pattern("^https://github.com/my-org/.*", True)),
            ("--owner", "my-org"),
        ),
        (IdentityRule(Pattern(GITHUB), Pattern("https://github.com/(a|b)/c/.*", True)), None),
        (IdentityRule(Pattern(GITHUB), Pattern("https://github.com/a/b/x|https://e/.*", True)), None),
        (IdentityRule(Pattern(GITHUB), Pattern("https://github.com.evil/a/b/x")), None),
        (IdentityRule(Pattern(GITHUB, True), Pattern(WORKFLOW)), None),
        (IdentityRule(Pattern("https://gitlab.com"), Pattern(WORKFLOW)), None),
        (BY_A_PERSON, None),
    ],
)
def test_gh_is_told_of_workflows_of_one_repository_or_owner(
    identity: IdentityRule, place: tuple[str, str] | None
) -> None:
    found = gh_verify(Rule((), (identity,)))
    assert [argv[4:6] for argv in found] == ([place] if place else [])
    assert (gh_command(IMAGE, Rule((), (identity,))) is None) is (place is None)


def test_gh_checks_the_exact_identity_too() -> None:
    command = gh_command(IMAGE, EVERYBODY)
    assert command == (
        f"gh attestation verify --bundle-from-oci --repo owner/api --cert-identity {WORKFLOW}"
        f" --cert-oidc-issuer {GITHUB} oci://{IMAGE}"
    )


def test_gh_knows_no_keys_and_no_other_place() -> None:
    assert gh_command(IMAGE, Rule((KEY,), ())) is None
    assert gh_command(IMAGE, Rule((), (BY_GITHUB,), signatures=STAGING)) is None


def test_a_script_is_of_lines_of_which_one_must_succeed() -> None:
    lines = script(cosign_verify(EVERYBODY), EVERYBODY).splitlines()
    assert lines[0].startswith("# IMAGE")
    assert [line.endswith(' "$IMAGE" ||') for line in lines[1:]] == [True, True, True, False]


@given(st.text(min_size=1).filter(str.strip), st.text(min_size=1).filter(str.strip))
def test_no_text_of_a_rule_leaves_its_argument(subject: str, issuer: str) -> None:
    identity = IdentityRule(Pattern(issuer), Pattern(subject))
    line = cosign_command(IMAGE, Rule((), (identity,)))
    assert shlex.split(line)[3::2] == [subject, issuer] or " || " in subject + issuer


# Admission controllers.


def documents(found: Any) -> list[Any]:
    """As they are read by who knows nothing of our types."""
    return list(found)


def attestors(found: Any) -> dict[str, Any]:
    (policy,) = found
    return {each["name"]: each["cosign"] for each in policy["spec"]["attestors"]}


def test_kyverno_asks_for_any_signer_of_every_kind_of_container() -> None:
    (policy,) = documents(kyverno(EVERYBODY, BOTH))
    assert (policy["apiVersion"], policy["kind"]) == ("policies.kyverno.io/v1", "ImageValidatingPolicy")
    expressions = [each["expression"] for each in policy["spec"]["validations"]]
    for kind, expression in zip(
        ("containers", "initContainers", "ephemeralContainers"), expressions, strict=True
    ):
        assert expression.startswith(
            f"images.{kind}.map(image, verifyImageSignatures(image, [attestors.key1,"
        )
        assert expression.endswith(".all(accepted, accepted > 0)")
    named = set(re.findall(r"attestors\.(\w+)", " ".join(expressions)))
    assert named == set(attestors([policy])) == {"key1", "key2", "identity1", "identity2"}
    assert policy["spec"]["validationActions"] == ["Deny"]
    assert policy["spec"]["failurePolicy"] == "Fail"


def test_kyverno_trusts_what_the_rule_trusts() -> None:
    found = attestors(kyverno(EVERYBODY, BOTH))
    assert [found[name]["key"]["data"] for name in ("key1", "key2")] == [KEY.text, OTHER.text]
    assert found["key1"]["ctlog"] == {"insecureIgnoreTlog": True}
    assert [found[name]["keyless"]["identities"] for name in ("identity1", "identity2")] == [
        [{"issuer": GITHUB, "subject": WORKFLOW}],
        [{"issuerRegExp": r"^(?:https://.*\.example)$", "subject": "dev@example.com"}],
    ]
    assert found["identity1"]["ctlog"] == found["identity2"]["ctlog"] == {"url": REKOR}
    logged = attestors(kyverno(Rule((KEY,), (), transparency_log=True), BOTH))
    assert "insecureIgnoreTlog" not in logged["key1"]["ctlog"]
    assert set(attestors(kyverno(Rule((KEY,), ()), BOTH))) == {"key1"}
    assert set(attestors(kyverno(Rule((), (BY_GITHUB,)), BOTH))) == {"identity1"}


def covered(globs: list[str], reference: str) -> bool:
    """Kyverno's globs: `*` is anything."""
    return any(re.fullmatch(re.escape(glob).replace(r"\*", ".*"), reference) for glob in globs)


@pytest.mark.parametrize("end", ["", ":latest", f"@{IMAGE.digest}", f":v1@{IMAGE.digest}"])
def test_kyverno_covers_every_way_to_name_our_images_and_no_others(end: str) -> None:
    (policy,) = documents(kyverno(EVERYBODY, BOTH))
    globs = [each["glob"] for each in policy["spec"]["matchImageReferences"]]
    assert covered(globs, f"{CANONICAL}{end}")
    assert covered(globs, f"{STAGING}{end}")
    assert not covered(globs, f"{CANONICAL}-other{end}")
    assert not covered(globs, f"ghcr.io/owner{end}")


def test_the_short_names_of_docker_hub_are_covered() -> None:
    (policy,) = documents(kyverno(EVERYBODY, (Repository("docker.io", "library/api"),)))
    globs = [each["glob"] for each in policy["spec"]["matchImageReferences"]]
    for name in ("api:1", "library/api:1", "docker.io/api:1", "index.docker.io/library/api:1"):
        assert covered(globs, name)


def test_policy_controller_takes_any_signer_in_the_forms_that_it_can_read() -> None:
    """Of keys it reads no bundles, and a bundle by one identity only, as an attestation of one type."""
    (policy,) = documents(policy_controller(EVERYBODY, BOTH))
    assert policy["apiVersion"] == "policy.sigstore.dev/v1beta1"
    assert policy["spec"]["mode"] == "enforce"
    authorities = {each["name"]: each for each in policy["spec"]["authorities"]}
    forms = {name: each["signatureFormat"] for name, each in authorities.items()}
    assert forms == {
        "key-1": "legacy", "key-2": "legacy",
        "identity-1-signature": "bundle", "identity-1-provenance": "bundle",
        "identity-1-provenance-v02": "bundle",
        "identity-2-signature": "bundle", "identity-2-provenance": "bundle",
        "identity-2-provenance-v02": "bundle",
        "identities-legacy": "legacy",
    }  # fmt: skip
    assert authorities["key-2"]["key"] == {"data": OTHER.text}
    assert authorities["key-1"]["ctlog"] == {}
    github, person = authorities["identities-legacy"]["keyless"]["identities"]
    assert github == {"issuer": GITHUB, "subject": WORKFLOW}
    for name, identity in (("identity-1", github), ("identity-2", person)):
        bundles = [each for each in authorities.values() if each["name"].startswith(name)]
        assert [each["keyless"]["identities"] for each in bundles] == [[identity]] * 3
        asked = [each["attestations"] for each in bundles]
        assert tuple(each["predicateType"] for (each,) in asked) == VOUCHING
    assert authorities["identity-1-signature"]["ctlog"] == {"url": REKOR}


def test_policy_controller_covers_digests_of_both_repositories() -> None:
    (policy,) = documents(policy_controller(EVERYBODY, BOTH))
    globs = [each["glob"] for each in policy["spec"]["images"]]
    for glob in globs:
        assert re.fullmatch(r"[a-zA-Z0-9_:/*.-]+", glob)  # all that its globs may hold
    for name in (CANONICAL, STAGING):
        assert any(re.fullmatch(glob.replace("*", "[^/]*"), f"{name}@{IMAGE.digest}") for glob in globs)


def test_signatures_elsewhere_are_looked_for_there() -> None:
    rule = Rule((KEY,), (BY_GITHUB,), signatures=STAGING)
    assert [each["source"] for each in attestors(kyverno(rule, BOTH)).values()] == [
        {"repository": str(STAGING)}
    ] * 2
    (policy,) = documents(policy_controller(rule, BOTH))
    assert {each["source"][0]["oci"] for each in policy["spec"]["authorities"]} == {str(STAGING)}


def test_a_private_sigstore_is_told_kyverno_whole() -> None:
    for each in attestors(kyverno(PRIVATE, BOTH)).values():
        assert each["trustedRoot"] == {"value": ROOT}
        assert each["ctlog"] == {"url": "https://log.example"}


def test_kyverno_always_has_a_log_to_name() -> None:
    """It refuses an attestor whose log has no URL."""
    root = json.dumps({name: each for name, each in json.loads(ROOT).items() if name != "tlogs"})
    found = attestors(kyverno(Rule((), (BY_GITHUB,), trusted_root=File(Path("x"), root)), BOTH))
    assert found["identity1"]["ctlog"] == {"url": REKOR}


def test_a_private_sigstore_is_a_trust_root_for_policy_controller() -> None:
    root, policy = documents(policy_controller(PRIVATE, BOTH))
    assert root["kind"] == "TrustRoot"
    name, keys = root["metadata"]["name"], root["spec"]["sigstoreKeys"]
    assert {kind: len(each) for kind, each in keys.items()} == {
        "certificateAuthorities": 1, "tLogs": 1, "ctLogs": 1, "timestampAuthorities": 1,
    }  # fmt: skip
    chain = base64.b64decode(keys["certificateAuthorities"][0]["certChain"]).decode()
    assert [base64.b64decode(each) for each in re.findall(r"CERTIFICATE-----\n(.+)\n-----END", chain)] == [
        CERTIFICATE,
        CERTIFICATE,
    ]
    assert keys["tLogs"][0]["hashAlgorithm"] == "sha-256"
    for authority in policy["spec"]["authorities"]:
        # without a URL it would be dropped, and no log's proof be asked for
        assert authority["ctlog"] == {"url": "https://log.example", "trustRootRef": name}
        if "keyless" in authority:
            assert authority["keyless"]["trustRootRef"] == name
        assert "rfc3161timestamp" not in authority  # it would ask for no log's proof any more


def test_policy_controller_is_told_of_no_log_that_makes_it_refuse_the_root() -> None:
    second = {**_LOG, "publicKey": {**_LOG["publicKey"], "keyDetails": "PKIX_ED25519"}}
    text = json.dumps({**json.loads(ROOT), "tlogs": [second, {**_LOG, "baseUrl": "https://first.example"}]})
    (log,) = documents([trust_root("us", text)])[0]["spec"]["sigstoreKeys"]["tLogs"]
    assert log["baseURL"] == "https://first.example"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"certificateAuthorities": [{}]}', f"{ROOT}\n{ROOT}"])
def test_what_is_no_trusted_root_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        policy_controller(Rule((KEY,), (), trusted_root=File(Path("x"), text)), BOTH)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["certificateAuthorities", "tlogs", "subject", "certChain", "certificates", "rawBytes"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_no_trusted_root_is_an_unforeseen_error(document: object) -> None:
    try:
        trust_root("x", json.dumps(document))
    except ConfigInvalid as error:
        assert error.remedy


@pytest.mark.parametrize("path", ["owner/api", "a" * 100, "a__b.c/d", f"o/{'x' * 46}-y/z"])
def test_a_policy_has_a_name_that_kubernetes_takes(path: str) -> None:
    (policy,) = documents(kyverno(EVERYBODY, (Repository("ghcr.io", path),)))
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", policy["metadata"]["name"])


# YAML.

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES: Any = st.recursive(
    TEXTS
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.sampled_from(["no", "1", "a: b", "- x", "#", "a\nb\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=3))
def test_another_reader_of_yaml_finds_what_was_written(document: dict[str, Any]) -> None:
    assert (yaml.safe_load(write_yaml(document)) or {}) == document


@pytest.mark.parametrize("make", [kyverno, policy_controller])
def test_a_policy_is_yaml_with_its_keys_as_blocks(make: Any) -> None:
    found = make(EVERYBODY, BOTH)
    text = write_yaml(*found)
    assert list(yaml.safe_load_all(text)) == found
    assert "\n            -----BEGIN PUBLIC KEY-----\n" in text or "\n          -----BEGIN" in text
