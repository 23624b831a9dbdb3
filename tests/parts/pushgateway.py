"""Prometheus's Pushgateway."""

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.parts.processes import Server, server
from tests.parts.programs import program


@dataclass(frozen=True, slots=True)
class Pushgateway:
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def metrics(self) -> str:
        """All that was pushed, as Prometheus would scrape it."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text


@pytest.fixture(scope="session")
def pushgateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushgateway]:
    binary, log = program("prometheus-pushgateway"), tmp_path_factory.mktemp("pushgateway") / "log"
    with server(lambda port: [binary, f"--web.listen-address=127.0.0.1:{port}"], log=log) as running:
        yield Pushgateway(running)
