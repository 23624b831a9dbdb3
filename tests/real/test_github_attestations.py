"""GitHub's artifact attestations, as a small real server says what GitHub's API says."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cramjam
import pytest

from immutag.core.errors import SoftVerifyToolError
from immutag.core.statement import SLSA_PROVENANCE
from immutag.oci.http import Http
from immutag.trust.evidence.github import GitHub
from immutag.trust.signing.key_signer import KeySigner
from immutag.usecases.attestations import Source
from tests.parts import registries
from tests.parts.attested import SIGNER, Image, gathered, listed, of_buildkit, pushed
from tests.parts.images import add_image

STRANGE = "https://example.com/lunch-menu/v7"


@pytest.fixture
def http_client() -> Iterator[Http]:
    client = Http(environ={})
    yield client
    client.close()


@pytest.fixture
def image(registry_referrers: registries.Registry, http_client: Http, tmp_path: Path) -> Image:
    return pushed(registry_referrers, http_client, tmp_path, add_image(tmp_path / "image", os.urandom(10)))


class Api:
    """A small GitHub: what it answers to a path, and what it was asked with."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.asked: list[tuple[str, str | None]] = []

    def say(self, path: str, document: Any, status: int = 200, **headers: str) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[path] = (status, body, headers)


@contextmanager
def running_api() -> Iterator[Api]:
    told: list[Api] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api = told[0]
            api.asked.append((self.path, self.headers.get("Authorization")))
            status, body, headers = api.answers.get(self.path, (404, b'{"message": "Not Found"}', {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.append(Api(server.server_address[1]))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield told[0]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    with running_api() as found:
        yield found


def asking(api: Api, http_client: Http) -> GitHub:
    environ = {"GITHUB_API_URL": api.url, "GITHUB_TOKEN": "secret-token"}
    return GitHub.of(http_client, environ, "https://github.com/owner/api.git")


def on_github(image: Image, predicate_type: str) -> bytes:
    statement = of_buildkit(predicate_type, image.content.digest.hex)
    return KeySigner(image.key).bundle(json.dumps(statement).encode())


def test_githubs_attestations_are_listed_page_by_page(image: Image, api: Api, http_client: Http) -> None:
    """One stands in the list itself, the other one lies compressed elsewhere: there the token does not go."""
    path = f"/repos/owner/api/attestations/{image.content.digest}"
    inline = json.loads(on_github(image, SLSA_PROVENANCE))
    next_page = f'<{api.url}{path}?per_page=30&after=x>; rel="next"'
    api.say(f"{path}?per_page=30", {"attestations": [{"bundle": inline}]}, Link=next_page)
    elsewhere = {"bundle": None, "bundle_url": f"{api.url}/storage/1.json.sn"}
    api.say(f"{path}?per_page=30&after=x", {"attestations": [elsewhere]})
    api.say("/storage/1.json.sn", bytes(cramjam.snappy.compress_raw(on_github(image, STRANGE))))
    found = gathered(image, Source.GITHUB, github=asking(api, http_client))
    assert listed(found) == [(Source.GITHUB, SLSA_PROVENANCE, SIGNER), (Source.GITHUB, STRANGE, SIGNER)]
    assert [each.problem for each in found.attestations] == [None, None]
    assert [token for asked, token in api.asked if asked.startswith("/storage")] == [None]
    assert [token for asked, token in api.asked if asked.startswith("/repos")] == ["Bearer secret-token"] * 2


def test_github_says_none_where_it_has_none_or_hides_it(image: Image, api: Api, http_client: Http) -> None:
    found = gathered(image, Source.GITHUB, github=asking(api, http_client))
    assert found.attestations == ()
    assert "none, or owner/api is not to be seen: there is no such repository" in found.places[0].answer
    assert "GITHUB_TOKEN may not read it" in found.places[0].answer
    nobody = GitHub.of(http_client, {"GITHUB_API_URL": api.url}, "https://github.com/owner/api")
    found = gathered(image, Source.GITHUB, github=nobody)
    assert "there is no GITHUB_TOKEN" in found.places[0].answer


def test_a_repository_that_is_seen_has_none(image: Image, api: Api, http_client: Http) -> None:
    api.say("/repos/owner/api", {"full_name": "owner/api"})
    found = gathered(image, Source.GITHUB, github=asking(api, http_client))
    assert (found.attestations, found.places[0].answer) == ((), "none of owner/api")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"message": "Bad credentials"}'), (403, b"{}"), (500, b""), (200, b"<html>"), (200, b"[]"),
        (200, b'{"attestations": 3}'), (302, b""),
    ],
)  # fmt: skip
def test_a_github_that_cannot_be_asked_is_no_answer(
    image: Image, api: Api, http_client: Http, status: int, body: bytes
) -> None:
    api.say(f"/repos/owner/api/attestations/{image.content.digest}?per_page=30", body, status=status)
    with pytest.raises(SoftVerifyToolError) as stopped:
        gathered(image, Source.GITHUB, github=asking(api, http_client))
    assert "secret-token" not in repr(stopped.value.as_json())
    assert ("GITHUB_TOKEN" in stopped.value.remedy) == (status in (401, 403))


def test_a_next_page_on_another_server_gets_no_token(image: Image, api: Api, http_client: Http) -> None:
    path = f"/repos/owner/api/attestations/{image.content.digest}?per_page=30"
    with running_api() as other:
        api.say(path, {"attestations": []}, Link=f'<{other.url}/x>; rel="next"')
        with pytest.raises(SoftVerifyToolError):
            gathered(image, Source.GITHUB, github=asking(api, http_client))
        assert other.asked == []


@pytest.mark.parametrize("entry", [{}, None, 3, {"bundle_url": "file:///etc/passwd"}, {"bundle": {"a": 1}}])
def test_an_attestation_that_github_does_not_give_says_so(
    image: Image, api: Api, http_client: Http, entry: object
) -> None:
    api.say(f"/repos/owner/api/attestations/{image.content.digest}?per_page=30", {"attestations": [entry]})
    (found,) = gathered(image, Source.GITHUB, github=asking(api, http_client)).attestations
    assert found.problem is not None


def test_the_token_goes_to_no_plain_http_server(http_client: Http) -> None:
    with pytest.raises(SoftVerifyToolError):
        GitHub.of(http_client, {"GITHUB_API_URL": "http://github.example"}, "https://github.com/owner/api")


@pytest.mark.parametrize("source", [None, "", "/srv/git/api", "https://host/a b/c"])
def test_a_repository_that_cannot_be_on_github_is_not_asked_for(
    http_client: Http, source: str | None
) -> None:
    with pytest.raises(SoftVerifyToolError) as stopped:
        GitHub.of(http_client, {}, source)
    assert "GITHUB_REPOSITORY" in stopped.value.remedy
    assert "GITHUB_TOKEN" not in stopped.value.remedy
