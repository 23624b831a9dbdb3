"""One request under way in libcurl: its options, its bounds, and what its callbacks leave behind (DR-012)."""

import os
import re
import threading
from collections.abc import Generator, Mapping

from immutag.core.errors import RegistryUnavailable
from immutag.core.frozen import frozen
from immutag.oci.libcurl import pycurl
from immutag.oci.message import BodySource, Fault, Headers, NoAnswer, bare
from immutag.oci.network import Proxy, TrustedCertificates

_SEND_BYTES = 128 * 1024  # a larger one was no faster and costs memory in each thread
_RECEIVE_BYTES = 16 * 1024  # libcurl fills it up to ten times before it returns; larger ones were slower
_HEADERS_LIMIT_BYTES = 64 * 1024
_CONNECT_S = 10.0
SLOWEST_BYTES_S = 256  # a transfer below this for `stall_s` has stalled
_STATUS_LINE = rb"HTTP/\d(?:\.\d)? +(\d{3})(?:[ \r\n]|$)"
_E_HTTP2_STREAM = 92  # CURLE_HTTP2_STREAM; pycurl does not name it


@frozen()
class Bounds:
    """How large an answer may be (`None`: read block by block) and how long all of it may take."""

    limit_bytes: int | None
    timeout_s: float
    stall_s: float | None


