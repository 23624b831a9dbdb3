"""The rest of an answer's body straight from its plain connection, in larger blocks than libcurl's (DR-012).

libcurl opens the connection, sends the request, reads the head and what comes with it. With TLS, through a
proxy, or where the body's length was not said before, libcurl reads all of it.
"""

import os
import re
import select
import time
from collections.abc import Generator, Iterator
from contextlib import closing

from immutag.oci.libcurl import pycurl
from immutag.oci.message import Fault, NoAnswer
from immutag.oci.transfer import SLOWEST_BYTES_S, Transfer

_WORTH_BYTES = 512 * 1024  # of what is left; below, libcurl is done as soon
_BLOCK_BYTES = 256 * 1024  # 1 MiB is a little faster, and each thread holds two
_WAIT_S = 1.0


def body_of(transfer: Transfer, handle: pycurl.Curl) -> Generator[bytes, None, None]:
    """The body in blocks, only as far as the reader reads, from a direct connection. Raises NoAnswer."""
    begun = time.monotonic()
    with closing(transfer.drive(handle)) as driven:
        for block in driven:
            yield block
            left_bytes = _left_bytes(transfer)
            if left_bytes >= _WORTH_BYTES:
                # libcurl has handed over all that it has read, and is not asked to read again
                yield from _Connection(transfer, handle, begun).read(left_bytes)
                return


def _left_bytes(transfer: Transfer) -> int:
    """How much of the body is still to be read from a connection that carries nothing else; 0: unknown."""
    if not transfer.is_running or "Transfer-Encoding" in transfer.headers:
        return 0
    said = transfer.headers.get("Content-Length", "")
    return max(0, int(said) - transfer.received_bytes) if re.fullmatch(r"[0-9]{1,18}", said) else 0


class _Connection:
    """The connection of a transfer whose body has begun, within the transfer's bounds."""

    def __init__(self, transfer: Transfer, handle: pycurl.Curl, begun: float) -> None:
        self._transfer = transfer
        self._socket = handle.getinfo(pycurl.ACTIVESOCKET)
        self._until = begun + transfer.bounds.timeout_s
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def read(self, left_bytes: int) -> Iterator[bytes]:
        """So many bytes more; what comes after them is nobody's."""
        slowly_since, slowly_bytes = time.monotonic(), 0
        while left_bytes:
            self._transfer.require_open()
            block = self._some(min(left_bytes, _BLOCK_BYTES))
            left_bytes -= len(block)
            slowly_bytes += len(block)
            now = time.monotonic()
            if now - slowly_since > (self._transfer.bounds.stall_s or self._transfer.bounds.timeout_s):
                if slowly_bytes < SLOWEST_BYTES_S * (now - slowly_since):
                    raise self._no_answer(Fault.TIMEOUT)
                slowly_since, slowly_bytes = now, 0
            if now > self._until:
                raise self._no_answer(Fault.TIMEOUT)
            if block:
                yield block

    def _some(self, most_bytes: int) -> bytes:
        """What has arrived; nothing after a while in which nothing did."""
        try:
            block = os.read(self._socket, most_bytes)
        except BlockingIOError:
            self._poll.poll(_WAIT_S * 1000)
            return b""
        except OSError as error:
            raise self._no_answer(Fault.BROKEN, str(error)) from None
        if not block:
            raise self._no_answer(Fault.BROKEN, "it ended before all of the content had come")
        return block

    def _no_answer(self, fault: Fault, detail: str = "") -> NoAnswer:
        return NoAnswer(fault, self._transfer.url, detail)
