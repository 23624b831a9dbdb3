"""A registry that is broken or hostile costs a little time; never memory, credentials or a wrong answer."""

import gzip
import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO

import pytest

from immutag.core.errors import (
    DigestMismatch,
    ImmutagError,
    MissingTag,
    PushFailure,
    RegistryAuth,
    RegistryUnavailable,
    SoftVerifyToolError,
)
from immutag.core.values import Digest, GitSha, Repository
from immutag.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor, listing
from immutag.oci.auth import Credentials
from immutag.oci.http import Http
from immutag.oci.referrers import legacy_manifest, listed_by_api, referrers
from immutag.oci.registry import Registry
from immutag.oci.session import Limits
from immutag.oci.standard_tag import Suffix
from immutag.trust.places import look
from immutag.usecases.retention import Gather
from tests.faults.hostile_registry import (
    HostileRegistry,
    Play,
    Request,
    Wire,
    answer,
    errors,
    hostile_registry,
)
from tests.parts.processes import free_port

SHA = GitSha("a" * 40)
SECRET = "s3cret-password"
FAST = Limits(timeout_s=1.0, stall_s=1.0, transfer_s=5.0, tries=3, first_wait_s=0.01, patience_s=1.0)
SLOWEST_S = 8.0  # any of these, on a busy machine
LAYER = "application/vnd.oci.image.layer.v1.tar"

MANIFEST = json.dumps({
    "schemaVersion": 2, "mediaType": IMAGE_MANIFEST,
    "config": {"mediaType": LAYER, "digest": f"sha256:{'c' * 64}", "size": 2}, "layers": [],
}).encode()  # fmt: skip
OTHER = MANIFEST.replace(b'"size": 2', b'"size": 3')
BLOB = bytes(range(256)) * 4096  # 1 MiB
TYPE = {"Content-Type": IMAGE_MANIFEST}

Start = Callable[[Play], HostileRegistry]


def described(content: bytes, media_type: str = IMAGE_MANIFEST) -> Descriptor:
    return Descriptor(media_type, Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"), len(content))


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as running:
        yield lambda play: running.enter_context(hostile_registry(play))


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(environ={}) as client:
        yield client


def client(
    http: Http, server: HostileRegistry, *, limits: Limits = FAST, push_timeout_s: float = 10.0
) -> Registry:
    return Registry(
        Repository(server.host, "owner/api"),
        http=http,
        credentials=lambda: Credentials("tester", SECRET),
        limits=limits,
        push_timeout_s=push_timeout_s,
    )


def _always(raw: bytes) -> Play:
    return lambda _, wire: wire.send(raw)


def _found(body: bytes = MANIFEST, **headers: str) -> bytes:
    return answer(200, {**TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}}, body)


