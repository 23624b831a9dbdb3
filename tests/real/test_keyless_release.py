"""A release that is signed keyless, as a workflow, against a real Sigstore (DR-018)."""

from collections.abc import Mapping

import pytest

from tests.parts.peers import Peer
from tests.parts.programs import peer
from tests.parts.sigstore import Sigstore
from tests.parts.site import Site

pytestmark = pytest.mark.slow


def workflow(sigstore: Sigstore) -> Mapping[str, str]:
    """What a job of the main branch has, trusting itself."""
    identity = f'{{ issuer = "{sigstore.workflow_issuer}", subject = "{sigstore.workflow()}" }}'
    return {
        **sigstore.workflow_environment(),
        "IMMUTAG_TRUST_KEYLESS": "true",
        "IMMUTAG_TRUST_TRUSTED_ROOT": str(sigstore.trusted_root),
        "IMMUTAG_TRUST_SIGNING_CONFIG": str(sigstore.signing_config),
        "IMMUTAG_TRUST_IDENTITIES": f"[{identity}]",
    }


def test_a_workflow_signs_its_release_once_and_cosign_accepts_it(site: Site, sigstore: Sigstore) -> None:
    env = workflow(sigstore)
    record = site.json("release", env=env)
    assert (record["signature_status"], record["signature_reason"]) == ("verified", "n/a")
    facts = site.facts()
    assert site.json("sign", site.sha, env=env)["signature_status"] == "verified"
    assert site.facts() == facts, "it found its own signature, and made no other"
    image = f"{site.repository}@{record['image_digest']}"
    cosign = Peer(peer("cosign"))
    said = ("--trusted-root", sigstore.trusted_root, "--certificate-oidc-issuer", sigstore.workflow_issuer)
    for subject, accepted in ((sigstore.workflow(), True), (sigstore.workflow("owner/other"), False)):
        argv = ("verify", *said, "--certificate-identity", subject, "--allow-http-registry", image)
        assert (cosign.run(*argv).returncode == 0) is accepted


def test_an_identity_is_not_used_where_the_configuration_does_not_say_keyless(
    site: Site, sigstore: Sigstore
) -> None:
    site.json("release")
    facts = site.facts()
    env = {name: text for name, text in workflow(sigstore).items() if name != "IMMUTAG_TRUST_KEYLESS"}
    refused = site.error("sign", site.sha, env=env)
    assert (refused["code"], refused["found"]) == ("CONFIG_INVALID", "none of them")
    assert site.facts() == facts


def test_somebody_elses_workflow_is_an_identity_mismatch(site: Site, sigstore: Sigstore) -> None:
    env = {**workflow(sigstore), **sigstore.workflow_environment("owner/other")}
    record = site.json("release", env=env)
    assert (record["signature_status"], record["signature_reason"]) == ("unverified", "identity_mismatch")


def test_without_an_identity_token_the_release_goes_on_unsigned(site: Site, sigstore: Sigstore) -> None:
    env = {name: text for name, text in workflow(sigstore).items() if name.startswith("IMMUTAG_")}
    record = site.json("release", env=env)
    assert record["signature_reason"] == "missing"
    assert "evidence_failed" in site.facts("release:")
