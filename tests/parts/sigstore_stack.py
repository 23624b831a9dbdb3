"""A private Sigstore on loopback, as one process: `python -m tests.parts.sigstore_stack SOCKET LOCK`.

Fulcio, a CT log, Rekor v2 and a timestamp authority, the real ones; only the OIDC issuer is ours. Whoever
connects to the socket gets one line of JSON, and counts as a user until the connection ends. The last user's
end is the stack's: what it started is ended first, and then that user's connection.

The timestamp authority always takes port 2112 for its metrics, so there is one stack on a machine at a time:
another waits for the lock.
"""

import datetime
import fcntl
import json
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from tests.parts.oidc import WORKFLOWS, oidc_issuer
from tests.parts.processes import free_port, server
from tests.parts.programs import peer

_FIRST_USER_S = 60.0
_SINCE = "start-time=2020-01-01T00:00:00Z"
_CA_PASSWORD = "of the tests"
_OFTEN = ("200ms", "50ms")
"""A log's checkpoint interval and longest wait for a batch: a signer waits for both."""


def main(path: Path, lock: Path) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        lock.open("w") as held,
        tempfile.TemporaryDirectory(prefix="immutag-sigstore-") as folder,
    ):
        fcntl.flock(held, fcntl.LOCK_EX)
        with running(Path(folder)) as about, socket.socket(socket.AF_UNIX) as listener:
            path.unlink(missing_ok=True)  # of a stack that was killed
            listener.bind(str(path))
            listener.listen()
            last = _serve(listener, json.dumps(about).encode() + b"\n")
            path.unlink()
    last.close()


def _serve(listener: socket.socket, greeting: bytes) -> socket.socket:
    """Greet whoever comes, until the last has gone; returns the last one's connection."""
    with selectors.DefaultSelector() as users:
        users.register(listener, selectors.EVENT_READ)
        while True:
            ready = users.select(timeout=_FIRST_USER_S if len(users.get_map()) == 1 else None)
            if not ready:
                sys.exit("nobody came")
            for key, _ in ready:
                if key.fileobj is listener:
                    user, _ = listener.accept()
                    user.sendall(greeting)
                    users.register(user, selectors.EVENT_READ, user)
                    continue
                gone: socket.socket = key.data
                users.unregister(gone)
                if len(users.get_map()) == 1:
                    return gone
                gone.close()


@contextmanager
def running(home: Path) -> Iterator[dict[str, str]]:
    """All of it, with the clients' files in `home`; yields the addresses."""
    _write_ca(home)
    _write_key(home / "ct", ec.generate_private_key(ec.SECP256R1()), PrivateFormat.TraditionalOpenSSL)
    _write_key(home / "rekor", ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8)
    with ExitStack() as stack:

        def start(name: str, ready: str, argv: Callable[[int], list[str]]) -> str:
            started = server(
                lambda port: [peer(name), *argv(port)],
                log=home / f"{name}.log",
                ready=lambda port: _get(f"http://127.0.0.1:{port}{ready}") is not None,
            )
            return f"http://127.0.0.1:{stack.enter_context(started).port}"

        issuer = stack.enter_context(oidc_issuer())
        ct = start("tesseract", "/ct/v1/get-roots", lambda port: _ct_log(home, port))
        fulcio = start("fulcio", "/api/v2/trustBundle", lambda port: _fulcio(home, port, issuer, ct))
        rekor = start("rekor-server", "/healthz", lambda port: _rekor(home, port))
        tsa = start("timestamp-server", "/ping", _tsa)
        (home / "tsa.pem").write_bytes(_get(f"{tsa}/api/v1/timestamp/certchain") or b"")
        about = {
            "directory": str(home),
            "issuer": issuer,
            "fulcio": fulcio,
            "ct": ct,
            "rekor": rekor,
            "tsa": tsa,
        }
        _write_clients_files(home, about)
        yield about


def _ct_log(home: Path, port: int) -> list[str]:
    return [
        "--http_endpoint", f"127.0.0.1:{port}", "--private_key", str(home / "ct.key"),
        "--roots_pem_file", str(home / "fulcio.pem"), "--storage_dir", str(home / "ct-tiles"),
        "--origin", "ct.test",  # it takes no port in this name
        "--checkpoint_interval", _OFTEN[0], "--batch_max_age", _OFTEN[1],
    ]  # fmt: skip


