"""What doctor says of signing, through the command line."""

import json
from collections.abc import Mapping

import pytest

from tests.parts.keys import a_key, private_pem, public_pem
from tests.parts.signing import SigningKey
from tests.parts.sigstore import Sigstore
from tests.parts.site import Site


def check(site: Site, name: str, env: Mapping[str, str]) -> tuple[str, str]:
    """The state of one check, and what it found."""
    checks = json.loads(site.run("--json", "doctor", env=env).stdout)["checks"]
    (found,) = [each for each in checks if each["check"] == name]
    return found["state"], found["found"]


def test_without_configuration_nothing_is_signed_and_nobody_trusted(site: Site) -> None:
    assert check(site, "signer", {}) == ("ok", "nothing is signed")
    assert check(site, "trust", {})[0] == "ok"


def test_a_key_and_its_public_half_are_ready(site: Site, ours: SigningKey) -> None:
    assert check(site, "signer", ours.env) == ("ok", str(ours.private))
    assert check(site, "trust", ours.env) == ("ok", "1 keys and 0 identities")


def test_signing_what_nobody_trusts_is_a_warning(site: Site, ours: SigningKey) -> None:
    ours.public.unlink()
    assert check(site, "trust", {"IMMUTAG_TRUST_KEY": str(ours.private)})[0] == "warning"


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("trust", {"IMMUTAG_TRUST_VERIFICATION": "mandatory"}),
        ("trust", {"IMMUTAG_TRUST_PUBLIC_KEYS": "none.pub"}),
        ("signer", {"IMMUTAG_TRUST_KEY": "none.key"}),
        ("root of trust", {"IMMUTAG_TRUST_TRUSTED_ROOT": "none.json"}),
    ],
)
def test_what_cannot_work_is_missing(site: Site, name: str, env: Mapping[str, str]) -> None:
    assert check(site, name, env)[0] == "missing"
    assert site.run("doctor", env=env).returncode == 22


@pytest.mark.slow
def test_a_log_that_the_key_is_not_for_is_told(site: Site, sigstore: Sigstore) -> None:
    folder = site.folder.parent
    env = {
        "IMMUTAG_LEDGER_ANCHOR_IN_REKOR": "true",
        "IMMUTAG_TRUST_SIGNING_CONFIG": str(sigstore.signing_config),
        "IMMUTAG_TRUST_TRUSTED_ROOT": str(sigstore.trusted_root),
    }
    state, found = check(site, "log of heads", env)
    assert (state, "there is no key" in found) == ("missing", True)
    for kind, expected in (("P-256", "ok"), ("Ed25519", "missing")):
        (folder / "own.key").write_bytes(private_pem(a_key(kind)))
        (folder / "own.pub").write_bytes(public_pem(a_key(kind)))
        with_key = {**env, "IMMUTAG_TRUST_KEY": str(folder / "own.key")}
        assert check(site, "log of heads", with_key)[0] == expected


def test_the_scanner_is_looked_for_where_sboms_are_made(site: Site) -> None:
    assert check(site, "sbom", {"IMMUTAG_SBOM_ENABLED": "true"})[0] == "ok"
