"""HTTP over libcurl: bounded in time and size; nothing is followed, decoded or believed by itself (DR-012).

    with Http() as http:
        answer = http.request("GET", url, headers={}, limit_bytes=4096, timeout_s=10)
        with http.stream(url, headers={}, timeout_s=10, stall_s=60) as answer: ...

Redirects are answers like any other. libcurl is loaded when the first request is made: start-up counts.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from immutag._version import __version__
from immutag.oci.file_body import as_file
from immutag.oci.message import BodySource, Fault, Headers, NoAnswer, Response, Streamed
from immutag.oci.network import Proxy, TrustedCertificates, proxy_for, trusted_certificates

if TYPE_CHECKING:
    from pycurl import Curl

    from immutag.oci.transfer import Transfer

__all__ = ["BodySource", "Fault", "Headers", "Http", "NoAnswer", "Response", "Streamed"]


class Http:
    """A client for all threads. A handle, with its open connections, belongs to one request at a time."""

    def __init__(
        self,
        *,
        ca: Path | None = None,
        user_agent: str = f"immutag/{__version__}",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._ca = ca
        self._user_agent = user_agent
        self._environ = os.environ if environ is None else environ
        self._trusted: TrustedCertificates | None = None
        self._proxies: dict[str, Proxy] = {}  # by scheme and host, as they stand in an address
        self._idle: list[Curl] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; a transfer that still runs in another thread ends within a second."""
        self._closed.set()
        with self._lock:
            idle, self._idle = self._idle, []
        for handle in idle:
            handle.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | BodySource = b"",
        limit_bytes: int,
        timeout_s: float,
        stall_s: float | None = None,
    ) -> Response:
        """One request and its whole answer, in `timeout_s`; `stall_s` ends one in which nothing moves.

        Raises NoAnswer; whatever `body.stream` raises passes through.
        """
        from immutag.oci.sendfile import FileSender
        from immutag.oci.transfer import Bounds, Transfer

        transfer = Transfer(url, Bounds(limit_bytes, timeout_s, stall_s), self._closed)
        file = as_file(url, body) if self._is_direct(url) else None
        if file:
            headers = {**headers, "Content-Length": str(file.size_bytes)}
        with self._handle() as handle:
            self._prepare(handle, transfer, method, headers)
            if file:
                FileSender(transfer, handle, file).run()
            else:
                transfer.send(handle, method, body)
                transfer.run(handle)
        return Response(transfer.status, transfer.headers, b"".join(transfer.blocks))

    @contextmanager
    def stream(
        self, url: str, *, headers: Mapping[str, str], timeout_s: float, stall_s: float
    ) -> Iterator[Streamed]:
        """A GET whose body is read block by block, or left: then it is cut off. Raises NoAnswer."""
        from immutag.oci.libcurl import pycurl
        from immutag.oci.plain_body import body_of
        from immutag.oci.transfer import Bounds, Transfer

        transfer = Transfer(url, Bounds(None, timeout_s, stall_s), self._closed)
        handle = pycurl.Curl()
        try:
            self._prepare(handle, transfer, "GET", headers)
            driven = body_of(transfer, handle) if self._is_direct(url) else transfer.drive(handle)
            with closing(driven) as blocks:
                first = next(blocks, b"")  # the headers are complete before the first block comes
                yield Streamed(transfer.status, transfer.headers, chain((first,) if first else (), blocks))
        finally:
            handle.close()

    @contextmanager
    def _handle(self) -> "Iterator[Curl]":
        from immutag.oci.libcurl import pycurl

        with self._lock:
            handle = self._idle.pop() if self._idle else pycurl.Curl()
        try:
            yield handle
        finally:
            handle.reset()  # options go, connections stay
            with self._lock:
                keep = not self._closed.is_set()
                if keep:
                    self._idle.append(handle)
            if not keep:
                handle.close()

    def _prepare(self, handle: "Curl", transfer: "Transfer", method: str, headers: Mapping[str, str]) -> None:
        proxy = self._proxy(transfer.url)
        transfer.prepare(handle, method, {"User-Agent": self._user_agent, **headers})
        secured = transfer.url[:6].lower() == "https:" or proxy.url.startswith("https:")
        transfer.route(handle, proxy, self._certificates() if secured else TrustedCertificates())

    def _is_direct(self, url: str) -> bool:
        """Whether the connection is plain and goes to the server itself: bytes pass as they are."""
        return url.startswith("http://") and not self._proxy(url).url

    def _proxy(self, url: str) -> Proxy:
        """The proxy on the way to an address. Raises NoAnswer for one that is no web address."""
        if not url.isascii():
            raise NoAnswer(Fault.NONSENSE, url, "an address that is not ASCII")
        server = "/".join(url.split("/", 3)[:3])
        proxy = self._proxies.get(server)
        if proxy is None:
            target = urlsplit(url)
            if target.scheme not in ("http", "https") or not target.hostname:
                raise NoAnswer(Fault.NONSENSE, url, "an address that is not http or https")
            proxy = self._proxies[server] = proxy_for(target.scheme, target.hostname, self._environ)
        return proxy

    def _certificates(self) -> TrustedCertificates:
        if self._trusted is None:
            self._trusted = trusted_certificates(self._ca, self._environ)
        return self._trusted
