"""A registry's answer that was not the one hoped for, as an error: bounded, and without secrets."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from immutag.core.errors import PushFailure, RegistryAuth, RegistryError, RegistryUnavailable
from immutag.core.values import shown
from immutag.oci.http import Headers

ERROR_LIMIT_BYTES = 64 * 1024
_REMEDY = {
    401: "docker login (or podman login), or IMMUTAG_REGISTRY_USERNAME and IMMUTAG_REGISTRY_PASSWORD",
    403: "ask for the right to do this in the repository, or log in as somebody who has it",
    429: "try again later; the registry limits how often it is asked",
}


def codes(body: bytes) -> tuple[str, ...]:
    """The error codes of a registry's JSON (distribution-spec, Error Codes); none if it is anything else."""
    return tuple(code for code, _ in _errors(body))


def _errors(body: bytes) -> Iterator[tuple[str, str]]:
    try:
        found: Any = json.loads(body[:ERROR_LIMIT_BYTES])["errors"]
        for error in found[:5]:
            yield str(error.get("code", "")), str(error.get("message", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return


def refusal(
    doing: str, status: int, headers: Headers, body: bytes, *, secrets: Iterable[str] = ()
) -> RegistryError:
    """RegistryAuth for 401 and 403, RegistryUnavailable for the rest."""
    said = "; ".join(": ".join(filter(None, error)) for error in _errors(body))
    for secret in secrets:
        said = said.replace(secret, "…") if secret else said
    found = f"status {status}" + (f", {shown(said)}" if said else "")
    if status in (429, 503) and "Retry-After" in headers:
        found += f", try again after {shown(headers['Retry-After'])}"
    kind = RegistryAuth if status in (401, 403) else RegistryUnavailable
    remedy = _REMEDY.get(status, "try again; if it stays so, look at the registry and what stands before it")
    return kind(f"the registry would not {doing}", expected="success", found=found, remedy=remedy)


@contextmanager
def pushing() -> Iterator[None]:
    """While pushing, a registry that cannot be used is a PushFailure."""
    try:
        yield
    except RegistryUnavailable as error:
        raise PushFailure(
            error.message, expected=error.expected, found=error.found, remedy=error.remedy
        ) from error
