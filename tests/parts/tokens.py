"""A token service for registries (distribution's token specification): small, real, and ours."""

import base64
import binascii
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.parts.certificates import signing_pair

ISSUER, SERVICE = "tests", "registry"


@dataclass(slots=True)
class TokenService:
    """Issues tokens for any scope to who knows the password. `asked` has each request's scopes."""

    url: str
    auth: dict[str, Any]
    username: str
    password: str
    lifetime_s: int = 300
    asked: list[tuple[str, ...]] = field(default_factory=list)


@contextmanager
def token_service(directory: Path, username: str, password: str) -> Iterator[TokenService]:
    """Serve until the block ends. `auth` is what distribution's configuration needs to trust it."""
    key, certificate = signing_pair()
    bundle = directory / "tokens.pem"
    bundle.write_bytes(certificate.public_bytes(Encoding.PEM))
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{http.server_address[1]}/token"
    auth = {
        "token": {"realm": url, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)},
    }
    service = TokenService(url, auth, username, password)
    http.RequestHandlerClass = _handler(service, key, certificate)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _handler(
    service: TokenService, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            scopes = tuple(query.get("scope", ()))
            service.asked.append(scopes)
            if _basic(self.headers.get("Authorization", "")) != (service.username, service.password):
                self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
                return
            token = _sign(_claims(service, scopes), key, certificate)
            self._answer(200, {"token": token, "expires_in": service.lifetime_s})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """`asked` is the log."""

    return Handler


def _claims(service: TokenService, scopes: tuple[str, ...]) -> dict[str, Any]:
    access = []
    for scope in (part for text in scopes for part in text.split()):
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    now = int(time.time())
    return {
        "iss": ISSUER, "sub": service.username, "aud": SERVICE, "jti": secrets.token_hex(8),
        "iat": now, "nbf": now - 5, "exp": now + service.lifetime_s, "access": access,
    }  # fmt: skip


def _basic(header: str) -> tuple[str, str] | None:
    try:
        text = base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, _, password = text.partition(":")
    return name, password


def _sign(claims: dict[str, Any], key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> str:
    """A JWT (ES256) that carries its certificate, so that the registry needs no key set."""
    chain = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]
    header = {"typ": "JWT", "alg": "ES256", "x5c": chain}
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
