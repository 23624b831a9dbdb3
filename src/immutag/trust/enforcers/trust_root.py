"""A trusted root as policy-controller's TrustRoot, for a Sigstore that is not the public one. Pure."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown
from immutag.oci.manifest import load
from immutag.trust.enforcers.yaml import Value

T = TypeVar("T")
_HASHES = {"SHA2_256": "sha-256", "SHA2_384": "sha-384", "SHA2_512": "sha-512"}


def trust_root(name: str, text: str) -> dict[str, Value]:
    """The resource. Raises ConfigInvalid for what is not exactly one trusted root."""
    return {
        "apiVersion": "policy.sigstore.dev/v1alpha1",
        "kind": "TrustRoot",
        "metadata": {"name": name},
        "spec": {"sigstoreKeys": _read(text, _keys)},
    }


def log_url(text: str) -> str | None:
    """Where the first of the root's logs of signatures is, if it has any. Raises ConfigInvalid."""
    return _read(text, lambda root: next((str(each["baseUrl"]) for each in root.get("tlogs", [])), None))


def _read(text: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    document = load(text.encode(), wrong=ConfigInvalid)
    try:
        return read(document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigInvalid(
            "the trusted root cannot be told others",
            expected="one Sigstore trusted root (JSON)",
            found=shown(f"{type(error).__name__}: {error}"),
            remedy="correct [trust] trusted_root",
        ) from None


def _keys(root: Mapping[str, Any]) -> dict[str, Value]:
    """One log with an Ed25519 key and policy-controller 0.13.1 refuses the whole root; it cannot read what
    such logs (Rekor v2) prove either."""
    return {
        "certificateAuthorities": [_authority(each) for each in root["certificateAuthorities"]],
        "tLogs": [_log(each) for each in root.get("tlogs", []) if not _ed25519(each)],
        "ctLogs": [_log(each) for each in root.get("ctlogs", [])],
        "timestampAuthorities": [_authority(each) for each in root.get("timestampAuthorities", [])],
    }


def _ed25519(log: Mapping[str, Any]) -> bool:
    return "ED25519" in str(log["publicKey"].get("keyDetails"))


def _authority(fields: Mapping[str, Any]) -> dict[str, Value]:
    """A certificate authority, or one for timestamps."""
    chain = "".join(_pem("CERTIFICATE", each["rawBytes"]) for each in fields["certChain"]["certificates"])
    subject = {name: str(fields["subject"][name]) for name in ("organization", "commonName")}
    return {"subject": subject, "uri": str(fields["uri"]), "certChain": _base64(chain)}


def _log(fields: Mapping[str, Any]) -> dict[str, Value]:
    return {
        "baseURL": str(fields["baseUrl"]),
        "hashAlgorithm": _HASHES[fields["hashAlgorithm"]],
        "publicKey": _base64(_pem("PUBLIC KEY", fields["publicKey"]["rawBytes"])),
    }


def _pem(label: str, raw: str) -> str:
    body = base64.encodebytes(base64.b64decode(raw, validate=True)).decode().replace("\n", "")
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
