"""A file on its way to a plain connection: whatever the other side does, it ends, and as it should."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from immutag.oci.file_body import WatchedFile, as_file
from immutag.oci.http import BodySource, Fault, Http, NoAnswer, Response
from tests.faults.hostile_registry import HostileRegistry, Play, Request, Wire, hostile_registry

SIZE = 24 * 1024 * 1024  # more than the sockets between two processes hold
SKIPPED = 1000
CONTENT = os.urandom(1 << 16) * (SIZE >> 16)

Send = Callable[[Play], Response]


class Sender:
    """Sends the file to a registry that plays like this."""

    def __init__(self, http: Http, path: Path) -> None:
        self.http = http
        self.path = path
        self.reached: list[int] = []
        self.registry: HostileRegistry

    def __call__(self, play: Play, *, stall_s: float = 5, timeout_s: float = 20) -> Response:
        with (
            hostile_registry(play) as self.registry,
            WatchedFile(os.open(self.path, os.O_RDONLY), self.tell) as file,
        ):
            body = BodySource(file, SKIPPED, SIZE - SKIPPED)
            assert as_file(self.registry.url, body) is not None
            return self.http.request(
                "PUT", f"{self.registry.url}/blob", headers={"Authorization": "Basic c2VjcmV0"}, body=body,
                limit_bytes=4096, timeout_s=timeout_s, stall_s=stall_s,
            )  # fmt: skip

    def tell(self, position: int) -> None:
        self.reached.append(position)

    def fails(self, play: Play, **limits: float) -> Fault:
        begun = time.monotonic()
        with pytest.raises(NoAnswer) as caught:
            self(play, **limits)
        assert time.monotonic() - begun < 15
        assert "c2VjcmV0" not in str(caught.value)
        return caught.value.fault


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Sender]:
    (tmp_path / "blob").write_bytes(CONTENT)
    with Http(environ={}) as http:
        yield Sender(http, tmp_path / "blob")


def take(request: Request, wire: Wire) -> None:
    body = wire.read(request.length)
    wire.answer(201, {"Docker-Content-Digest": hashlib.sha256(body).hexdigest()})


def test_every_byte_arrives_from_where_it_was_to_begin(send: Sender) -> None:
    answer = send(take)
    assert answer.status == 201
    assert answer.headers["docker-content-digest"] == hashlib.sha256(CONTENT[SKIPPED:]).hexdigest()
    (request,) = send.registry.requests
    assert (request.method, request.length) == ("PUT", SIZE - SKIPPED)
    assert not {"expect", "transfer-encoding"} & {*request.headers}
    assert send.reached == sorted(send.reached)
    assert send.reached[-1] == SIZE


def test_a_body_that_is_no_file_goes_by_libcurl(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(CONTENT)
    with WatchedFile(os.open(tmp_path / "blob", os.O_RDONLY), lambda _: None) as file:
        assert as_file("https://127.0.0.1/blob", BodySource(file, 0, SIZE)) is None
        assert as_file("http://127.0.0.1/blob", BodySource(file, 0, 1000)) is None
    with (tmp_path / "blob").open("rb") as other:
        assert as_file("http://127.0.0.1/blob", BodySource(other, 0, SIZE)) is None


@pytest.mark.parametrize("status", [401, 413, 500])
def test_an_answer_before_all_was_sent_counts(status: int, send: Sender) -> None:
    def refuse(_: Request, wire: Wire) -> None:
        wire.answer(status, {}, b"enough")
        time.sleep(1)

    assert send(refuse).status == status
    assert not send.reached or send.reached[-1] < SIZE


def test_being_told_to_go_on_is_no_answer(send: Sender) -> None:
    def encourage(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.read(SIZE // 2)
        wire.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        wire.read(request.length - SIZE // 2)
        wire.answer(201)

    assert send(encourage).status == 201


def test_a_connection_that_breaks_is_one_that_broke(send: Sender) -> None:
    def break_off(_: Request, wire: Wire) -> None:
        wire.read(SIZE // 2)
        wire.hang_up()

    assert send.fails(break_off) is Fault.BROKEN


def test_who_takes_nothing_is_given_up(send: Sender) -> None:
    assert send.fails(lambda _, __: time.sleep(2), stall_s=0.5) is Fault.TIMEOUT


@pytest.mark.slow
def test_who_takes_all_and_says_nothing_is_given_up(send: Sender) -> None:
    def swallow(request: Request, wire: Wire) -> None:
        wire.read(request.length)
        time.sleep(3)

    assert send.fails(swallow, stall_s=0.5) is Fault.TIMEOUT


@pytest.mark.slow
def test_who_takes_longer_than_a_stall_but_goes_on_taking_is_waited_for(send: Sender) -> None:
    def amble(request: Request, wire: Wire) -> None:
        for _sip in range(10):
            wire.read(request.length // 10)
            time.sleep(0.5)
        wire.read(request.length % 10)
        wire.answer(201)

    assert send(amble, stall_s=3).status == 201


def test_who_takes_it_drop_by_drop_has_only_so_long(send: Sender) -> None:
    def sip(_: Request, wire: Wire) -> None:
        for _sip in range(20):
            wire.read(100_000)
            time.sleep(0.1)

    assert send.fails(sip, stall_s=5, timeout_s=1) is Fault.TIMEOUT


def test_interim_answers_without_end_are_too_many(send: Sender) -> None:
    def encourage(_: Request, wire: Wire) -> None:
        wire.endlessly(b"HTTP/1.1 100 Continue\r\n\r\n")

    assert send.fails(encourage) is Fault.TOO_LARGE


def test_a_file_that_became_shorter_is_no_upload(send: Sender) -> None:
    def cut(request: Request, wire: Wire) -> None:
        os.truncate(send.path, SIZE // 3)
        wire.read(request.length)
        wire.answer(201)

    assert send.fails(cut) is Fault.BROKEN


def test_what_the_watcher_raises_passes_through(send: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception):
        pass

    def stop(position: int) -> None:
        if position > SIZE // 2:
            raise Stopped

    monkeypatch.setattr(send, "tell", stop)
    with pytest.raises(Stopped):
        send(take)


@pytest.mark.slow
def test_a_client_that_is_closed_sends_no_more(send: Sender) -> None:
    threading.Timer(0.3, send.http.close).start()
    assert send.fails(lambda _, __: time.sleep(2.5)) is Fault.CLOSED
