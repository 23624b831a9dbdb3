"""An OIDC issuer on loopback that vouches for whoever asks: for people by e-mail, and for GitHub's workflows.

    /token?email=…                    people; the issuer is its own address
    /github/token?repository=…&sha=…  workflows; the issuer is its address with /github
    /github/request?repository=…      the same, as GitHub's own endpoint answers a job: {"value": TOKEN}

A token is for the audience `sigstore`. Whatever else is in the query goes into it as a claim.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

WORKFLOWS = "/github"
WORKFLOW_FILE = ".github/workflows/api-build.yml"
_LIFETIME_S = 600
_KEY_ID = "tests"


@contextmanager
def oidc_issuer() -> Iterator[str]:
    """Serve until the block ends; yields the issuer's address."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{http.server_address[1]}"
    # cosign takes tokens of other algorithms from a file only
    http.RequestHandlerClass = _handler(url, rsa.generate_private_key(65537, 2048))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield url
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _handler(url: str, key: rsa.RSAPrivateKey) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            issuer = url + WORKFLOWS if asked.path.startswith(WORKFLOWS) else url
            body = _answer(asked.path.removeprefix(WORKFLOWS), dict(parse_qsl(asked.query)), issuer, url, key)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler


def _answer(
    path: str, query: Mapping[str, str], issuer: str, url: str, key: rsa.RSAPrivateKey
) -> bytes | None:
    match path:
        case "/.well-known/openid-configuration":
            return json.dumps(_discovery(issuer, url)).encode()
        case "/keys":
            public: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            return json.dumps({"keys": [public | {"use": "sig", "alg": "RS256", "kid": _KEY_ID}]}).encode()
        case "/token":
            return _token(issuer, query, key).encode()
        case "/request":
            return json.dumps({"value": _token(issuer, query, key)}).encode()
        case _:
            return None


def _discovery(issuer: str, url: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "jwks_uri": f"{url}/keys",
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
    }


def _token(issuer: str, query: Mapping[str, str], key: rsa.RSAPrivateKey) -> str:
    now = int(time.time())
    asked = {name: value for name, value in query.items() if name != "audience"}
    who = _workflow(asked) if issuer.endswith(WORKFLOWS) else _person(asked)
    claims = {"iss": issuer, "aud": "sigstore", "iat": now, "nbf": now, "exp": now + _LIFETIME_S}
    return jwt.encode({**claims, **who}, key, algorithm="RS256", headers={"kid": _KEY_ID})


def _person(asked: Mapping[str, str]) -> dict[str, Any]:
    return {"sub": asked.get("email", "nobody"), "email_verified": True, **asked}


def _workflow(asked: Mapping[str, str]) -> dict[str, Any]:
    """What GitHub says of a job (its reference, "OpenID Connect"), as far as Fulcio reads it."""
    repository = asked.get("repository", "owner/api")
    ref, sha = asked.get("ref", "refs/heads/main"), asked.get("sha", "0" * 40)
    file = f"{repository}/{WORKFLOW_FILE}@{ref}"
    return {
        "sub": f"repo:{repository}:ref:{ref}",
        "repository": repository, "repository_id": "1", "repository_visibility": "public",
        "repository_owner": repository.partition("/")[0], "repository_owner_id": "2",
        "ref": ref, "sha": sha, "event_name": "push", "run_id": "3", "run_attempt": "1",
        "workflow": "api-build", "workflow_ref": file, "workflow_sha": sha,
        "job_workflow_ref": file, "job_workflow_sha": sha, "runner_environment": "github-hosted",
        **asked,
    }  # fmt: skip
