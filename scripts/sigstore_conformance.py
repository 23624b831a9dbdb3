"""Verify a bundle as sigstore-conformance asks its clients to (its docs/cli_protocol.md), by our own checks.

    python -m scripts.sigstore_conformance verify-bundle [--staging] --bundle FILE
        (--certificate-identity ID --certificate-oidc-issuer URL | --key FILE) [--trusted-root FILE]
        FILE_OR_DIGEST

Exit status 0 if somebody trusted vouches for the artifact, 1 if not, 2 for what the protocol has and we have
not: signing, Sigstore's staging, and bundles with a signature over bytes, which images never have.
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from immutag.core.errors import ImmutagError
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Digest, Repository
from immutag.trust.checks import Case, attested_by
from immutag.trust.judgement import Refused
from immutag.trust.root import RootOfTrust
from immutag.trust.rule import rule_of

NOWHERE = Repository.parse("example.com/an-artifact")
DONE, REFUSED, UNSUPPORTED = 0, 1, 2


def main(argv: Sequence[str]) -> int:
    options = _options(argv)
    if options.command != "verify-bundle" or options.staging:
        return _say("not supported", UNSUPPORTED)
    content = options.bundle.read_bytes()
    if _is_over_bytes(content):
        return _say("a signature over bytes is not supported", UNSUPPORTED)
    try:
        signer, statement = attested_by(content, _case(options))
    except Refused as refused:
        return _say(f"refused by {refused.check.value} ({refused.reason.value}): {refused.why}", REFUSED)
    except ImmutagError as error:
        return _say(f"{error.code}: {error.message}: {error.found}", REFUSED)
    return _say(f"{statement.predicate_type} by {signer}", DONE)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["verify-bundle", "sign-bundle"])
    parser.add_argument("--staging", action="store_true")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--certificate-identity")
    parser.add_argument("--certificate-oidc-issuer")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--trusted-root", type=Path)
    parser.add_argument("artifact")
    return parser.parse_args(argv)


def _case(options: argparse.Namespace) -> Case:
    identities = []
    if options.certificate_identity:
        issuer, subject = (
            Pattern(options.certificate_oidc_issuer or ""),
            Pattern(options.certificate_identity),
        )
        identities.append(IdentityRule(issuer, subject))
    rule = rule_of(
        public_keys=[options.key] if options.key else [],
        identities=identities,
        transparency_log=True,
        trusted_root=options.trusted_root,
    )
    root = RootOfTrust(options.trusted_root, os.environ)
    return Case(_digest(options.artifact), NOWHERE, rule, root.authorities)


def _digest(artifact: str) -> Digest:
    if re.fullmatch("sha256:[0-9a-f]{64}", artifact) and not Path(artifact).exists():
        return Digest(artifact)
    return Digest(f"sha256:{hashlib.sha256(Path(artifact).read_bytes()).hexdigest()}")


def _is_over_bytes(content: bytes) -> bool:
    try:
        return "messageSignature" in json.loads(content)
    except (ValueError, RecursionError, TypeError):
        return False


def _say(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
