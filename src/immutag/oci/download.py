"""Downloading a blob: block by block, continued where the connection broke."""

import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from immutag.core.errors import MissingTag
from immutag.oci import Descriptor
from immutag.oci.http import Fault, NoAnswer, Streamed
from immutag.oci.refusal import ERROR_LIMIT_BYTES, refusal
from immutag.oci.session import Session, Waits

_RESUMABLE = frozenset({Fault.BROKEN, Fault.TIMEOUT})
_CONTENT_RANGE = r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)"


def gone(url: str) -> MissingTag:
    """The error for a clear 404: the registry does not have this content."""
    return MissingTag(
        "the registry does not have the content",
        expected=url,
        found="status 404",
        remedy="restore it there: immutag release --sha SHA brings an image back if its build gives the same "
        "bytes; immutag retention keep lists what clean-up must spare",
    )


def blob(session: Session, path: str, content: Descriptor, *, scope: str) -> Generator[bytes, None, None]:
    """The blob's bytes, unchecked. Raises RegistryUnavailable, RegistryAuth, MissingTag."""
    url = f"/v2/{path}/blobs/{content.digest}"
    waits = Waits(session.limits)
    deadline = time.monotonic() + session.limits.transfer_s  # one that breaks off at each byte makes progress
    at = 0
    while True:
        before = at
        try:
            for block in _from(session, url, at, scope):
                at += len(block)
                yield block
        except NoAnswer as failure:
            if at == content.size_bytes and failure.fault in _RESUMABLE:
                return  # only the end of it was still to be said
            if at > before:
                waits = Waits(session.limits)
            late = time.monotonic() > deadline or at > content.size_bytes
            if late or failure.fault not in _RESUMABLE or not waits.wait():
                raise
        else:
            return


def _from(session: Session, url: str, at: int, scope: str) -> Iterator[bytes]:
    """The bytes from `at` on, also from a registry that sends all of them again."""
    with _opened(session, url, at, scope) as (answer, repeated):
        left = repeated
        for block in answer.blocks:
            if left < len(block):
                yield block[left:]
            left = max(0, left - len(block))


@contextmanager
def _opened(session: Session, url: str, at: int, scope: str) -> Iterator[tuple[Streamed, int]]:
    """The answer from byte `at` on, and how many of its bytes come before that."""
    headers = {"Range": f"bytes={at}-"} if at else {}
    with session.stream(url, scope=scope, headers=headers) as answer:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise NoAnswer(Fault.NONSENSE, url, "an encoding that was not asked for")
        if answer.status == 206 and at:
            starts = re.fullmatch(_CONTENT_RANGE, answer.headers.get("Content-Range", ""))
            if starts is None or int(starts[1]) != at:
                raise NoAnswer(Fault.NONSENSE, url, "another range than the one asked for")
            yield answer, 0
        elif answer.status == 200:
            yield answer, at
        elif answer.status == 404:
            raise gone(url)
        else:
            body = b"".join(_at_most(answer.blocks))
            raise refusal("give the content", answer.status, answer.headers, body, secrets=session.secrets())


def _at_most(blocks: Iterator[bytes]) -> Iterator[bytes]:
    left = ERROR_LIMIT_BYTES
    for block in blocks:
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return
