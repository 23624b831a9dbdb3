"""A TUF repository on loopback, from which verifiers fetch a Sigstore's root of trust as they do from the
public one's."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass(frozen=True, slots=True)
class TufRepository:
    """`root` is the file that its clients have to start from."""

    url: str
    root: Path


@contextmanager
def tuf_repository(folder: Path, targets: Mapping[str, bytes]) -> Iterator[TufRepository]:
    """These files, signed by a key of the moment, for a day."""
    _write(folder, targets)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield TufRepository(f"http://127.0.0.1:{server.server_address[1]}", folder / "1.root.json")
        finally:
            server.shutdown()


def _write(folder: Path, targets: Mapping[str, bytes]) -> None:
    """The specification's four roles (TUF 1.0, section 4), with consistent snapshots."""
    (folder / "targets").mkdir(parents=True)
    for name, content in targets.items():
        (folder / "targets" / f"{hashlib.sha256(content).hexdigest()}.{name}").write_bytes(content)
    key = Ed25519PrivateKey.generate()
    public = {
        "keytype": "ed25519",
        "scheme": "ed25519",
        "keyval": {"public": key.public_key().public_bytes_raw().hex()},
    }
    key_id = hashlib.sha256(_canonical(public)).hexdigest()
    role = {"keyids": [key_id], "threshold": 1}
    one = {"version": 1}
    files = {
        name: {"length": len(content), "hashes": {"sha256": hashlib.sha256(content).hexdigest()}}
        for name, content in targets.items()
    }
    documents: dict[str, dict[str, Any]] = {
        "1.root": {
            "consistent_snapshot": True,
            "keys": {key_id: public},
            "roles": dict.fromkeys(_ROLES, role),
        },
        "1.targets": {"targets": files},
        "1.snapshot": {"meta": {"targets.json": one}},
        "timestamp": {"meta": {"snapshot.json": one}},
    }
    until = datetime.now(UTC) + timedelta(days=1)
    for name, fields in documents.items():
        common = {
            "_type": name.rpartition(".")[2],
            "spec_version": "1.0.31",
            "version": 1,
            "expires": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        signed = {**common, **fields}
        signature = {"keyid": key_id, "sig": key.sign(_canonical(signed)).hex()}
        (folder / f"{name}.json").write_text(json.dumps({"signed": signed, "signatures": [signature]}))


def _canonical(document: Mapping[str, Any]) -> bytes:
    """What is signed: enough of canonical JSON for texts without escapes, and whole numbers."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
