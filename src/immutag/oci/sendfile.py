"""A file's bytes straight from the kernel to a plain connection; the rest is libcurl's (DR-012).

libcurl opens the connection, sends the request's head and reads the answer. The body goes in between by
sendfile(2), which spares three copies of it. With TLS, or through a proxy, libcurl sends all of it.
"""

import os
import select
import time
from collections.abc import Callable

from immutag.oci.file_body import FileBody
from immutag.oci.libcurl import pycurl
from immutag.oci.message import Fault, NoAnswer
from immutag.oci.transfer import Transfer

_PART_BYTES = 512 * 1024  # larger ones save little, and progress is told between them
_WAIT_S = 1.0


class FileSender:
    """One request, prepared but for its body, whose headers say how long that is."""

    def __init__(self, transfer: Transfer, handle: pycurl.Curl, body: FileBody) -> None:
        self._transfer = transfer
        self._handle = handle
        self._body = body
        self._said = b""
        self._multi = pycurl.CurlMulti()
        self._until = time.monotonic() + transfer.bounds.timeout_s

    def run(self) -> None:
        """To its end. Raises NoAnswer, or whatever the file's `reached` raises."""
        self._handle.setopt(pycurl.LOW_SPEED_LIMIT, 0)  # it would count what passes it by as a stall
        self._handle.setopt(pycurl.VERBOSE, 1)
        self._handle.setopt(pycurl.DEBUGFUNCTION, self._on_debug)
        self._multi.add_handle(self._handle)
        try:
            if self._drive(lambda: self._said == b"\r\n\r\n", None):
                self._pour()
                self._drive(lambda: False, self._transfer.bounds.stall_s)
            for _, number, text in self._multi.info_read()[2]:
                if not self._transfer.cut_off:
                    raise self._transfer.failure(number, text)
        finally:
            self._multi.remove_handle(self._handle)
            self._multi.close()

    def _on_debug(self, kind: int, data: bytes) -> None:
        """The head is out when its last line is: the one way that libcurl tells it."""
        if kind == pycurl.INFOTYPE_HEADER_OUT:
            self._said = (self._said + data)[-4:]

    def _drive(self, enough: Callable[[], bool], allowed_s: float | None) -> bool:
        """Let libcurl work until this is so; whether it is, or the request has ended before."""
        begun = time.monotonic()
        while self._multi.perform()[1]:
            if enough():
                return True
            if allowed_s is not None and time.monotonic() - begun > allowed_s:
                raise self._no_answer(Fault.TIMEOUT)
            self._multi.select(_WAIT_S)
        return False

    def _pour(self) -> None:
        """The body, or as much as is taken: whoever answers earlier, or closes, has said something."""
        connection = self._handle.getinfo(pycurl.ACTIVESOCKET)
        poll = select.poll()
        poll.register(connection, select.POLLIN | select.POLLOUT)
        at, end = self._body.offset, self._body.offset + self._body.size_bytes
        while at < end and self._writable(poll):
            try:
                sent = os.sendfile(connection, self._body.file.fileno(), at, min(end - at, _PART_BYTES))
            except BlockingIOError:
                continue
            except OSError:  # libcurl finds out what was said before the connection broke
                return
            if not sent:
                raise self._no_answer(Fault.BROKEN, "the file is shorter than it was")
            at += sent
            self._body.file.reached(at)

    def _writable(self, poll: select.poll) -> bool:
        """Wait until more can be sent; whether it should be."""
        bounds, now = self._transfer.bounds, time.monotonic()
        until = min(self._until, now + (bounds.stall_s or bounds.timeout_s))
        while True:
            self._transfer.require_open()
            events = poll.poll(_WAIT_S * 1000)
            found = events[0][1] if events else 0
            if found & select.POLLIN:  # an answer; perhaps only that it is to go on
                running = self._multi.perform()[1]
                if not running or self._transfer.status >= 200:
                    return False
            if found & select.POLLOUT:
                return True
            if found & (select.POLLERR | select.POLLHUP):
                return False
            if time.monotonic() > until:
                raise self._no_answer(Fault.TIMEOUT)

    def _no_answer(self, fault: Fault, detail: str = "") -> NoAnswer:
        return NoAnswer(fault, self._transfer.url, detail)