def _bearer(realm: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="repository:owner/api:pull"'}


def _hang_up(_: Request, wire: Wire) -> None:
    wire.hang_up()


def _endless_body(_: Request, wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: " + IMAGE_MANIFEST.encode() + b"\r\n\r\n")
    wire.endlessly(b"x" * 65536)


def _endless_refusal(_: Request, wire: Wire) -> None:
    wire.send(b"HTTP/1.1 403 X\r\n\r\n")
    wire.endlessly(b"x" * 65536)


def _endless_headers(_: Request, wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n")
    wire.endlessly(b"X-More: " + b"y" * 1000 + b"\r\n")


def _one_long_header(_: Request, wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    wire.endlessly(b"y" * 65536)


def _endless_interim_answers(_: Request, wire: Wire) -> None:
    wire.endlessly(b"HTTP/1.1 102 Processing\r\nX-More: y\r\n\r\n")


def _slow_headers(_: Request, wire: Wire) -> None:
    wire.drip(_found(), 0.05)


def _slow_body(_: Request, wire: Wire) -> None:
    whole = _found()
    wire.send(whole[: -len(MANIFEST)])
    wire.drip(MANIFEST, 0.05)


def _redirects_for_ever(request: Request, wire: Wire) -> None:
    wire.answer(307, {"Location": f"{request.path}x"})


READING: dict[str, tuple[Play, type[ImmutagError]]] = {
    "slow headers": (_slow_headers, RegistryUnavailable),
    "slow body": (_slow_body, RegistryUnavailable),
    "silence": (lambda _, wire: wire.silence(), RegistryUnavailable),
    "endless body": (_endless_body, RegistryUnavailable),
    "endless headers": (_endless_headers, RegistryUnavailable),
    "one endless header": (_one_long_header, RegistryUnavailable),
    "endless interim answers": (_endless_interim_answers, RegistryUnavailable),
    "connection closed without an answer": (lambda _, __: None, RegistryUnavailable),
    "connection reset": (_hang_up, RegistryUnavailable),
    "truncated body": (_always(_found(Content_Length="5000")), RegistryUnavailable),
    "a length that is none": (_always(_found(Content_Length="many")), RegistryUnavailable),
    "two lengths": (
        _always(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
        RegistryUnavailable,
    ),
    "a length beyond bounds": (_always(_found(Content_Length=str(100 << 20))), RegistryUnavailable),
    "a status of four digits": (_always(b"HTTP/1.1 2000 OK\r\n\r\n"), RegistryUnavailable),
    "an encoding of the transfer that nobody asked for": (
        _always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + gzip.compress(MANIFEST)),
        RegistryUnavailable,
    ),
    "a chunk without end": (
        _always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"),
        RegistryUnavailable,
    ),
    "another protocol": (
        _always(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
        RegistryUnavailable,
    ),
    "a redirect that is not ASCII": (_always(answer(307, {"Location": "/v2/\xe9"})), RegistryUnavailable),
    "a redirect to a host that is not ASCII": (
        _always(answer(307, {"Location": "http://\xe9.example/"})), RegistryUnavailable,
    ),
    "a redirect with an escape": (_always(answer(307, {"Location": "/v2/\x1b[2J"})), RegistryUnavailable),
    "busy until no date": (
        _always(answer(503, {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"})),
        RegistryUnavailable,
    ),
    "a token server that is not ASCII": (
        _always(answer(401, _bearer("https://t\xe9.example/"))), RegistryUnavailable,
    ),
    "a token server that is no address": (_always(answer(401, _bearer("https://[::::]/"))), RegistryAuth),
    "not HTTP": (_always(b"SSH-2.0-OpenSSH_9.2\r\n"), RegistryUnavailable),
    "a refusal without end": (_endless_refusal, RegistryAuth),
    "a null byte in a header": (_always(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"), RegistryUnavailable),
    "a status that is none": (_always(b"HTTP/1.1 abc OK\r\n\r\n"), RegistryUnavailable),
    "a web page": (
        _always(answer(200, {"Content-Type": "text/html"}, b"<html>log in</html>")), RegistryUnavailable,
    ),
    "an empty answer": (_always(_found(b"")), RegistryUnavailable),
    "no content": (_always(answer(204)), RegistryUnavailable),
    "JSON that is no manifest": (
        _always(answer(200, {"Content-Type": "application/json"}, b"[1]")), RegistryUnavailable,
    ),
    "JSON without end": (
        _always(answer(200, {"Content-Type": "application/json"}, b"[" * 100_000)), RegistryUnavailable,
    ),
    "an encoding nobody asked for": (
        _always(_found(gzip.compress(MANIFEST), Content_Encoding="gzip")), RegistryUnavailable,
    ),
    "a redirect loop": (_redirects_for_ever, RegistryUnavailable),
    "a redirect to a file": (_always(answer(302, {"Location": "file:///etc/passwd"})), RegistryUnavailable),
    "a redirect to nowhere": (_always(answer(302)), RegistryUnavailable),
    "a redirect to nonsense": (_always(answer(302, {"Location": "http://[::"})), RegistryUnavailable),
    "a redirect with a user": (_always(answer(302, {"Location": "http://u:p@h/"})), RegistryUnavailable),
    "a defect of the registry": (_always(answer(500, None, errors("UNKNOWN"))), RegistryUnavailable),
    "not available": (_always(answer(503)), RegistryUnavailable),
    "busy for an hour": (_always(answer(429, {"Retry-After": "3600"})), RegistryUnavailable),
    "busy until tomorrow": (
        _always(answer(429, {"Retry-After": formatdate(time.time() + 86400, usegmt=True)})),
        RegistryUnavailable,
    ),
    "busy for nonsense": (_always(answer(429, {"Retry-After": "soon"})), RegistryUnavailable),
    "denied": (_always(answer(403, None, errors("DENIED"))), RegistryAuth),
    "refused for ever": (_always(answer(401, {"WWW-Authenticate": 'Basic realm="r"'})), RegistryAuth),
    "refused without a way in": (_always(answer(401)), RegistryAuth),
    "refused, with a way in that nobody knows": (
        _always(answer(401, {"WWW-Authenticate": "Negotiate"})), RegistryAuth,
    ),
    "a token server elsewhere, without TLS": (
        _always(answer(401, _bearer("http://tokens.example/token"))), RegistryAuth,
    ),
    "a token server that is a file": (_always(answer(401, _bearer("file:///etc/passwd"))), RegistryAuth),
}  # fmt: skip


@pytest.mark.parametrize("name", READING)
def test_ignorance_is_never_absence(name: str, start: Start, http: Http) -> None:
    play, kind = READING[name]
    server = start(play)
    registry = client(http, server)
    begun = time.monotonic()
    with pytest.raises(ImmutagError) as caught:
        registry.resolve(SHA)
    assert time.monotonic() - begun < SLOWEST_S
    assert isinstance(caught.value, kind), caught.value.as_json()
    assert SECRET not in str(caught.value.as_json())
    assert all(len(text) < 500 and text.isprintable() for text in caught.value.as_json().values())
    assert len(server.requests) <= FAST.redirects + 1
    assert all(wire.sent_bytes < 16 << 20 for wire in server.wires)  # 4 MiB, and what sockets hold


def test_a_head_that_is_too_large_is_said_to_be(start: Start, http: Http) -> None:
    server = start(_always(answer(200, {**TYPE, "X-Long": "x" * 90_000}, MANIFEST)))
    with pytest.raises(RegistryUnavailable) as caught:
        client(http, server).resolve(SHA)
    assert caught.value.found == "the answer is larger than allowed"


def test_nothing_listens(http: Http) -> None:
    registry = Registry(Repository(f"127.0.0.1:{free_port()}", "api"), http=http, limits=FAST)
    with pytest.raises(RegistryUnavailable):
        registry.resolve(SHA)
    with pytest.raises(RegistryUnavailable):
        registry.ping()
    with pytest.raises(PushFailure):
        registry.push(described(BLOB, LAYER), io.BytesIO(BLOB))


@pytest.mark.parametrize("body", [b"", errors("NAME_UNKNOWN"), errors("MANIFEST_UNKNOWN"), b"<html></html>"])
def test_a_clear_404_is_absence(body: bytes, start: Start, http: Http) -> None:
    registry = client(http, start(_always(answer(404, None, body))))
    assert registry.resolve(SHA) is None
    assert registry.describe(described(MANIFEST).digest) is None
    assert not registry.exists(described(BLOB, LAYER))
    assert registry.tags() == []
    with pytest.raises(MissingTag):
        registry.manifest(described(MANIFEST))
    with pytest.raises(MissingTag), registry.fetch(described(BLOB, LAYER)) as blocks:
        list(blocks)


@pytest.mark.parametrize("hint", ["", f"sha256:{'0' * 64}", "nonsense"])
def test_the_digest_header_is_only_a_hint(hint: str, start: Start, http: Http) -> None:
    registry = client(http, start(_always(_found(Docker_Content_Digest=hint))))
    assert registry.resolve(SHA) == described(MANIFEST)
    assert registry.manifest(described(MANIFEST)) == MANIFEST


@pytest.mark.parametrize("line", [b"HTTP/x: y", b"HTTP/1.1 404: y"])
@pytest.mark.parametrize("trailing", [False, True])
def test_a_header_that_looks_like_a_status_is_a_header(
    trailing: bool, line: bytes, start: Start, http: Http, capfd: pytest.CaptureFixture[str]
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(MANIFEST), MANIFEST)
    raw = (
        head + b"\r\n" + chunks + line + b"\r\n\r\n"
        if trailing
        else head + line + b"\r\n\r\n" + chunks + b"\r\n"
    )
    assert client(http, start(_always(raw))).resolve(SHA) == described(MANIFEST)
    assert "Traceback" not in capfd.readouterr().err


def test_a_trailer_changes_no_header(start: Start, http: Http) -> None:
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(MANIFEST), MANIFEST)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = start(_always(head + chunks + b"Content-Encoding: gzip\r\n\r\n"))
    assert client(http, server).resolve(SHA) == described(MANIFEST)


@pytest.mark.parametrize("bytes_", [OTHER, b"\xff\xfe\x00 not JSON", MANIFEST[:-1], MANIFEST + b" "])
def test_other_bytes_have_another_digest(bytes_: bytes, start: Start, http: Http) -> None:
    registry = client(
        http, start(_always(_found(bytes_, Docker_Content_Digest=str(described(MANIFEST).digest))))
    )
    found = registry.resolve(SHA)
    assert found == described(bytes_)
    with pytest.raises(DigestMismatch):
        registry.manifest(described(MANIFEST))
    with pytest.raises(DigestMismatch):
        registry.describe(described(MANIFEST).digest)


def test_what_the_bytes_say_wins_over_the_header(start: Start, http: Http) -> None:
    index = json.dumps({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": None}).encode()
    registry = client(http, start(_always(answer(200, TYPE, index))))
    assert registry.resolve(SHA) == described(index, IMAGE_INDEX)


def test_a_busy_registry_is_asked_again(start: Start, http: Http) -> None:
    def play(_: Request, wire: Wire) -> None:
        wire.send(_found() if len(server.requests) == 3 else answer(503, {"Retry-After": "0"}))

    server = start(play)
    assert client(http, server).resolve(SHA) == described(MANIFEST)
    assert len(server.requests) == 3


def test_no_encoding_is_asked_for(start: Start, http: Http) -> None:
    server = start(_always(_found()))
    client(http, server).resolve(SHA)
    assert "accept-encoding" not in server.requests[0].headers
    assert IMAGE_INDEX in server.requests[0].headers["accept"]


# --- credentials


def _wants_basic(then: Play) -> Play:
    def play(request: Request, wire: Wire) -> None:
        if "authorization" in request.headers:
            then(request, wire)
        else:
            wire.answer(401, {"WWW-Authenticate": 'Basic realm="r"'})

    return play


def test_a_redirect_to_another_server_carries_no_credentials(start: Start, http: Http) -> None:
    storage = start(_always(answer(200, None, BLOB)))
    server = start(_wants_basic(lambda _, wire: wire.answer(307, {"Location": f"{storage.url}/blob?sig=1"})))
    with client(http, server).fetch(described(BLOB, LAYER)) as blocks:
        assert b"".join(blocks) == BLOB
    assert len(server.requests) == 2
    assert [("authorization" in r.headers, r.path) for r in storage.requests] == [(False, "/blob?sig=1")]


def test_a_redirect_within_the_server_keeps_them(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        wire.send(_found() if request.path == "/moved" else answer(301, {"Location": "/moved"}))

    server = start(_wants_basic(play))
    assert client(http, server).resolve(SHA) == described(MANIFEST)
    assert "authorization" in server.requests[-1].headers


def test_a_refusal_elsewhere_gets_no_credentials(start: Start, http: Http) -> None:
    elsewhere = start(_always(answer(401, {"WWW-Authenticate": 'Basic realm="mine"'})))
    server = start(lambda _, wire: wire.answer(307, {"Location": elsewhere.url}))
    with pytest.raises(RegistryAuth):
        client(http, server).resolve(SHA)
    assert all("authorization" not in r.headers for r in (*elsewhere.requests, *server.requests))


def test_a_token_server_elsewhere_is_not_even_asked(start: Start, http: Http) -> None:
    # the registry is not on loopback, so a token server on loopback is somebody else's service
    elsewhere = start(_always(answer(200, None, b'{"token":"t"}')))
    proxy = start(lambda _, wire: wire.answer(401, _bearer(f"{elsewhere.url}/token")))
    with Http(environ={"http_proxy": proxy.url}) as proxied, pytest.raises(RegistryAuth):
        Registry(
            Repository("registry.example", "api"), http=proxied, plain_http=True, limits=FAST,
            credentials=lambda: Credentials("tester", SECRET),
        ).resolve(SHA)  # fmt: skip
    assert proxy.requests[0].path.startswith("http://registry.example/")
    assert elsewhere.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "127%2e0.0.1", "[::ffff:127.0.0.1]"])
def test_a_registry_elsewhere_sends_us_to_no_service_of_this_machine(host: str, start: Start) -> None:
    here = start(_always(_found()))
    proxy = start(lambda _, wire: wire.answer(307, {"Location": f"http://{host}:{here.port}/"}))
    with Http(environ={"http_proxy": proxy.url}) as proxied, pytest.raises(RegistryUnavailable) as caught:
        Registry(
            Repository("registry.example", "api"), http=proxied, plain_http=True, limits=FAST
        ).resolve(SHA)  # fmt: skip
    assert "this machine" in caught.value.found
    assert here.requests == []


def test_an_authoritys_file_may_have_any_name(tmp_path: Path) -> None:
    ca, folder = tmp_path / "authorité.pem", tmp_path / "certs"
    ca.write_text("no certificate")
    folder.mkdir()
    (folder / "0a1b2c3d.0").touch()
    with Http(ca=ca, environ={"SSL_CERT_DIR": str(folder)}) as secured, pytest.raises(RegistryUnavailable):
        Registry(
            Repository(f"127.0.0.1:{free_port()}", "a"), http=secured, plain_http=False, limits=FAST
        ).ping()


@pytest.mark.parametrize(
    "token",
    [
        b"{}",
        b"[]",
        b"nonsense",
        b'{"token": 5}',
        b'{"token": "a\\r\\nX: y"}',
        b'{"token": ""}',
        b"[" * 100_000,
    ],
)
def test_a_token_server_that_gives_nonsense(token: bytes, start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        if request.path.startswith("/token"):
            wire.answer(200, None, token)
        else:
            wire.answer(401, _bearer(f"{server.url}/token"))

    server = start(play)
    with pytest.raises(RegistryUnavailable):
        client(http, server).resolve(SHA)
    assert len(server.requests) == 2


def test_a_token_that_lives_for_ever_is_none(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        if request.path.startswith("/token"):
            wire.answer(200, None, b'{"token": "t", "expires_in": 1%b}' % (b"0" * 400))
        else:
            wire.answer(401, _bearer(f"{server.url}/token"))

    server = start(play)
    with pytest.raises(RegistryUnavailable):
        client(http, server).resolve(SHA)


def test_a_token_is_renewed_once_and_no_more(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        if request.path.startswith("/token"):
            wire.answer(200, None, json.dumps({"token": f"t{len(server.requests)}"}).encode())
        else:
            wire.answer(401, _bearer(f"{server.url}/token"))

    server = start(play)
    registry = client(http, server)
    for asked in (3, 6):
        with pytest.raises(RegistryAuth):
            registry.resolve(SHA)
        assert len(server.requests) == asked


def test_a_registry_that_repeats_our_password_is_not_quoted(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        wire.answer(500, None, errors("X", f"you said {request.headers['authorization']} and {SECRET}"))

    with pytest.raises(RegistryUnavailable) as caught:
        client(http, start(_wants_basic(play))).resolve(SHA)
    assert SECRET not in str(caught.value.as_json())
    assert "dGVzdGVyOnMz" not in str(caught.value.as_json())


def test_an_address_that_repeats_our_password_is_not_quoted(start: Start, http: Http) -> None:
    for location in (f"ftp://x/{SECRET}", f"http://127.0.0.1:1/{SECRET}"):
        server = start(_wants_basic(lambda _, wire, to=location: wire.answer(307, {"Location": to})))  # type: ignore[misc]
        with pytest.raises(RegistryUnavailable) as caught:
            client(http, server).resolve(SHA)
        assert SECRET not in str(caught.value.as_json())


def test_a_proxys_password_is_not_quoted(start: Start) -> None:
    proxy = f"gopher://user:{SECRET}@127.0.0.1:1"
    with Http(environ={"http_proxy": proxy}) as proxied, pytest.raises(RegistryUnavailable) as caught:
        Registry(Repository("registry.example", "api"), http=proxied, plain_http=True, limits=FAST).resolve(
            SHA
        )
    assert SECRET not in str(caught.value.as_json())


def test_what_the_environment_says_of_proxies_may_be_any_bytes(start: Start) -> None:
    for environ in (
        {"http_proxy": "http://\xe9/"},
        {"http_proxy": "http://127.0.0.1:1", "no_proxy": "\udcff"},
    ):
        with Http(environ=environ) as proxied, pytest.raises(RegistryUnavailable):
            Registry(Repository("registry.example", "api"), http=proxied, plain_http=True, limits=FAST).ping()


def test_an_address_in_a_message_has_no_query(start: Start, http: Http) -> None:
    storage = start(_hang_up)
    server = start(lambda _, wire: wire.answer(307, {"Location": f"{storage.url}/b?signature=hidden"}))
    with pytest.raises(RegistryUnavailable) as caught:
        client(http, server).resolve(SHA)
    assert "hidden" not in str(caught.value.as_json())


# --- content


def _blob_faults() -> dict[str, tuple[bytes, type[ImmutagError]]]:
    return {
        "other bytes": (answer(200, None, BLOB[::-1]), DigestMismatch),
        "complete but short": (answer(200, None, BLOB[:-1]), DigestMismatch),
        "one byte more": (answer(200, None, BLOB + b"x"), DigestMismatch),
        "truncated each time": (
            answer(200, {"Content-Length": str(len(BLOB))}, BLOB[:1000]), RegistryUnavailable,
        ),
        "encoded": (answer(200, {"Content-Encoding": "gzip"}, gzip.compress(BLOB)), RegistryUnavailable),
        "a web page": (answer(200, {"Content-Type": "text/html"}, b"<html></html>"), DigestMismatch),
        "forbidden": (answer(403, None, errors("DENIED")), RegistryAuth),
        "broken": (answer(500, None, b"x" * 100_000), RegistryUnavailable),
    }  # fmt: skip


@pytest.mark.parametrize("name", _blob_faults())
def test_a_bad_blob_never_ends_well(name: str, start: Start, http: Http) -> None:
    raw, kind = _blob_faults()[name]
    registry = client(http, start(_always(raw)))
    received = b""
    with pytest.raises(kind), registry.fetch(described(BLOB, LAYER)) as blocks:
        for block in blocks:
            received += block
    assert len(received) < len(BLOB)


def test_an_endless_blob_is_left_at_once(start: Start, http: Http) -> None:
    server = start(_endless_body)
    with pytest.raises(DigestMismatch), client(http, server).fetch(described(BLOB, LAYER)) as blocks:
        list(blocks)
    assert server.wires[0].sent_bytes < 32 << 20


@pytest.mark.slow
def test_a_stalled_blob_is_given_up(start: Start, http: Http) -> None:
    def play(_: Request, wire: Wire) -> None:
        wire.send(answer(200, {"Content-Length": str(len(BLOB))}, BLOB[:5000]))
        wire.silence()

    begun = time.monotonic()
    limits = Limits(timeout_s=1.0, stall_s=1.0, transfer_s=2.0, tries=1)
    with (
        pytest.raises(RegistryUnavailable),
        client(http, start(play), limits=limits).fetch(described(BLOB, LAYER)) as blocks,
    ):
        list(blocks)
    assert time.monotonic() - begun < SLOWEST_S


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke(ranges: bool, start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        at = int(request.headers.get("range", "bytes=0-")[6:-1])
        end = min(len(BLOB), at + 300_000) if ranges else 400_000 * len(server.requests)
        if ranges and at:
            sent = {"Content-Range": f"bytes {at}-{len(BLOB) - 1}/{len(BLOB)}"}
            wire.answer(206, {**sent, "Content-Length": str(len(BLOB) - at)}, BLOB[at:end])
        else:
            wire.answer(200, {"Content-Length": str(len(BLOB))}, BLOB[:end])

    server = start(play)
    with client(http, server).fetch(described(BLOB, LAYER)) as blocks:
        assert b"".join(blocks) == BLOB
    assert len(server.requests) > 2


def test_a_download_that_breaks_off_after_the_last_byte_is_whole(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        if "range" in request.headers:  # from the end on there is nothing
            wire.answer(416)
            return
        chunk = f"{len(BLOB):x}\r\n".encode() + BLOB + b"\r\n"
        wire.send(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)

    with client(http, start(play)).fetch(described(BLOB, LAYER)) as blocks:
        assert b"".join(blocks) == BLOB


def test_another_range_than_asked_for_is_nonsense(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        if "range" in request.headers:
            wire.answer(206, {"Content-Range": f"bytes 5-9/{len(BLOB)}"}, BLOB[5:])
        else:
            wire.answer(200, {"Content-Length": str(len(BLOB))}, BLOB[:1000])

    with (
        pytest.raises(RegistryUnavailable),
        client(http, start(play)).fetch(described(BLOB, LAYER)) as blocks,
    ):
        list(blocks)


@pytest.mark.parametrize(
    "link",
    ['</v2/owner/api/tags/list>; rel="next"', '<file:///etc/passwd>; rel="next"', "<//evil/x>; rel=next"],
)
def test_a_list_that_leads_astray(link: str, start: Start, http: Http) -> None:
    server = start(_always(answer(200, {"Link": link}, b'{"tags": ["a"]}')))
    with pytest.raises(RegistryUnavailable):
        client(http, server).tags()
    assert len(server.requests) <= 2


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"nonsense", b"\xff", b"[" * 100_000, b"{}", b'{"errors": []}', b'{"tags": 5}',
        b'{"tags": true}',
        b'{"tags": "abc"}', b'{"tags": {"a": 1}}', b'{"tags": ["a", null]}', b'{"tags": NaN}',
        b'{"tags": 1%b}' % (b"0" * 5000),
    ],
)  # fmt: skip
def test_a_list_that_is_none(body: bytes, start: Start, http: Http) -> None:
    with pytest.raises(RegistryUnavailable):
        client(http, start(_always(answer(200, None, body)))).tags()


@pytest.mark.parametrize("body", [b'{"name": "a"}', b'{"tags": null}', b'{"tags": []}'])
def test_a_list_of_no_tags_is_empty(body: bytes, start: Start, http: Http) -> None:
    assert client(http, start(_always(answer(200, None, body)))).tags() == []


@pytest.mark.parametrize("status", [404, 302, 500])
def test_a_list_that_breaks_off_is_no_shorter_list(status: int, start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        link = {"Link": f'<{request.path}?n=2>; rel="next"', "Content-Type": IMAGE_INDEX}
        body = _index(ABOUT_IT) if "/referrers/" in request.path else b'{"tags": ["a"]}'
        wire.send(answer(status) if "n=2" in request.path else answer(200, link, body))

    registry = client(http, start(play))
    with pytest.raises(RegistryUnavailable):
        registry.tags()
    with pytest.raises(RegistryUnavailable):
        listed_by_api(registry, described(MANIFEST).digest)


def test_more_tags_than_can_be_borne_are_no_list(start: Start, http: Http) -> None:
    page = json.dumps({"tags": ["a" * 4_000_000]}).encode()

    def play(request: Request, wire: Wire) -> None:
        link = f'</v2/owner/api/tags/list?last={len(server.requests)}>; rel="next"'
        wire.answer(200, {"Link": link}, page)

    server = start(play)
    with pytest.raises(RegistryUnavailable, match="cannot be read"):
        client(http, server).tags()
    assert len(server.requests) < 20


def test_a_list_that_takes_for_ever_is_left(
    start: Start, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(request: Request, wire: Wire) -> None:
        link = f'</v2/owner/api/tags/list?last={len(server.requests)}>; rel="next"'
        time.sleep(0.1)
        wire.answer(200, {"Link": link}, b'{"tags": ["a"]}')

    monkeypatch.setattr(listing, "_PATIENCE_S", 0.5)
    server = start(play)
    with pytest.raises(RegistryUnavailable):
        client(http, server).tags()
    assert len(server.requests) < 20


@pytest.mark.parametrize("link", ["<" * 60_000, "<a>" * 20_000, "<a>" + ";a=b" * 15_000 + "!"])
def test_a_link_of_nonsense_costs_no_time(link: str, start: Start, http: Http) -> None:
    server = start(_always(answer(200, {"Link": link}, b'{"tags": ["a"]}')))
    begun = time.monotonic()
    assert client(http, server).tags() == ["a"]
    assert time.monotonic() - begun < 1


def test_a_blob_that_comes_byte_by_byte_is_given_up(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        at = int(request.headers.get("range", "bytes=0-")[6:-1])
        sent = {
            "Content-Range": f"bytes {at}-{len(BLOB) - 1}/{len(BLOB)}",
            "Content-Length": str(len(BLOB) - at),
        }
        wire.answer(206 if at else 200, sent, BLOB[at : at + 1])

    server = start(play)
    limits = Limits(timeout_s=1.0, stall_s=1.0, transfer_s=1.0, tries=3, first_wait_s=0.001)
    begun = time.monotonic()
    with (
        pytest.raises(RegistryUnavailable),
        client(http, server, limits=limits).fetch(described(BLOB, LAYER)) as blocks,
    ):
        list(blocks)
    assert time.monotonic() - begun < SLOWEST_S


def test_one_tag_that_cannot_be_asked_does_not_lose_the_others(start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        wire.send(answer(500) if "b" * 40 in request.path else _found())

    tags = [GitSha("a" * 40), GitSha("b" * 40), GitSha("c" * 40)]
    first, second, third = client(http, start(play)).resolve_many(tags)
    assert first == third == described(MANIFEST)
    assert isinstance(second, RegistryUnavailable)


# --- pushing


class Uploads:
    """A registry's uploads as the specification has them, with one fault."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.received = b""
        self.blob: bytes | None = None
        self.elsewhere = ""
        self.tried = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request, wire: Wire) -> None:
        with self._lock:
            getattr(self, request.method.lower())(request, wire)

    def head(self, _: Request, wire: Wire) -> None:
        wire.answer(404)

    def post(self, request: Request, wire: Wire) -> None:
        self.received = b""
        wire.answer(202, {"Location": f"{self.elsewhere}/upload?state=1"})

    def get(self, _: Request, wire: Wire) -> None:
        if self.fault == "breaks, and forgets":
            wire.answer(404)
        elif self.received:
            wire.answer(204, {"Location": "/upload?state=2", "Range": f"0-{len(self.received) - 1}"})
        else:
            wire.answer(204, {"Location": "/upload?state=2", "Range": "0-0"})

    def put(self, request: Request, wire: Wire) -> None:
        self.tried += 1
        if self.fault.startswith("breaks") and self.tried == 1:
            self.received += wire.read(300_000)
            wire.hang_up()
            return
        if self.fault == "too large" and request.length > 17 << 20:
            wire.answer(413, None, b"<html>too large</html>")
            wire.silence()
            return
        if self.fault == "busy" and self.tried < 3:
            wire.read(request.length)
            wire.answer(503)
            return
        self.received += wire.read(request.length)
        self.blob = self.received
        wire.answer(201, {"Location": "/blob"})

    def patch(self, request: Request, wire: Wire) -> None:
        first = int(request.headers["content-range"].partition("-")[0])
        if first != len(self.received):
            wire.answer(416)
            return
        self.received += wire.read(request.length)
        wire.answer(202, {"Location": "/upload?state=3", "Range": f"0-{len(self.received) - 1}"})


@pytest.mark.parametrize("fault", ["", "breaks", "breaks, and forgets", "busy"])
def test_an_upload_arrives_in_the_end(fault: str, start: Start, http: Http) -> None:
    uploads = Uploads(fault)
    server = start(uploads)
    client(http, server).push(described(BLOB, LAYER), io.BytesIO(BLOB))
    assert uploads.blob == BLOB
    if fault == "breaks":  # what had arrived was not sent again
        (patch,) = server.asked("PATCH")
        assert patch.length == len(BLOB) - 300_000
    assert all("expect" not in request.headers for request in server.requests)


def test_what_is_too_large_for_one_request_goes_in_chunks(start: Start, http: Http) -> None:
    content = b"0123456789abcdef" * (20 << 16)  # 20 MiB
    uploads = Uploads("too large")
    server = start(uploads)
    client(http, server).push(described(content, LAYER), io.BytesIO(content))
    assert uploads.blob == content
    assert [request.length for request in server.asked("PATCH")] == [16 << 20, 4 << 20]


@pytest.mark.parametrize(
    ("location", "arrives"),
    [
        ("uuid?state=1", "/v2/owner/api/blobs/uploads/uuid?state=1&digest="),
        ("?state=1", "/v2/owner/api/blobs/uploads/?state=1&digest="),
        ("/upload?state=1#part", "/upload?state=1&digest="),
    ],
)
def test_an_upload_goes_where_it_is_sent(location: str, arrives: str, start: Start, http: Http) -> None:
    class Elsewhere(Uploads):
        def post(self, request: Request, wire: Wire) -> None:
            wire.answer(202, {"Location": location})

    uploads = Elsewhere()
    server = start(uploads)
    client(http, server).push(described(BLOB, LAYER), io.BytesIO(BLOB))
    assert uploads.blob == BLOB
    assert [request.path.startswith(arrives) for request in server.asked("PUT")] == [True]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_was_taken_in_other_words_was_taken(status: int, start: Start, http: Http) -> None:
    class Wordy(Uploads):
        def put(self, request: Request, wire: Wire) -> None:
            self.blob = wire.read(request.length)
            wire.answer(status)

    for content, kind in ((BLOB, LAYER), (MANIFEST, IMAGE_MANIFEST)):
        uploads = Wordy()
        server = start(uploads)
        client(http, server).push(described(content, kind), io.BytesIO(content))
        assert uploads.blob == content
        assert len(server.asked("PUT")) == 1


@pytest.mark.parametrize("refused", [403, 405, 501])
@pytest.mark.parametrize(("status", "is_there"), [(200, True), (404, False)])
def test_who_answers_no_head_is_asked_with_get(
    refused: int, status: int, is_there: bool, start: Start, http: Http
) -> None:
    server = start(lambda r, w: w.answer(refused if r.method == "HEAD" else status, None, BLOB))
    assert client(http, server).exists(described(BLOB, LAYER)) is is_there
    assert [request.method for request in server.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize(("status", "kind"), [(403, RegistryAuth), (405, RegistryUnavailable)])
def test_who_answers_neither_does_not_say(
    status: int, kind: type[ImmutagError], start: Start, http: Http
) -> None:
    with pytest.raises(kind):
        client(http, start(_always(answer(status)))).exists(described(BLOB, LAYER))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_chunk_of_which_less_was_taken_goes_on_from_there(status: int, start: Start, http: Http) -> None:
    class Small(Uploads):
        def put(self, request: Request, wire: Wire) -> None:
            if request.length:
                wire.answer(413)
            else:
                super().put(request, wire)

        def patch(self, request: Request, wire: Wire) -> None:
            assert request.headers["content-range"].startswith(f"{len(self.received)}-")
            self.received += wire.read(request.length)[: 512 * 1024]
            wire.answer(status, {"Location": "/upload?state=3", "Range": f"0-{len(self.received) - 1}"})

    uploads = Small()
    server = start(uploads)
    client(http, server).push(described(BLOB, LAYER), io.BytesIO(BLOB))
    assert uploads.blob == BLOB
    assert len(server.asked("PATCH")) == 2


@pytest.mark.parametrize("least", ["9" * 5000, "9" * 18, "\xb2", "-1", "soon"])
def test_a_least_chunk_of_nonsense_breaks_nothing(least: str, start: Start, http: Http) -> None:
    class Particular(Uploads):
        def post(self, request: Request, wire: Wire) -> None:
            self.received = b""
            wire.answer(202, {"Location": "/upload?state=1", "OCI-Chunk-Min-Length": least})

        def put(self, request: Request, wire: Wire) -> None:
            if request.length:
                wire.answer(413)
            else:
                super().put(request, wire)

    uploads = Particular()
    client(http, start(uploads)).push(described(BLOB, LAYER), io.BytesIO(BLOB))
    assert uploads.blob == BLOB


def test_an_upload_elsewhere_gets_no_credentials(start: Start, http: Http) -> None:
    elsewhere = Uploads()
    other = start(elsewhere)
    own = Uploads()
    own.elsewhere = other.url
    server = start(_wants_basic(own))
    client(http, server).push(described(BLOB, LAYER), io.BytesIO(BLOB))
    assert elsewhere.blob == BLOB
    assert all("authorization" not in request.headers for request in other.requests)
    assert all("authorization" in request.headers for request in server.asked("POST"))


@pytest.mark.parametrize("location", ["file:///etc/passwd", "", "http://[::", "gopher://h/", "/\xe9"])
def test_an_upload_to_nowhere_is_a_push_failure(location: str, start: Start, http: Http) -> None:
    def play(request: Request, wire: Wire) -> None:
        wire.send(answer(404) if request.method == "HEAD" else answer(202, {"Location": location}))

    with pytest.raises(PushFailure):
        client(http, start(play)).push(described(BLOB, LAYER), io.BytesIO(BLOB))


PUSHING: dict[str, tuple[Play, type[ImmutagError]]] = {
    "never reads the body": (
        lambda r, w: w.silence() if r.method == "PUT" else Uploads()(r, w), PushFailure,
    ),
    "breaks each time": (lambda r, w: _hang_up(r, w) if r.method == "PUT" else Uploads()(r, w), PushFailure),
    "computes another digest": (
        lambda r, w: w.answer(400, None, errors("DIGEST_INVALID") if w.read(r.length) else b"")
        if r.method == "PUT" else Uploads()(r, w),
        DigestMismatch,
    ),
    "denies the upload": (
        lambda r, w: w.answer(404 if r.method == "HEAD" else 403, None, errors("DENIED")), RegistryAuth,
    ),
    "has no room": (lambda r, w: w.answer(507) if r.method == "PUT" else Uploads()(r, w), PushFailure),
    "answers a web page": (lambda r, w: w.answer(404 if r.method == "HEAD" else 200), PushFailure),
    "does not say whether it has it": (lambda _, w: w.answer(500), PushFailure),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PUSHING)
def test_a_failed_push_says_so(name: str, start: Start, http: Http) -> None:
    play, kind = PUSHING[name]
    registry = client(http, start(play), push_timeout_s=3.0)
    begun = time.monotonic()
    with pytest.raises(ImmutagError) as caught:
        registry.push(described(BLOB, LAYER), io.BytesIO(BLOB))
    assert isinstance(caught.value, kind), caught.value.as_json()
    assert time.monotonic() - begun < SLOWEST_S


def test_a_manifest_of_other_bytes_is_never_sent(start: Start, http: Http) -> None:
    server = start(_always(answer(201)))
    with pytest.raises(DigestMismatch):
        client(http, server).push(described(MANIFEST), io.BytesIO(OTHER))
    assert server.requests == []


def test_an_error_of_the_source_passes_through(start: Start, http: Http) -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, _size: int = -1, /) -> bytes:
            raise DigestMismatch("broken", expected="a", found="b", remedy="c")

    source: BinaryIO = Failing()  # type: ignore[assignment] # as much of one as is needed
    with pytest.raises(DigestMismatch, match="broken"):
        client(http, start(Uploads())).push(described(BLOB, LAYER), source)


def test_a_client_that_is_closed_ends_what_still_runs(start: Start) -> None:
    http = Http(environ={})
    started, failed = threading.Event(), list[BaseException]()

    def play(_: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n")
        started.set()
        wire.silence()

    server = start(play)
    limits = Limits(timeout_s=60.0, tries=1)

    def resolve() -> None:
        try:
            client(http, server, limits=limits).resolve(SHA)
        except RegistryUnavailable as error:
            failed.append(error)

    thread = threading.Thread(target=resolve)
    thread.start()
    assert started.wait(10)
    http.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(failed) == 1


# --- the tag


class Tags:
    """A registry that knows one manifest by digest, and refuses the tag in its own way."""

    def __init__(self, status: int, existing: bytes | None, code: str = "DENIED") -> None:
        self.status, self.existing, self.code = status, existing, code

    def __call__(self, request: Request, wire: Wire) -> None:
        if request.method == "PUT":
            wire.read(request.length)
            wire.answer(self.status, None, errors(self.code, "cannot overwrite tag"))
        elif request.path.endswith(str(SHA)):
            wire.send(answer(404) if self.existing is None else _found(self.existing))
        else:
            wire.send(_found())


@pytest.mark.parametrize("existing", [MANIFEST, OTHER])
@pytest.mark.parametrize("status", [400, 403, 405, 409, 412])
def test_a_tag_that_exists_is_for_the_caller_to_read_back(
    status: int, existing: bytes, start: Start, http: Http
) -> None:
    server = start(Tags(status, existing))
    registry = client(http, server)
    registry.tag(described(MANIFEST), SHA)
    assert registry.resolve(SHA) == described(existing)
    (put,) = server.asked("PUT")
    assert put.headers["if-none-match"] == "*"
    assert put.headers["content-type"] == IMAGE_MANIFEST


@pytest.mark.parametrize(
    ("status", "kind"), [(403, RegistryAuth), (401, RegistryAuth), (400, PushFailure), (500, PushFailure)]
)
def test_a_tag_that_is_refused_and_not_there_is_an_error(
    status: int, kind: type[ImmutagError], start: Start, http: Http
) -> None:
    with pytest.raises(kind):
        client(http, start(Tags(status, None))).tag(described(MANIFEST), SHA)


def test_a_tag_for_content_that_is_gone_is_a_push_failure(start: Start, http: Http) -> None:
    server = start(_always(answer(404)))
    with pytest.raises(PushFailure):
        client(http, server).tag(described(MANIFEST), SHA)
    assert server.asked("PUT") == []


# --- referrers


def _artifact(subject: bytes) -> bytes:
    about = described(subject)
    return json.dumps({
        "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "artifactType": "application/x.sig",
        "config": {"mediaType": LAYER, "digest": f"sha256:{'c' * 64}", "size": 2}, "layers": [],
        "subject": {"mediaType": about.media_type, "digest": str(about.digest), "size": about.size_bytes},
    }).encode()  # fmt: skip


def _descriptor(content: bytes) -> dict[str, object]:
    about = described(content, LAYER)
    return {"mediaType": LAYER, "digest": str(about.digest), "size": about.size_bytes}


def _index(*children: bytes) -> bytes:
    listed = [described(child) for child in children]
    entries = [
        {"mediaType": each.media_type, "digest": str(each.digest), "size": each.size_bytes} for each in listed
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": entries or None}).encode()


class Attached:
    """A registry with these manifests, a referrers API, and a fallback tag."""

    def __init__(self, api: bytes | None, fallback: tuple[int, bytes], *manifests: bytes) -> None:
        self.api, self.fallback = api, fallback
        self.manifests = {str(described(each).digest): each for each in manifests}

    def __call__(self, request: Request, wire: Wire) -> None:
        name = request.path.rpartition("/")[2]
        if "/referrers/" in request.path:
            wire.send(
                answer(404) if self.api is None else answer(200, {"Content-Type": IMAGE_INDEX}, self.api)
            )
        elif name.startswith("sha256-"):
            status, body = self.fallback
            wire.answer(status, {}, body)
        else:
            wire.send(_found(self.manifests[name]) if name in self.manifests else answer(404))


ABOUT_IT, ABOUT_OTHER = _artifact(MANIFEST), _artifact(OTHER)


@pytest.mark.parametrize(
    ("play", "found"),
    [
        (Attached(_index(ABOUT_IT), (404, b""), ABOUT_IT), [ABOUT_IT]),
        (Attached(_index(), (200, _index(ABOUT_IT)), ABOUT_IT), [ABOUT_IT]),  # an empty list is not enough
        (Attached(None, (200, _index(ABOUT_IT)), ABOUT_IT), [ABOUT_IT]),
        (Attached(_index(ABOUT_IT), (200, _index(ABOUT_IT)), ABOUT_IT), [ABOUT_IT]),
        (Attached(None, (200, MANIFEST), MANIFEST), []),  # the tag answers with the subject itself
        (Attached(_index(ABOUT_OTHER), (404, b""), ABOUT_OTHER), []),  # another image's signature
        (Attached(_index(MANIFEST), (200, _index(MANIFEST)), MANIFEST), []),
        (Attached(_index(ABOUT_IT), (404, b"")), []),  # listed, and gone
        (Attached(None, (404, b"")), []),
    ],
)
def test_a_referrer_is_one_by_its_own_word(play: Play, found: list[bytes], start: Start, http: Http) -> None:
    seen = referrers(client(http, start(play)), described(MANIFEST).digest)
    assert [each.content for each in seen] == [described(each) for each in found]
    assert {each.artifact_type for each in seen} <= {"application/x.sig"}


@pytest.mark.parametrize(
    "play",
    [
        Attached(b"nonsense", (404, b"")),
        Attached(None, (500, b"")),
        Attached(None, (200, b"<html></html>")),
        Attached(_index(*(b"%d" % number for number in range(17_000))), (404, b"")),
        lambda _, wire: wire.answer(503),
    ],
)
def test_referrers_that_cannot_be_determined_are_not_none(play: Play, start: Start, http: Http) -> None:
    with pytest.raises(RegistryUnavailable):
        referrers(client(http, start(play)), described(MANIFEST).digest)


def test_referrers_that_take_for_ever_are_no_answer(
    start: Start, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = client(http, start(Attached(_index(ABOUT_IT), (404, b""), ABOUT_IT)))
    monkeypatch.setattr("immutag.oci.referrers._PATIENCE_S", -1.0)
    with pytest.raises(RegistryUnavailable, match="more referrers"):
        referrers(registry, described(MANIFEST).digest)
    monkeypatch.undo()
    monkeypatch.setattr("immutag.trust.places._PATIENCE_S", -1.0)
    bundle = ABOUT_IT.replace(b"application/x.sig", b"application/vnd.dev.sigstore.bundle.v0.3+json")
    bundle = bundle.replace(b'"layers": []', b'"layers": [%b]' % json.dumps(_descriptor(BLOB)).encode())
    registry = client(http, start(Attached(_index(bundle), (404, b""), bundle)))
    with pytest.raises(SoftVerifyToolError, match="more is attached"):
        look(registry, described(MANIFEST).digest)


def test_more_than_can_belong_to_an_image_is_no_list_of_what_to_spare(
    start: Start, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = client(http, start(Attached(_index(ABOUT_IT), (404, b""), ABOUT_IT)))
    gather = Gather(lambda _: registry, None, None)
    subject = described(MANIFEST).digest
    assert [piece.digest for piece in gather.attached(registry.repository, subject)] == [
        described(ABOUT_IT).digest
    ]
    monkeypatch.setattr("immutag.usecases.retention._PIECES", 0)
    with pytest.raises(RegistryUnavailable, match="more belongs"):
        gather.attached(registry.repository, subject)


def test_a_legacy_signature_is_a_manifest_and_not_the_image(start: Start, http: Http) -> None:
    digest = described(MANIFEST).digest
    for body, expected in ((ABOUT_IT, described(ABOUT_IT)), (MANIFEST, None), (_index(), None)):
        found = legacy_manifest(client(http, start(Attached(None, (200, body)))), digest, Suffix.SIGNATURES)
        assert (found and found[0]) == expected
