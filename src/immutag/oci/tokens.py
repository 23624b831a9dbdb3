"""What a registry wants to see before it answers, and who may see our credentials.

The rule: they go to the registry's own address, or to the token server (`realm`) that this registry names,
if that is the registry's own address or https. Something on loopback gets them only from a registry on
loopback. A redirect or an upload's location elsewhere never carries them (distribution-spec; RFC 6750).
"""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from immutag.core.errors import RegistryAuth, RegistryUnavailable
from immutag.core.frozen import frozen
from immutag.core.values import shown
from immutag.oci.auth import Credentials
from immutag.oci.message import Response, bare
from immutag.oci.network import is_loopback, names_this_machine

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a word
_PART = (
    rf'[\s,]*(?:(?P<key>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))'
    rf"|(?P<scheme>{_TOKEN})(?=[\s,]|$))"
)
_BEARER = r"[\x21-\x7e]{1,65536}"
_DEFAULT_LIFE_S = 60  # distribution's token specification: what a missing expires_in means
_LONGEST_LIFE_S = 3600
_REMEDY = "docker login (or podman login), or IMMUTAG_REGISTRY_USERNAME and IMMUTAG_REGISTRY_PASSWORD"


@frozen()
class Challenge:
    """One way to authenticate, as `WWW-Authenticate` offers it (RFC 9110, 11.6.1)."""

    scheme: str
    parameters: Mapping[str, str]


def challenges(header: str) -> list[Challenge]:
    """All that the header offers, up to where it stops making sense."""
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    part_at = re.compile(_PART).match
    while part := part_at(header, at):
        at = part.end()
        if part["scheme"]:
            found.append((part["scheme"].lower(), {}))
        elif found:
            value = part["plain"] if part["quoted"] is None else re.sub(r"\\(.)", r"\1", part["quoted"])
            found[-1][1].setdefault(part["key"].lower(), value)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses are one server: scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def trusts_realm(registry: str, realm: str) -> bool:
    """Whether credentials for a registry may go to the token server that it names."""
    try:
        parts, same = urlsplit(realm), same_origin(registry, realm)
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.scheme not in ("http", "https"):
        return False
    if same:
        return True
    if names_this_machine(parts.hostname):
        return is_loopback(urlsplit(registry).hostname or "")
    return parts.scheme == "https"


class Send(Protocol):
    """One request to a token server: retried within bounds, nothing followed."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response: ...


class Authorization:
    """What we show to one registry; for all threads. A token is asked for once a scope, and reused."""

    def __init__(
        self, registry: str, credentials: Callable[[], Credentials | None] | None, send: Send
    ) -> None:
        self._registry = registry
        self._find = credentials
        self._found: tuple[Credentials | None] | None = None
        self._send = send
        self._challenge: Challenge | None = None
        self._tokens: dict[str, tuple[str, float]] = {}
        self._lock = threading.RLock()

    def header(self, scope: str) -> str | None:
        """The Authorization header for a scope, or `None` as long as the registry has not asked for one."""
        if self._challenge is None:
            return None
        with self._lock:
            return self._answer(self._challenge, scope)

    def renewed(self, offered: str, scope: str, *, refused: str | None) -> str:
        """The header after a 401: a new one if the registry refused what we had. Raises RegistryAuth."""
        with self._lock:
            self._challenge = self._chosen(offered)
            if refused is not None and self._cached(scope) == refused:
                del self._tokens[scope]
            header = self._answer(self._challenge, scope)
        if header == refused:  # basic: there is nothing else that we could show
            raise _refused(self._registry, "the user name or password was refused")
        return header

    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, even when the registry repeats it."""
        with self._lock:
            tokens = tuple(token for token, _ in self._tokens.values())
            found = self._found[0] if self._found else None
        return (*tokens, found.password, _basic(found).removeprefix("Basic ")) if found else tokens

    def _chosen(self, offered: str) -> Challenge:
        schemes = {challenge.scheme: challenge for challenge in reversed(challenges(offered))}
        chosen = schemes.get("bearer") or schemes.get("basic")
        if chosen is None:
            raise _refused(self._registry, "it names no way to authenticate that is supported")
        return chosen

    def _answer(self, challenge: Challenge, scope: str) -> str:
        if challenge.scheme == "bearer":
            return self._cached(scope) or self._fetch(challenge, scope)
        credentials = self._credentials()
        if credentials is None:
            raise _refused(self._registry, "no credentials were given")
        return _basic(credentials)

    def _credentials(self) -> Credentials | None:
        if self._found is None:
            self._found = (self._find() if self._find else None,)
        return self._found[0]

    def _cached(self, scope: str) -> str | None:
        token, until = self._tokens.get(scope, ("", 0.0))
        return f"Bearer {token}" if time.monotonic() < until else None

    def _fetch(self, challenge: Challenge, scope: str) -> str:
        realm = challenge.parameters.get("realm", "")
        if not trusts_realm(self._registry, realm):
            raise RegistryAuth(
                f"{bare(self._registry)} names a token server that gets no credentials",
                expected="an https address, or the registry's own",
                found=bare(realm),
                remedy="if this is the registry that you mean, tell its operator",
            )
        answer = self._ask(realm, challenge.parameters.get("service"), scope)
        if answer.status in (400, 401, 403):
            raise _refused(
                realm, "the credentials were refused" if self._credentials() else "none were given"
            )
        token, life_s = _token(answer, realm)
        self._tokens[scope] = token, time.monotonic() + life_s * 0.9
        return f"Bearer {token}"

    def _ask(self, realm: str, service: str | None, scope: str) -> Response:
        credentials = self._credentials()
        query = [("service", service)] if service else []
        query += [("scope", each) for each in scope.split(" ") if each]
        if credentials and credentials.is_identity_token:
            grant = {"grant_type": "refresh_token", "client_id": "immutag", "scope": scope}
            grant |= {"service": service or "", "refresh_token": credentials.password}
            form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
            return self._send("POST", realm, form, urlencode(grant).encode())
        headers = {"Accept": "application/json"}
        if credentials:
            headers["Authorization"] = _basic(credentials)
        url = realm + ("&" if urlsplit(realm).query else "?") + urlencode(query) if query else realm
        return self._send("GET", url, headers, b"")


def _basic(credentials: Credentials) -> str:
    packed = base64.b64encode(f"{credentials.username}:{credentials.password}".encode())
    return f"Basic {packed.decode()}"


def _token(answer: Response, realm: str) -> tuple[str, float]:
    """The token and its life in seconds. Raises RegistryUnavailable for any other answer."""
    try:
        document = json.loads(answer.body) if answer.status == 200 else {}
        token = document.get("token") or document.get("access_token")
        life_s = float(document.get("expires_in") or _DEFAULT_LIFE_S)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        token, life_s = None, 0.0
    if not isinstance(token, str) or not re.fullmatch(_BEARER, token):
        raise RegistryUnavailable(
            f"the token server gave no token: {bare(realm)}",
            expected="200 and a JSON object with a token",
            found=f"status {answer.status}, {len(answer.body)} bytes",
            remedy="try again; if it stays so, look at the token server",
        )
    return token, min(max(life_s, 0.0), _LONGEST_LIFE_S)


def _refused(url: str, found: str) -> RegistryAuth:
    return RegistryAuth(
        f"{bare(url)} does not let us in",
        expected="credentials that it accepts",
        found=shown(found),
        remedy=_REMEDY,
    )
