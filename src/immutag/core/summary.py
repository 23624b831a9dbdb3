"""A deployment or rollback as a SLSA verification summary: who vouched for what came to run, under which
rule, and how long the ledger was then. What each field means is in docs/reference/predicates.md.

It is made from the entries of the environment's stream alone, so the same act has one summary, whenever it
is signed.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from immutag._version import __version__
from immutag.core.annotations import REVISION
from immutag.core.facts import Deploying, Entry, Healthy, RolledBack, SignatureReason, SignatureStatus
from immutag.core.frozen import frozen
from immutag.core.policy import Enforcement
from immutag.core.provenance import LEDGER_HEAD
from immutag.core.statement import VERIFICATION_SUMMARY, Statement, Subject
from immutag.core.trust import IdentityRule
from immutag.core.values import Digest, ImageRef

TRUST_POLICY = "urn:immutag:trust-policy:v1"
DEPLOYMENT = "urn:immutag:deployment:v1"


@frozen()
class Policy:
    """The rule that a signature was held against. `keys` are the fingerprints of the trusted ones."""

    enforcement: Enforcement
    keys: tuple[str, ...]
    identities: tuple[IdentityRule, ...]
    transparency_log: bool

    def encode(self) -> bytes:
        """Its one JSON form, whose digest names it; the order in the configuration makes no difference."""
        document = {
            "verification": self.enforcement.value,
            "keys": sorted(self.keys),
            "identities": sorted(map(_rule, self.identities), key=json.dumps),
            "transparencyLog": self.transparency_log,
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


@frozen()
class Act:
    """A deployment or rollback that came to its end: its beginning, and the entry that ended it."""

    begun: Deploying
    ended: Entry
    fact: Healthy | RolledBack


def last_act(entries: Sequence[Entry]) -> Act | None:
    """The newest deployment or rollback of an environment that ended well."""
    begun, found = None, None
    for entry in entries:
        if isinstance(entry.fact, Deploying):
            begun = entry.fact
        elif isinstance(entry.fact, Healthy | RolledBack) and begun:
            found = Act(begun, entry, entry.fact)
    return found


def summary(
    act: Act, *, policy: Policy, verifier: str, inputs: Sequence[Digest], proved: bool, checkpoint: str | None
) -> Statement:
    """The statement about the digest that came to run.

    `verifier`: where this process runs (core/builder.py). `inputs`: the manifests of what vouched for it.
    `proved`: a trusted provenance said that it comes from this commit. `checkpoint`: the signed note of the
    ledger's head, where there is one.
    """
    fact, image = act.fact, ImageRef(act.fact.repository, act.fact.digest)
    passed = act.begun.signature_status is SignatureStatus.VERIFIED
    level = "SLSA_BUILD_LEVEL_1" if proved else "SLSA_BUILD_LEVEL_UNEVALUATED"
    encoded = policy.encode()
    predicate = {
        "verifier": {"id": verifier, "version": {"immutag": __version__}},
        "timeVerified": act.ended.time,
        "resourceUri": str(image),
        "policy": {
            "uri": TRUST_POLICY,
            "digest": {"sha256": hashlib.sha256(encoded).hexdigest()},
            "content": base64.b64encode(encoded).decode(),
        },
        "inputAttestations": [
            {"uri": f"{image.repository}@{each}", "digest": {each.algorithm: each.hex}} for each in inputs
        ],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": [level if passed else "FAILED"],
        "slsaVersion": "1.1",
        DEPLOYMENT: _deployment(act),
        LEDGER_HEAD: _head(act.ended, checkpoint),
    }
    subject = Subject(str(fact.repository), fact.digest, {REVISION: str(fact.sha)})
    return Statement((subject,), VERIFICATION_SUMMARY, predicate)


def _deployment(act: Act) -> Mapping[str, Any]:
    fact, begun = act.fact, act.begun
    reason = begun.signature_reason
    found = {
        "environment": str(fact.environment),
        "act": "rollback" if isinstance(fact, RolledBack) else "deploy",
        "sha": str(fact.sha),
        "previousSha": str(begun.previous_sha) if begun.previous_sha else None,
        "outcome": fact.outcome.value,
        "runningDigest": str(fact.running_digest) if fact.running_digest else None,
        "signatureReason": None if reason is SignatureReason.NOT_APPLICABLE else reason.value,
    }
    return {name: value for name, value in found.items() if value is not None}


def _head(ended: Entry, checkpoint: str | None) -> Mapping[str, Any]:
    found = {"size": ended.sequence, "hash": ended.hash}
    return {**found, "checkpoint": checkpoint} if checkpoint else found


def _rule(rule: IdentityRule) -> dict[str, object]:
    return {
        name: {"regexp" if pattern.regexp else "text": pattern.text}
        for name, pattern in (("issuer", rule.issuer), ("subject", rule.subject))
    }
