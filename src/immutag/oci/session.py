"""Talking to one registry: authorization, redirects, and trying again, all within bounds.

Only what may be repeated is: every request that a registry gets from us is by digest, conditional, or opens
an upload that nobody finishes.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar
from urllib.parse import urldefrag, urljoin, urlsplit

from immutag.core.frozen import frozen
from immutag.oci.auth import Credentials
from immutag.oci.http import BodySource, Fault, Headers, Http, NoAnswer, Response, Streamed
from immutag.oci.network import is_loopback, names_this_machine
from immutag.oci.tokens import Authorization, same_origin

# 500: distribution answers it to whoever reads a tag that another is writing at this moment
_AGAIN = frozenset({429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOKEN_LIMIT_BYTES = 256 * 1024


@frozen()
class Limits:
    """How long we wait, and how often we try. `patience_s` bounds the waits between tries, together."""

    timeout_s: float = 30.0
    stall_s: float = 60.0
    transfer_s: float = 3600.0
    tries: int = 4
    first_wait_s: float = 0.25
    patience_s: float = 30.0
    redirects: int = 5


LIMITS = Limits()


class Answer(Protocol):
    """What `Response` and `Streamed` share."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...


A = TypeVar("A", bound=Answer)
Ask = Callable[[str, Mapping[str, str]], A]


