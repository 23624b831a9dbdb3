"""The one trust rule of the configuration for sigstore's policy-controller, as a ClusterImagePolicy. Pure.

It reads no bundles of keys (so keys need cosign's legacy form), and where it looks at timestamps, it does not
ask for a log's proof as well.
"""

from collections.abc import Sequence

from immutag.core.values import Repository
from immutag.trust.enforcers.admission import REKOR, identity_fields, policy_name, spellings
from immutag.trust.enforcers.render import Rule
from immutag.trust.enforcers.trust_root import has_timestamps, trust_root
from immutag.trust.enforcers.yaml import Value

_FULCIO = "https://fulcio.sigstore.dev"


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
    private = {"trustRootRef": root} if rule.trusted_root else None
    log: dict[str, Value] = {"ctlog": private or {"url": REKOR}}
    source: dict[str, Value] = {"source": [{"oci": str(rule.signatures)}]} if rule.signatures else {}
    found: list[Value] = []
    for number, key in enumerate(rule.keys, 1):
        ctlog = log if rule.transparency_log else {"ctlog": {}}
        about = {"name": f"key-{number}", "signatureFormat": "legacy"}
        found.append({**about, "key": {"data": key.text}, **ctlog, **source})
    if not rule.identities:
        return found
    keyless: dict[str, Value] = {"url": _FULCIO, "identities": identity_fields(rule.identities)}
    times: dict[str, Value] = {}
    if private and rule.trusted_root:
        keyless |= private
        times = {"rfc3161timestamp": private} if has_timestamps(rule.trusted_root.text) else {}
    for form in ("bundle", "legacy"):
        about = {"name": f"identities-{form}", "signatureFormat": form}
        found.append({**about, "keyless": keyless, **log, **times, **source})
    return found