class Transfer:
    """One request and its answer so far."""

    def __init__(self, url: str, bounds: Bounds, closed: threading.Event) -> None:
        self.url = url
        self.status = 0
        self.headers = Headers()
        self.blocks: list[bytes] = []
        self.bounds = bounds
        self.is_running = True  # as far as libcurl knows
        self.received_bytes = 0
        self._closed = closed
        self._headers_bytes = 0
        self._in_headers = False
        self._proxy = ""
        self.cut_off = False
        self._fault: Fault | None = None
        self._error: BaseException | None = None

    def prepare(self, handle: pycurl.Curl, method: str, headers: Mapping[str, str]) -> None:
        """Set all that every request needs."""
        handle.setopt(pycurl.URL, self.url)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.TCP_NODELAY, 1)
        # a handle has one request at a time, so HTTP/2 would only cost its framing and flow control
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.HTTPHEADER, _lines(headers))
        if method == "HEAD":
            handle.setopt(pycurl.NOBODY, 1)
        elif method != "GET":
            handle.setopt(pycurl.CUSTOMREQUEST, method)
        handle.setopt(pycurl.HEADERFUNCTION, self._on_header)
        handle.setopt(pycurl.WRITEFUNCTION, self._on_block)
        handle.setopt(pycurl.XFERINFOFUNCTION, self._on_progress)
        handle.setopt(pycurl.NOPROGRESS, 0)
        handle.setopt(pycurl.BUFFERSIZE, _RECEIVE_BYTES)
        self._bound(handle)

    def _bound(self, handle: pycurl.Curl) -> None:
        allowed_s = self.bounds.timeout_s
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(min(_CONNECT_S, allowed_s) * 1000)))
        handle.setopt(pycurl.TIMEOUT_MS, max(1, int(allowed_s * 1000)))
        if self.bounds.stall_s is not None:
            handle.setopt(pycurl.LOW_SPEED_LIMIT, SLOWEST_BYTES_S)
            handle.setopt(pycurl.LOW_SPEED_TIME, max(1, round(self.bounds.stall_s)))

    def route(self, handle: pycurl.Curl, proxy: Proxy, trusted: TrustedCertificates) -> None:
        """Which way it goes, and whose certificates count."""
        self._proxy = proxy.url
        # as bytes: paths and variables may hold any
        handle.setopt(pycurl.PROXY, os.fsencode(proxy.url))  # empty: none, and libcurl asks no variable
        handle.setopt(pycurl.NOPROXY, os.fsencode(proxy.exempt))
        if trusted.bundle:
            handle.setopt(pycurl.CAINFO, os.fsencode(trusted.bundle))
        if trusted.folder:
            handle.setopt(pycurl.CAPATH, os.fsencode(trusted.folder))
        if trusted.pem:
            handle.setopt(pycurl.CAINFO_BLOB, trusted.pem)

    def send(self, handle: pycurl.Curl, method: str, body: bytes | BodySource) -> None:
        """Say what the request's body is."""
        if isinstance(body, BodySource):
            handle.setopt(pycurl.UPLOAD, 1)
            handle.setopt(pycurl.CUSTOMREQUEST, method)
            handle.setopt(pycurl.INFILESIZE_LARGE, body.size_bytes)
            handle.setopt(pycurl.UPLOAD_BUFFERSIZE, _SEND_BYTES)
            handle.setopt(pycurl.READFUNCTION, lambda wanted: self._on_read(body, wanted))
            handle.setopt(pycurl.SEEKFUNCTION, lambda offset, _: self._on_seek(body, offset))
        elif body or method in ("POST", "PUT", "PATCH"):
            handle.setopt(pycurl.POST, 1)
            handle.setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
            handle.setopt(pycurl.COPYPOSTFIELDS, body)
            handle.setopt(pycurl.CUSTOMREQUEST, method)

    def run(self, handle: pycurl.Curl) -> None:
        """To its end. Raises NoAnswer, or what a callback raised."""
        try:
            handle.perform()
        except pycurl.error as error:
            if not self.cut_off:
                raise self.failure(*error.args) from None
        if self._error is not None:
            raise self._error

    def drive(self, handle: pycurl.Curl) -> Generator[bytes, None, None]:
        """Only as far as the reader reads: memory stays flat however slow the reader is. Nothing of ours is
        called for a block, of which there are thousands."""
        handle.setopt(pycurl.WRITEFUNCTION, self.blocks.append)
        handle.setopt(pycurl.NOPROGRESS, 1)
        multi = pycurl.CurlMulti()
        try:
            multi.add_handle(handle)
            while self.is_running:
                self.require_open()
                self.is_running = multi.perform()[1] > 0
                if self.blocks:
                    block = b"".join(self.blocks)
                    self.blocks.clear()
                    self.received_bytes += len(block)
                    yield block
                elif self.is_running:
                    multi.select(1.0)
            for _, number, text in multi.info_read()[2]:
                raise self.failure(number, text)
        finally:
            multi.close()

    def _on_header(self, line: bytes) -> int | None:
        self._headers_bytes += len(line)
        if self._headers_bytes > _HEADERS_LIMIT_BYTES:
            self._fault = Fault.TOO_LARGE
            return -1
        if not self._in_headers:
            return self._begin(line)
        self._in_headers = line not in (b"\r\n", b"\n")
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            self.headers.add(name.strip(), value.strip())
        return None

    def _begin(self, line: bytes) -> int | None:
        """A status line: after a 100, or a proxy's own answer, comes another. Trailers are left aside."""
        found = re.match(_STATUS_LINE, line)
        if found and not self.received_bytes and not self.blocks:
            self.headers, self.status, self._in_headers = Headers(), int(found[1]), True
        elif not self.status:
            self._fault = Fault.NONSENSE
            return -1
        return None

    def _on_block(self, block: bytes) -> int | None:
        self.received_bytes += len(block)
        if self.bounds.limit_bytes is not None and self.received_bytes > self.bounds.limit_bytes:
            self.cut_off = self.status >= 400  # the refusal counts, not all of what is said about it
            self._fault = Fault.TOO_LARGE
            return -1
        self.blocks.append(block)
        return None

    def _on_read(self, body: BodySource, wanted: int) -> bytes | int:
        try:
            return body.stream.read(wanted)
        except BaseException as error:  # noqa: BLE001 - raised again as soon as libcurl has returned
            self._error = error
            return pycurl.READFUNC_ABORT

    def _on_seek(self, body: BodySource, offset: int) -> int:
        try:
            body.stream.seek(body.offset + offset)
        except (OSError, ValueError):  # a stream that cannot go back
            return pycurl.SEEKFUNC_FAIL
        return pycurl.SEEKFUNC_OK

    def _on_progress(self, *_: int) -> int:
        """Called at least once a second, which also lets Python act on a signal that came meanwhile."""
        if self._closed.is_set():
            self._fault = Fault.CLOSED
            return 1
        return 0

    def require_open(self) -> None:
        """Raises NoAnswer if the client was closed."""
        if self._closed.is_set():
            raise NoAnswer(Fault.CLOSED, self.url)

    def failure(self, number: int, text: str = "", *_: object) -> BaseException:
        """What to raise for one of libcurl's errors: what a callback raised, or NoAnswer."""
        if self._proxy:  # which may hold a password
            text = text.replace(self._proxy, bare(self._proxy))
        if self._fault:  # libcurl knows only that a callback stopped it
            text = ""
        return self._error or NoAnswer(self._fault or _fault(number), self.url, text)


def _fault(number: int) -> Fault:
    """What one of libcurl's error numbers means here."""
    return next((fault for fault, numbers in _FAULTS.items() if number in numbers), Fault.NONSENSE)


_FAULTS = {
    Fault.REFUSED: (pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT),
    Fault.BROKEN: (
        pycurl.E_PARTIAL_FILE,
        pycurl.E_GOT_NOTHING,
        pycurl.E_SEND_ERROR,
        pycurl.E_RECV_ERROR,
        pycurl.E_SEND_FAIL_REWIND,
        pycurl.E_HTTP2,
        _E_HTTP2_STREAM,
    ),
    Fault.TIMEOUT: (pycurl.E_OPERATION_TIMEDOUT,),
    Fault.TOO_LARGE: (pycurl.E_FILESIZE_EXCEEDED,),
    Fault.TLS: (
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
    ),
}


def _lines(headers: Mapping[str, str]) -> list[str]:
    """The request's header lines. `Expect` is off: many registries answer it late or never."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise RegistryUnavailable(
                f"a value for the header {name} that cannot be sent",
                expected="printable ASCII",
                found="control characters or other text",
                remedy="look for a line break in the user name, password or token",
            )
    return ["Expect:", *(f"{name}: {value}" for name, value in headers.items())]