def _fulcio(home: Path, port: int, issuer: str, ct: str) -> list[str]:
    kinds = {issuer: "email", issuer + WORKFLOWS: "github-workflow"}
    trusted = {url: {"IssuerURL": url, "ClientID": "sigstore", "Type": kind} for url, kind in kinds.items()}
    (home / "fulcio.json").write_text(json.dumps({"OIDCIssuers": trusted}))
    return [
        "serve", "--config-path", str(home / "fulcio.json"), "--ca", "fileca", "--fileca-watch=false",
        "--fileca-cert", str(home / "fulcio.pem"), "--fileca-key", str(home / "fulcio.key"),
        "--fileca-key-passwd", _CA_PASSWORD,
        "--ct-log-url", ct, "--ct-log-public-key-path", str(home / "ct.pub"),
        "--host", "127.0.0.1", "--port", str(port),
        "--grpc-host", "127.0.0.1", "--grpc-port", str(free_port()),
        "--metrics-port", str(free_port()), "--legacy-unix-domain-socket", f"@immutag-fulcio-{port}",
    ]  # fmt: skip


def _rekor(home: Path, port: int) -> list[str]:
    return [
        "serve", "--http-port", str(port), "--grpc-port", str(free_port()),
        "--http-metrics-port", str(free_port()),
        "--hostname", "127.0.0.1",  # its address without the port: the name that clients want in checkpoints
        "--storage-dir", str(home / "rekor-tiles"), "--signer-filepath", str(home / "rekor.key"),
        "--checkpoint-interval", _OFTEN[0], "--batch-max-age", _OFTEN[1],
    ]  # fmt: skip


def _tsa(port: int) -> list[str]:
    return [
        "serve", "--host", "127.0.0.1", "--port", str(port),
        "--timestamp-signer", "memory", "--disable-ntp-monitoring",
    ]  # fmt: skip


def _write_clients_files(home: Path, about: dict[str, str]) -> None:
    cosign = peer("cosign")
    fulcio, ct, rekor, tsa = (about[name] for name in ("fulcio", "ct", "rekor", "tsa"))
    stamping = f"{tsa}/api/v1/timestamp"
    trusted_root = [
        "trusted-root", "create", "--out", "trusted_root.json",
        "--fulcio", f"url={fulcio},certificate-chain=fulcio.pem,{_SINCE}",
        "--ctfe", f"url={ct},public-key=ct.pub,{_SINCE}",
        "--rekor", f"url={rekor},public-key=rekor.pub,{_SINCE},origin=127.0.0.1",
        "--tsa", f"url={stamping},certificate-chain=tsa.pem,{_SINCE}",
    ]  # fmt: skip
    service = f"{_SINCE},operator=tests"
    signing_config = [
        "signing-config", "create", "--out", "signing_config.json",
        "--fulcio", f"url={fulcio},api-version=1,{service}",
        "--oidc-provider", f"url={about['issuer']},api-version=1,{service}",
        "--rekor", f"url={rekor},api-version=2,{service}", "--rekor-config", "ANY",
        "--tsa", f"url={stamping},api-version=1,{service}", "--tsa-config", "ANY",
    ]  # fmt: skip
    for arguments in (trusted_root, signing_config):
        subprocess.run([cosign, *arguments], cwd=home, check=True, timeout=60)


def _write_ca(home: Path) -> None:
    """Fulcio's root, with both names: some verifiers want them, and the one that Fulcio makes has none."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = {NameOID.ORGANIZATION_NAME: "tests", NameOID.COMMON_NAME: "tests' Fulcio"}
    name = x509.Name([x509.NameAttribute(kind, text) for kind, text in names.items()])
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(x509.KeyUsage(**usage, key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (home / "fulcio.pem").write_bytes(root.public_bytes(Encoding.PEM))
    locked = BestAvailableEncryption(_CA_PASSWORD.encode())
    (home / "fulcio.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))


def _write_key(
    stem: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, form: PrivateFormat
) -> None:
    stem.with_suffix(".key").write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stem.with_suffix(".pub").write_bytes(public)


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: bytes = answer.read()
            return body
    except OSError:
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
