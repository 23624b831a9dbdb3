"""The one trust rule of the configuration for Kubernetes' admission controllers. Pure.

Kyverno: an ImageValidatingPolicy (`policies.kyverno.io/v1`, of 1.17 and later); a ClusterPolicy with
`verifyImages` is deprecated since then. sigstore's policy-controller: a ClusterImagePolicy.
"""

import re
from collections.abc import Sequence

from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Repository
from immutag.trust.render import Rule, anchored
from immutag.trust.yaml import Value

_FULCIO = "https://fulcio.sigstore.dev"
_REKOR = "https://rekor.sigstore.dev"
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_OF_A_POD = ("containers", "initContainers", "ephemeralContainers")


def kyverno(rule: Rule, repositories: Sequence[Repository]) -> dict[str, Value]:
    """An ImageValidatingPolicy: pods with an image of these repositories run only if the rule accepts it."""
    names = [f"key{number}" for number in range(1, len(rule.keys) + 1)]
    attestors = [_kyverno_key(rule, name, key.pem) for name, key in zip(names, rule.keys, strict=True)]
    if rule.identities:
        names.append("identities")
        attestors.append(_kyverno_identities(rule))
    known = ", ".join(f"attestors.{name}" for name in names)
    return {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "ImageValidatingPolicy",
        "metadata": {"name": _name(repositories[0])},
        "spec": {
            "validationActions": ["Deny"],
            "failurePolicy": "Fail",
            "webhookConfiguration": {"timeoutSeconds": 30},
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["pods", "pods/ephemeralcontainers"],
                    }
                ]
            },
            "matchImageReferences": [
                {"glob": f"{name}{end}"}
                for repository in repositories
                for name in _spellings(repository)
                for end in ("", ":*", "@*")
            ],
            "attestors": attestors,
            "validations": [
                {
                    "expression": f"images.{kind}.map(image, verifyImageSignatures(image, [{known}]))"
                    ".all(accepted, accepted > 0)",
                    "message": f"nobody whom we trust has signed an image of the {kind}",
                }
                for kind in _OF_A_POD
            ],
        },
    }


def policy_controller(rule: Rule, repositories: Sequence[Repository]) -> dict[str, Value]:
    """A ClusterImagePolicy: in namespaces labelled for it, such an image runs only if the rule accepts it.

    An authority reads one form of signatures: of a key cosign's legacy one, as it knows no bundles of keys.
    """
    authorities = [
        _authority(rule, f"key-{number}", "legacy", {"key": {"data": key.pem}}, logged=rule.transparency_log)
        for number, key in enumerate(rule.keys, 1)
    ]
    if rule.identities:
        keyless: dict[str, Value] = {"url": _FULCIO, "identities": _identities(rule.identities)}
        authorities += [
            _authority(rule, f"identities-{form}", form, {"keyless": keyless}, logged=True)
            for form in ("bundle", "legacy")
        ]
    return {
        "apiVersion": "policy.sigstore.dev/v1beta1",
        "kind": "ClusterImagePolicy",
        "metadata": {"name": _name(repositories[0])},
        "spec": {
            "mode": "enforce",
            # no character of these globs ends a name, so other names that begin alike are covered too
            "images": [
                {"glob": f"{name}*"} for repository in repositories for name in _spellings(repository)[:1]
            ],
            "authorities": authorities,
        },
    }


def _authority(
    rule: Rule, name: str, form: str, signer: dict[str, Value], *, logged: bool
) -> dict[str, Value]:
    log: dict[str, Value] = {"ctlog": {"url": _REKOR} if logged else {}}
    source: dict[str, Value] = {"source": [{"oci": str(rule.signatures)}]} if rule.signatures else {}
    return {"name": name, **signer, **log, **source, "signatureFormat": form}


def _kyverno_key(rule: Rule, name: str, pem: str) -> dict[str, Value]:
    log: dict[str, Value] = {"url": _REKOR} if rule.transparency_log else {"insecureIgnoreTlog": True}
    return {"name": name, "cosign": {"key": {"data": pem}, "ctlog": log, **_kyverno_source(rule)}}


def _kyverno_identities(rule: Rule) -> dict[str, Value]:
    keyless: dict[str, Value] = {"identities": _identities(rule.identities)}
    return {
        "name": "identities",
        "cosign": {"keyless": keyless, "ctlog": {"url": _REKOR}, **_kyverno_source(rule)},
    }


def _kyverno_source(rule: Rule) -> dict[str, Value]:
    return {"source": {"repository": str(rule.signatures)}} if rule.signatures else {}


def _identities(identities: Sequence[IdentityRule]) -> list[Value]:
    """Both controllers write an identity alike."""
    return [{**_field("issuer", each.issuer), **_field("subject", each.subject)} for each in identities]


def _field(name: str, pattern: Pattern) -> dict[str, Value]:
    return {f"{name}RegExp" if pattern.regexp else name: anchored(pattern)}


def _spellings(repository: Repository) -> list[str]:
    """How a pod may write it: the names of Docker Hub may be shortened, and none may slip through."""
    if repository.host not in _DOCKER_HUB:
        return [str(repository)]
    paths = [repository.path, repository.path.removeprefix("library/")]
    return list(dict.fromkeys([f"{host}/{path}" for host in _DOCKER_HUB for path in paths] + paths))


def _name(repository: Repository) -> str:
    """A Kubernetes name for the policy of this repository."""
    path = re.sub(r"[^a-z0-9]+", "-", repository.path)
    return f"immutag-{path}"[:63].strip("-")