class Session:
    """One registry, for all threads. Paths are on the registry; a full address may be elsewhere."""

    def __init__(
        self,
        base: str,
        *,
        http: Http,
        credentials: Callable[[], Credentials | None] | None,
        limits: Limits,
    ) -> None:
        self.base = base
        self.limits = limits
        self.requests = 0
        self._http = http
        self._counting = threading.Lock()
        self._authorization = Authorization(base, credentials, self._ask_for_token)

    def call(
        self,
        method: str,
        url: str,
        *,
        scope: str,
        limit_bytes: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | BodySource = b"",
        timeout_s: float | None = None,
        again: bool = True,
    ) -> Response:
        """The registry's answer, whatever its status. `again`: try again after a failure that may pass.

        Raises NoAnswer, RegistryAuth.
        """
        stalling = self.limits.stall_s if isinstance(body, BodySource) else None
        bodies = _Bodies(body)

        def ask(address: str, with_headers: Mapping[str, str]) -> Response:
            self._count()
            return self._http.request(
                method,
                address,
                headers=with_headers,
                body=bodies.next(address),
                limit_bytes=limit_bytes,
                timeout_s=timeout_s or self.limits.timeout_s,
                stall_s=stalling,
            )

        def converse() -> Response:
            return self._converse(method, self._absolute(url), scope, headers or {}, ask)

        return self._patiently(converse) if again else converse()

    def greeting(self) -> Headers:
        """What is answered to somebody unknown: `GET /v2/` without credentials. Raises NoAnswer."""
        self._count()
        return self._http.request(
            "GET",
            f"{self.base}/v2/",
            headers={},
            body=b"",
            limit_bytes=_TOKEN_LIMIT_BYTES,
            timeout_s=self.limits.timeout_s,
        ).headers

    @contextmanager
    def stream(self, url: str, *, scope: str, headers: Mapping[str, str] | None = None) -> Iterator[Streamed]:
        """The same for a GET whose body is read block by block. Raises NoAnswer, RegistryAuth."""
        with ExitStack() as current:

            def ask(address: str, with_headers: Mapping[str, str]) -> Streamed:
                self._count()
                current.close()  # an answer before this one was a redirect or a refusal
                return current.enter_context(
                    self._http.stream(
                        address,
                        headers=with_headers,
                        timeout_s=self.limits.transfer_s,
                        stall_s=self.limits.stall_s,
                    )
                )

            def converse() -> Streamed:
                return self._converse("GET", self._absolute(url), scope, headers or {}, ask)

            yield self._patiently(converse)

    def secrets(self) -> tuple[str, ...]:
        """What a message must not hold, even when the registry repeats it."""
        return self._authorization.secrets()

    def _converse(self, method: str, url: str, scope: str, headers: Mapping[str, str], ask: Ask[A]) -> A:
        """One request with what the registry wants to see; after a 401 once more with something newer."""
        shown_to_it = self._authorization.header(scope) if self._is_ours(url) else None
        answer, final = self._follow(method, url, headers, shown_to_it, ask)
        if answer.status == 401 and self._is_ours(final):
            offered = answer.headers.get("WWW-Authenticate", "")
            renewed = self._authorization.renewed(offered, scope, refused=shown_to_it)
            answer, _ = self._follow(method, url, headers, renewed, ask)
        return answer

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], authorization: str | None, ask: Ask[A]
    ) -> tuple[A, str]:
        """Redirects of reading requests, a few of them. Another server never sees the authorization."""
        for _ in range(self.limits.redirects + 1):
            own = authorization is not None and self._is_ours(url)
            answer = ask(url, {**headers, "Authorization": authorization or ""} if own else headers)
            if answer.status not in _REDIRECTS or method not in ("GET", "HEAD"):
                return answer, url
            url = self.elsewhere(url, answer.headers.get("Location", ""))
        raise NoAnswer(Fault.NONSENSE, url, f"more than {self.limits.redirects} redirects")

    def _absolute(self, url: str) -> str:
        return self.base + url if url.startswith("/v2/") else urljoin(self.base, url)

    def _is_ours(self, url: str) -> bool:
        return url.startswith(f"{self.base}/") or same_origin(url, self.base)

    def elsewhere(self, url: str, location: str) -> str:
        """The address that an answer sends us to, if we may go there: no way down to plain HTTP, none to
        this machine's own services unless the registry is on this machine. Raises NoAnswer."""
        try:
            target = urldefrag(urljoin(url, location)).url
            parts = urlsplit(target)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise NoAnswer(Fault.NONSENSE, url, "it sends us to an address that is none") from None
        if not location or parts.scheme not in ("http", "https") or not host or parts.username is not None:
            raise NoAnswer(Fault.NONSENSE, url, f"it sends us to {location or 'nowhere'}")
        if self._is_ours(target):
            return target
        local = is_loopback(urlsplit(self.base).hostname or "")
        if names_this_machine(host) and not local:
            raise NoAnswer(Fault.NONSENSE, url, "it sends us to this machine itself")
        if parts.scheme == "http" and urlsplit(url).scheme == "https" and not is_loopback(host):
            raise NoAnswer(Fault.NONSENSE, url, "it sends us from https to plain http")
        return target

    def _patiently(self, attempt: Callable[[], A]) -> A:
        """Try again after a broken connection, or when the registry says that it is busy."""
        waits = Waits(self.limits)
        while True:
            try:
                answer = attempt()
            except NoAnswer as failure:
                if failure.fault not in (Fault.REFUSED, Fault.BROKEN) or not waits.wait():
                    raise failure.without(self.secrets()) from None
            else:
                if answer.status not in _AGAIN or not waits.wait(answer.headers.get("Retry-After")):
                    return answer

    def _ask_for_token(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        def attempt() -> Response:
            self._count()
            return self._http.request(
                method,
                url,
                headers=headers,
                body=body,
                limit_bytes=_TOKEN_LIMIT_BYTES,
                timeout_s=self.limits.timeout_s,
            )

        return self._patiently(attempt)

    def _count(self) -> None:
        with self._counting:
            self.requests += 1


class Waits:
    """The pauses of one request: exponential, jittered, and never more than the patience in all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._tried = 1
        self._waited_s = 0.0

    def wait(self, retry_after: str | None = None) -> bool:
        """Pause before the next try; `False` if there is to be none."""
        import random

        pause_s = self._limits.first_wait_s * 2 ** (self._tried - 1) * random.uniform(0.5, 1)  # noqa: S311
        pause_s = max(pause_s, _seconds(retry_after))
        if self._tried >= self._limits.tries or self._waited_s + pause_s > self._limits.patience_s:
            return False
        time.sleep(pause_s)
        self._tried += 1
        self._waited_s += pause_s
        return True


def _seconds(retry_after: str | None) -> float:
    """What `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3). 0 if it makes no sense."""
    if not retry_after:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


class _Bodies:
    """A request's body for each try: a stream is set back, or cannot be sent twice."""

    def __init__(self, body: bytes | BodySource) -> None:
        self._body = body
        self._used = False

    def next(self, url: str) -> bytes | BodySource:
        if isinstance(self._body, BodySource):
            if self._body.stream.seekable():
                self._body.stream.seek(self._body.offset)
            elif self._used:
                raise NoAnswer(Fault.NONSENSE, url, "the content would have to be sent again, and cannot")
            self._used = True
        return self._body
