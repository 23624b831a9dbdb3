"""Health over real sockets and with real programs: what counts, what does not, and when it gives up."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from immutag.core.deployment import HealthCheck
from immutag.core.errors import DeployFailure
from immutag.core.values import GitSha
from immutag.deploy.health import wait_healthy
from immutag.oci.http import Http
from tests.parts.processes import free_port

OLD, NEW = GitSha("1" * 40), GitSha("2" * 40)
Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (200, {}, b"fine")


@pytest.fixture
def http() -> Iterator[Http]:
    with Http() as client:
        yield client


class Service:
    """Answers what `answers` says, one by one; the last one again and again. Counts the requests."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.paths: list[str] = []

    def next(self, path: str) -> Answer:
        self.paths.append(path)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(*answers: Answer, port: int = 0) -> Iterator[tuple[Service, str]]:
    service = Service(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = service.next(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service, f"http://127.0.0.1:{server.server_address[1]}/healthz"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def at(url: str, *, timeout_s: float = 20.0, contains_sha: bool = False) -> HealthCheck:
    return HealthCheck(url=url, command=(), timeout_s=timeout_s, contains_sha=contains_sha)


def by(*command: str, timeout_s: float = 20.0, contains_sha: bool = False) -> HealthCheck:
    return HealthCheck(url=None, command=command, timeout_s=timeout_s, contains_sha=contains_sha)


def wait(check: HealthCheck, http: Http, *, sha: GitSha = NEW, within_s: float = 60.0) -> None:
    wait_healthy(check, sha=sha, deadline=time.monotonic() + within_s, http=http)


def why(check: HealthCheck, http: Http) -> str:
    with pytest.raises(DeployFailure, match="did not become healthy") as failure:
        wait(check, http)
    return failure.value.found


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_success_is_healthy(http: Http, status: int) -> None:
    with serving((status, {}, b"")) as (service, url):
        wait(at(url), http)
    assert service.paths == ["/healthz"]


def test_it_asks_again_until_the_service_is_ready(http: Http) -> None:
    with serving((503, {}, b"starting"), (500, {}, b""), OK) as (service, url):
        wait(at(url), http)
    assert len(service.paths) == 3


def test_a_service_that_does_not_listen_yet_is_waited_for(http: Http) -> None:
    port = free_port()
    done = threading.Event()

    def become_healthy() -> None:
        wait(at(f"http://127.0.0.1:{port}/healthz"), http)
        done.set()

    waiting = threading.Thread(target=become_healthy)
    waiting.start()
    assert not done.wait(0.2)
    with serving(OK, port=port):
        waiting.join()
    assert done.is_set()


def test_the_old_release_answering_does_not_count(http: Http) -> None:
    with serving((200, {}, f"ok {OLD}".encode()), (200, {}, f"ok {NEW}".encode())) as (service, url):
        wait(at(url, contains_sha=True), http)
    assert len(service.paths) == 2


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        ((200, {}, f'{{"commit":"{NEW}"}}'.encode()), True),
        ((200, {"X-Commit": str(NEW)}, b""), True),
        ((200, {}, b""), False),
        ((200, {}, str(NEW)[:12].encode()), False),  # short
        ((200, {}, f"sha256:{NEW}{'2' * 24}".encode()), False),  # part of a digest
        ((503, {}, str(NEW).encode()), False),
    ],
)
def test_the_full_sha_must_be_in_the_answer(http: Http, answer: Answer, holds: bool) -> None:
    with serving(answer) as (_, url):
        check = at(url, timeout_s=0.3, contains_sha=True)
        if holds:
            wait(check, http)
        else:
            assert f"status {answer[0]}" in why(check, http)


def test_a_redirect_is_neither_followed_nor_healthy(http: Http) -> None:
    with (
        serving(OK) as (elsewhere, target),
        serving((302, {"Location": target}, b"")) as (_, url),
    ):
        assert "redirect" in why(at(url, timeout_s=0.3), http)
    assert elsewhere.paths == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, {}, b"the database is gone"), "status 503: the database is gone"),
        ((500, {}, b""), "status 500: nothing said"),
        ((500, {}, b"\x1b[2J\x07bad\xff" + b"x" * 5000), "status 500"),
    ],
)
def test_it_says_what_it_saw_last_without_the_service_s_escapes(
    http: Http, answer: Answer, said: str
) -> None:
    with serving(answer) as (_, url):
        found = why(at(url, timeout_s=0.3), http)
    assert said in found and found.isprintable() and len(found) < 250


def test_an_endless_answer_is_not_read_to_its_end(http: Http) -> None:
    with serving((200, {}, b"x" * (2 * 1024 * 1024))) as (_, url):
        assert "larger than allowed" in why(at(url, timeout_s=0.3), http)


def test_nobody_there(http: Http) -> None:
    assert "no connection" in why(at(f"http://127.0.0.1:{free_port()}/", timeout_s=0.3), http)


def test_it_does_not_wait_beyond_the_deadline_of_the_lease(http: Http) -> None:
    began = time.monotonic()
    with serving((503, {}, b"")) as (service, url):
        with pytest.raises(DeployFailure):
            wait(at(url, timeout_s=300), http, within_s=0.3)
        assert service.paths
        asked = len(service.paths)
        with pytest.raises(DeployFailure, match="did not become healthy") as failure:
            wait(at(url), http, within_s=0)
        assert len(service.paths) == asked and "no time left" in failure.value.found
    assert time.monotonic() - began < 20


def test_a_program_that_ends_well_is_healthy(http: Http, tmp_path: Path) -> None:
    script = "import sys, os; open('asked', 'a').write('x'); sys.exit(os.path.getsize('asked') < 3)"
    wait_healthy(
        by(sys.executable, "-c", script), sha=NEW, deadline=time.monotonic() + 60, http=http, cwd=tmp_path
    )
    assert (tmp_path / "asked").read_text() == "xxx"


def test_a_program_is_told_and_may_have_to_say_the_sha(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMMUTAG_REGISTRY_PASSWORD", "correct horse")
    check = by("/bin/sh", "-c", 'echo "$IMMUTAG_REGISTRY_PASSWORD$IMMUTAG_IMAGE_SHA"', contains_sha=True)
    deadline = time.monotonic() + 60
    wait_healthy(check, sha=NEW, deadline=deadline, http=http, env={"IMMUTAG_IMAGE_SHA": str(NEW)})


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (("/bin/sh", "-c", "echo not yet >&2; exit 4"), "status 4: not yet"),
        (("/bin/sh", "-c", f"echo {OLD}"), "without the SHA"),
        (("./missing",), "cannot be started"),
        (("sleep", "300"), "did not end in time"),
    ],
)
def test_a_program_that_does_not_show_health(http: Http, command: tuple[str, ...], found: str) -> None:
    assert found in why(by(*command, timeout_s=0.4, contains_sha=True), http)


def test_a_service_that_accepts_and_says_nothing_uses_up_only_its_time(http: Http) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        assert "time allowed" in why(at(url, timeout_s=0.5), http)
        assert time.monotonic() - began < 10
