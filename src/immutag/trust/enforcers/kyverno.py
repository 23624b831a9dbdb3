"""The one trust rule of the configuration for Kyverno, as an ImageValidatingPolicy. Pure.

That kind is stable since 1.17; a ClusterPolicy with `verifyImages` is deprecated since then. `trustedRoot`,
for a Sigstore that is not the public one, came later: older ones do not know the field. As of 1.19.1: of an
attestor with two identities it takes no bundle, and a `ctlog` must have the URL of a log, or need none.
"""

from collections.abc import Sequence

from immutag.core.values import Repository
from immutag.trust.enforcers.admission import REKOR, identity_fields, policy_name, spellings
from immutag.trust.enforcers.render import Rule
from immutag.trust.enforcers.trust_root import log_url
from immutag.trust.enforcers.yaml import Value

_OF_A_POD = ("containers", "initContainers", "ephemeralContainers")


def kyverno(rule: Rule, repositories: Sequence[Repository]) -> list[dict[str, Value]]:
    """The policy: pods with an image of these repositories run only if the rule accepts it."""
    attestors = _attestors(rule)
    return [
        {
            "apiVersion": "policies.kyverno.io/v1",
            "kind": "ImageValidatingPolicy",
            "metadata": {"name": policy_name(repositories[0])},
            "spec": {
                "validationActions": ["Deny"],
                "failurePolicy": "Fail",
                "webhookConfiguration": {"timeoutSeconds": 30},
                "matchConstraints": {"resourceRules": [_PODS]},
                "matchImageReferences": _references(repositories),
                "attestors": [{"name": name, "cosign": cosign} for name, cosign in attestors.items()],
                "validations": [_validation(kind, list(attestors)) for kind in _OF_A_POD],
            },
        }
    ]


_PODS: dict[str, Value] = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["pods", "pods/ephemeralcontainers"],
}


def _references(repositories: Sequence[Repository]) -> list[Value]:
    """Every way to name an image of these: without anything, by a tag, by a digest."""
    names = [name for repository in repositories for name in spellings(repository)]
    return [{"glob": f"{name}{end}"} for name in names for end in ("", ":*", "@*")]


def _validation(kind: str, attestors: Sequence[str]) -> dict[str, Value]:
    """Of each image, one of the attestors' signatures at least."""
    known = ", ".join(f"attestors.{name}" for name in attestors)
    return {
        "expression": f"images.{kind}.map(image, verifyImageSignatures(image, [{known}]))"
        ".all(accepted, accepted > 0)",
        "message": f"nobody whom we trust has signed an image of the {kind}",
    }


def _attestors(rule: Rule) -> dict[str, dict[str, Value]]:
    """By names that an expression can hold. `ctlog` is always written: some versions take it for granted."""
    log: dict[str, Value] = {"url": REKOR}
    unlogged: dict[str, Value] = {"insecureIgnoreTlog": True}
    common: dict[str, Value] = {}
    if rule.trusted_root:
        log = {"url": log_url(rule.trusted_root.text) or REKOR}
        common = {"trustedRoot": {"value": rule.trusted_root.text.strip()}}
    if rule.signatures:
        common["source"] = {"repository": str(rule.signatures)}
    found: dict[str, dict[str, Value]] = {}
    for number, key in enumerate(rule.keys, 1):
        ctlog = log if rule.transparency_log else unlogged
        found[f"key{number}"] = {"key": {"data": key.text}, "ctlog": ctlog, **common}
    for number, identity in enumerate(identity_fields(rule.identities), 1):
        found[f"identity{number}"] = {"keyless": {"identities": [identity]}, "ctlog": log, **common}
    return found
