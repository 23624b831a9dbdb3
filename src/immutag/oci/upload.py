"""Uploading a blob: POST, then one streaming PUT; resumed where it broke, in chunks where it must be.

distribution-spec, "Pushing blobs". The body is read from the file as libcurl sends it, so memory does not
depend on the size. Only the registry's final word counts, and it checks the digest of what it got.
"""

import re
import time
from typing import BinaryIO
from urllib.parse import urlencode, urljoin, urlsplit

from immutag.core.errors import DigestMismatch, RegistryUnavailable
from immutag.oci import Descriptor
from immutag.oci.http import BodySource, Fault, NoAnswer, Response
from immutag.oci.refusal import ERROR_LIMIT_BYTES, codes, refusal
from immutag.oci.session import Session, Waits

_BLOB = {"Content-Type": "application/octet-stream"}
_CHUNK_BYTES = 16 * 1024 * 1024
_RESUMABLE = frozenset({Fault.BROKEN, Fault.REFUSED, Fault.TIMEOUT})
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
TAKEN = frozenset({200, 201, 202, 204})
"""How registries say that they took what was sent. Whether they did is for `copy` to ask."""
_LENGTH = r"[0-9]{1,18}"
_RANGE = r"(?:bytes[=: ])?0-(\d{1,18})"


class Upload:
    """One blob on its way into a repository."""

    def __init__(
        self,
        session: Session,
        path: str,
        content: Descriptor,
        source: BinaryIO,
        *,
        scope: str,
        deadline: float,
    ) -> None:
        self._session = session
        self._path = path
        self._content = content
        self._source = source
        self._scope = scope
        self._deadline = deadline
        self._start = source.tell() if source.seekable() else 0
        self._location = ""
        self._received = 0
        self._chunk_bytes = 0

    def run(self) -> None:
        """Until the registry has the blob. Raises RegistryUnavailable, RegistryAuth, DigestMismatch."""
        waits = Waits(self._session.limits)
        while True:
            done = self._received
            try:
                if not self._location:
                    self._open()
                if self._send():
                    return
                failure = None
            except NoAnswer as error:
                failure = error
                if error.fault not in _RESUMABLE or not self._source.seekable():
                    raise
            progress = self._find_out() > done
            if progress:
                waits = Waits(self._session.limits)
            if time.monotonic() > self._deadline or not (progress or waits.wait()):
                raise failure or self._failed("the upload breaks off again and again")

    def _open(self) -> None:
        address = f"/v2/{self._path}/blobs/uploads/"
        answer = self._call("POST", address)
        if answer.status != 202:
            raise self._refused("open an upload", answer)
        self._moved(answer, address)
        if self._chunk_bytes:
            smallest = answer.headers.get("OCI-Chunk-Min-Length", "")
            self._chunk_bytes = max(
                self._chunk_bytes, int(smallest) if re.fullmatch(_LENGTH, smallest) else 0
            )
        self._received = 0

    def _send(self) -> bool:
        """All that the registry has not got yet; whether it then has the blob."""
        if not self._received and not self._chunk_bytes:
            answer = self._put(BodySource(self._source, self._start, self._content.size_bytes))
            if answer.status == 413 and self._source.seekable():  # something in between wants it in pieces
                self._location, self._chunk_bytes = "", _CHUNK_BYTES
                self._open()
            else:
                return self._accepted(answer)
        while self._received < self._content.size_bytes:
            if not self._patch():
                return False
        return self._accepted(self._put(b""))

    def _patch(self) -> bool:
        left = self._content.size_bytes - self._received
        size = min(left, self._chunk_bytes or left)
        answer = self._call(
            "PATCH",
            self._location,
            headers={**_BLOB, "Content-Range": f"{self._received}-{self._received + size - 1}"},
            body=BodySource(self._source, self._start + self._received, size),
        )
        if answer.status in _PASSING or answer.status == 416:  # 416: the registry has another count
            return False
        if answer.status not in TAKEN:
            raise self._refused("take a part of the content", answer)
        self._moved(answer, self._location)
        arrived = re.fullmatch(_RANGE, answer.headers.get("Range", ""))
        if arrived and self._received < int(arrived[1]) + 1 < self._received + size:
            return False  # it took less than it was sent: it is asked how much
        self._received += size
        return True

    def _put(self, body: bytes | BodySource) -> Response:
        separator = "&" if urlsplit(self._location).query else "?"
        address = self._location + separator + urlencode({"digest": str(self._content.digest)})
        return self._call("PUT", address, headers=_BLOB, body=body)

    def _accepted(self, answer: Response) -> bool:
        if answer.status in TAKEN:
            return True
        if answer.status in _PASSING:
            return False
        if answer.status == 400 and "DIGEST_INVALID" in codes(answer.body):
            raise DigestMismatch(
                "the registry computed another digest of the content",
                expected=str(self._content.digest),
                found="DIGEST_INVALID",
                remedy="the content changed while it was read, or on its way: build it again",
            )
        raise self._refused("take the content", answer)

    def _find_out(self) -> int:
        """Ask how much of it has arrived; whatever is unclear means a new upload."""
        location, self._location, self._received = self._location, "", 0
        if not location:
            return 0
        answer = self._call("GET", location, again=True)
        arrived = re.fullmatch(_RANGE, answer.headers.get("Range", ""))
        if answer.status == 204 and arrived:
            self._location = location
            self._moved(answer, location)
            # "0-0" means both nothing and one byte; nothing it is, and one byte is sent in a new upload
            self._received = int(arrived[1]) + 1 if int(arrived[1]) else 0
        if not self._received or self._received > self._content.size_bytes:
            self._location, self._received = "", 0
        return self._received

    def _moved(self, answer: Response, asked: str) -> None:
        """Each answer may send the rest somewhere else, as seen from the address that was asked."""
        location = answer.headers.get("Location")
        if location:
            self._location = self._session.elsewhere(urljoin(self._session.base, asked), location)
        if not self._location:
            raise self._failed("it names no place for the content")

    def _call(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | BodySource = b"",
        again: bool = False,
    ) -> Response:
        left_s = max(1.0, self._deadline - time.monotonic())
        return self._session.call(
            method,
            url,
            scope=self._scope,
            headers=headers,
            body=body,
            limit_bytes=ERROR_LIMIT_BYTES,
            timeout_s=left_s if body or method == "PUT" else None,
            again=again or method == "POST",
        )

    def _refused(self, doing: str, answer: Response) -> Exception:
        return refusal(
            f"{doing} ({self._content.digest})",
            answer.status,
            answer.headers,
            answer.body,
            secrets=self._session.secrets(),
        )

    def _failed(self, found: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"the registry did not take {self._content.digest}",
            expected="the blob, complete",
            found=found,
            remedy="try again; what has arrived is not sent twice",
        )
