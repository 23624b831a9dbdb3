"""What the admission controllers of Kubernetes say alike about the one trust rule. Pure.

Theirs: `kyverno`, `policy_controller`.
"""

import re
from collections.abc import Sequence

from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Repository
from immutag.trust.enforcers.render import anchored
from immutag.trust.enforcers.yaml import Value

REKOR = "https://rekor.sigstore.dev"
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


def identity_fields(identities: Sequence[IdentityRule]) -> list[Value]:
    """Identities of certificates, any of which will do."""
    return [{**_field("issuer", each.issuer), **_field("subject", each.subject)} for each in identities]


def _field(name: str, pattern: Pattern) -> dict[str, Value]:
    return {f"{name}RegExp" if pattern.regexp else name: anchored(pattern)}


def spellings(repository: Repository) -> list[str]:
    """How a pod may write it: the names of Docker Hub may be shortened, and none may slip through."""
    if repository.host not in _DOCKER_HUB:
        return [str(repository)]
    paths = [repository.path, repository.path.removeprefix("library/")]
    return list(dict.fromkeys([f"{host}/{path}" for host in _DOCKER_HUB for path in paths] + paths))


def policy_name(repository: Repository) -> str:
    """A Kubernetes name for the policy of this repository."""
    path = re.sub(r"[^a-z0-9]+", "-", repository.path)
    return f"immutag-{path}"[:63].strip("-")
