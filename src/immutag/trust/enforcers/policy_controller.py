"""The one trust rule of the configuration for sigstore's policy-controller, as a ClusterImagePolicy. Pure.

As of its version 0.13.1. It reads no bundles of keys, so keys need cosign's legacy form. It takes a bundle
for an attestation, never for a signature, and only by one identity. Where it is told of timestamps it asks
for no log's proof any more, so it is not told of them. Nor does it ask where a `ctlog` has no URL: it is
dropped, also if it names a root.
"""

from collections.abc import Sequence

from immutag.core.statement import COSIGN_SIGN, SLSA_PROVENANCE, SLSA_PROVENANCE_V02
from immutag.core.values import Repository
from immutag.trust.enforcers.admission import REKOR, identity_fields, policy_name, spellings
from immutag.trust.enforcers.render import Rule
from immutag.trust.enforcers.trust_root import log_url, trust_root
from immutag.trust.enforcers.yaml import Value

_FULCIO = "https://fulcio.sigstore.dev"
_VOUCHING = {
    "signature": COSIGN_SIGN,
    "provenance": SLSA_PROVENANCE,
    "provenance-v02": SLSA_PROVENANCE_V02,
}


def policy_controller(rule: Rule, repositories: Sequence[Repository]) -> list[dict[str, Value]]:
    """The policy: in namespaces labelled for it, an image of these repositories runs only if the rule accepts
    it. Before it, the TrustRoot of a Sigstore that is not the public one."""
    name = policy_name(repositories[0])
    policy: dict[str, Value] = {
        "apiVersion": "policy.sigstore.dev/v1beta1",
        "kind": "ClusterImagePolicy",
        "metadata": {"name": name},
        "spec": {
            "mode": "enforce",
            # no character of its globs ends a name, so other names that begin alike are covered too
            "images": [{"glob": f"{spellings(each)[0]}*"} for each in repositories],
            "authorities": _authorities(rule, name),
        },
    }
    return [trust_root(name, rule.trusted_root.text), policy] if rule.trusted_root else [policy]


def _authorities(rule: Rule, root: str) -> list[Value]:
    """Any of them accepts an image; each reads one form of signatures."""
    private: dict[str, Value] = {"trustRootRef": root} if rule.trusted_root else {}
    url = log_url(rule.trusted_root.text) if rule.trusted_root else None
    log: dict[str, Value] = {"ctlog": {"url": url or REKOR, **private}}
    source: dict[str, Value] = {"source": [{"oci": str(rule.signatures)}]} if rule.signatures else {}
    found: list[Value] = []
    for number, key in enumerate(rule.keys, 1):
        ctlog = log if rule.transparency_log else {"ctlog": {}}
        about = {"name": f"key-{number}", "signatureFormat": "legacy"}
        found.append({**about, "key": {"data": key.text}, **ctlog, **source})
    identities = identity_fields(rule.identities)
    for number, identity in enumerate(identities, 1):
        keyless = {"url": _FULCIO, "identities": [identity], **private}
        for kind, predicate_type in _VOUCHING.items():
            about = {"name": f"identity-{number}-{kind}", "signatureFormat": "bundle"}
            wanted = {"attestations": [{"name": kind, "predicateType": predicate_type}]}
            found.append({**about, "keyless": keyless, **wanted, **log, **source})
    if identities:
        about = {"name": "identities-legacy", "signatureFormat": "legacy"}
        keyless = {"url": _FULCIO, "identities": identities, **private}
        found.append({**about, "keyless": keyless, **log, **source})
    return found
