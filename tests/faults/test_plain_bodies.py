"""A large body on its way from a plain connection: it comes as it was sent, or breaks off with the reason."""

import os
import threading
import time
from collections.abc import Iterator
from itertools import islice

import pytest

from immutag.oci.http import Fault, Http, NoAnswer
from tests.faults.hostile_registry import Play, Request, Wire, hostile_registry

SIZE = 8 * 1024 * 1024
HALF = SIZE // 2
CONTENT = os.urandom(1 << 16) * (SIZE >> 16)
HEAD = f"HTTP/1.1 200 X\r\nContent-Length: {SIZE}\r\n\r\n".encode()
LIBCURL_BYTES = 192 * 1024  # more than it reads before it hands over
SECRET = "Basic c2VjcmV0"


class Reader:
    """Reads from a registry that plays like this."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.blocks: list[bytes] = []

    def __call__(self, play: Play, *, stall_s: float = 5, timeout_s: float = 20) -> bytes:
        with (
            hostile_registry(play) as registry,
            self.http.stream(
                f"{registry.url}/blob",
                headers={"Authorization": SECRET},
                timeout_s=timeout_s,
                stall_s=stall_s,
            ) as answer,
        ):
            for block in answer.blocks:
                self.blocks.append(block)
        return b"".join(self.blocks)

    def fails(self, play: Play, **limits: float) -> Fault:
        begun = time.monotonic()
        with pytest.raises(NoAnswer) as caught:
            self(play, **limits)
        assert time.monotonic() - begun < 15
        assert SECRET not in str(caught.value)
        return caught.value.fault

    @property
    def read_bytes(self) -> int:
        return sum(map(len, self.blocks))


@pytest.fixture
def read() -> Iterator[Reader]:
    with Http(environ={}) as http:
        yield Reader(http)


def begin(wire: Wire) -> None:
    """Half of it, in time: a body that has only just begun is still libcurl's."""
    wire.send(HEAD + CONTENT[:HALF])


def test_every_byte_arrives_in_large_blocks(read: Reader) -> None:
    assert read(lambda _, wire: wire.send(HEAD + CONTENT)) == CONTENT
    assert max(map(len, read.blocks)) > LIBCURL_BYTES


def test_a_body_that_comes_in_pieces_is_whole(read: Reader) -> None:
    def ramble(_: Request, wire: Wire) -> None:
        wire.send(HEAD)
        for at in range(0, SIZE, 300_000):
            wire.send(CONTENT[at : at + 300_000])
            time.sleep(0.002)

    assert read(ramble) == CONTENT


def test_what_comes_after_the_body_is_not_read(read: Reader) -> None:
    assert read(lambda _, wire: wire.send(HEAD + CONTENT + b"and more")) == CONTENT


def test_interim_answers_before_it_are_none(read: Reader) -> None:
    assert read(lambda _, wire: wire.send(b"HTTP/1.1 103 X\r\nLink: x\r\n\r\n" + HEAD + CONTENT)) == CONTENT


@pytest.mark.parametrize(
    "said",
    [f"Content-Length: {SIZE}\r\nContent-Length: {SIZE}\r\n", "Connection: close\r\n"],
    ids=["twice", "not at all"],
)
def test_a_length_that_is_not_said_once_leaves_it_to_libcurl(said: str, read: Reader) -> None:
    def send(_: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 X\r\n{said}\r\n".encode() + CONTENT)

    assert read(send) == CONTENT
    assert max(map(len, read.blocks)) <= LIBCURL_BYTES


@pytest.mark.parametrize("said", ["", f"Content-Length: {SIZE}\r\n"])
def test_chunks_are_taken_apart(said: str, read: Reader) -> None:
    def send(_: Request, wire: Wire) -> None:
        chunk = b"%x\r\n%b\r\n" % (HALF, CONTENT[:HALF])
        wire.send(f"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n{said}\r\n".encode())
        wire.send(chunk + chunk + b"0\r\n\r\n")

    assert read(send) == CONTENT[:HALF] * 2


def test_a_body_that_ends_too_early_broke_off(read: Reader) -> None:
    assert read.fails(lambda _, wire: begin(wire)) is Fault.BROKEN
    assert read.read_bytes == HALF


def test_a_connection_that_is_reset_broke_off(read: Reader) -> None:
    def reset(_: Request, wire: Wire) -> None:
        begin(wire)
        time.sleep(0.5)
        wire.hang_up()

    assert read.fails(reset) is Fault.BROKEN
    assert read.read_bytes == HALF


def test_a_body_that_stands_still_is_given_up(read: Reader) -> None:
    def stall(_: Request, wire: Wire) -> None:
        begin(wire)
        wire.silence()

    assert read.fails(stall, stall_s=1) is Fault.TIMEOUT
    assert read.read_bytes == HALF


def test_a_body_that_comes_drop_by_drop_is_given_up(read: Reader) -> None:
    def drip(_: Request, wire: Wire) -> None:
        begin(wire)
        wire.drip(CONTENT[HALF:], 0.02)

    assert read.fails(drip, stall_s=1) is Fault.TIMEOUT
    assert read.read_bytes < HALF + 256


@pytest.mark.slow
def test_a_slow_body_is_waited_for_and_has_only_so_long(read: Reader) -> None:
    def amble(_: Request, wire: Wire) -> None:
        begin(wire)
        for at in range(HALF, SIZE, 2000):
            wire.send(CONTENT[at : at + 2000])
            time.sleep(0.02)

    assert read.fails(amble, stall_s=1, timeout_s=4) is Fault.TIMEOUT
    assert read.read_bytes > HALF + 100_000


def test_a_client_that_is_closed_reads_no_more(read: Reader) -> None:
    def stall(_: Request, wire: Wire) -> None:
        begin(wire)
        wire.silence()

    threading.Timer(0.3, read.http.close).start()
    assert read.fails(stall) is Fault.CLOSED


def test_a_reader_that_has_had_enough_leaves(read: Reader) -> None:
    def endless(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 X\r\nContent-Length: 999999999999999999\r\n\r\n")
        wire.endlessly(CONTENT)

    begun = time.monotonic()
    with (
        hostile_registry(endless) as registry,
        read.http.stream(f"{registry.url}/blob", headers={}, timeout_s=60, stall_s=60) as answer,
    ):
        assert all(islice(answer.blocks, 100))
    assert time.monotonic() - begun < 10
    assert registry.wires[0].sent_bytes < 1 << 28
