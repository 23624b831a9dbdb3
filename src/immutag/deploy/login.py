"""Credentials for one pull: in a file that only we can read, for as long as the pull takes."""

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from immutag.deploy.engine import Engine
from immutag.oci.auth import Credentials


@contextmanager
def logged_in(engine: Engine, host: str, credentials: Credentials | None) -> Iterator[Mapping[str, str]]:
    """The environment with which `engine` knows these credentials; without any, its own login stands."""
    if credentials is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="immutag-login-", dir=os.environ.get("XDG_RUNTIME_DIR")) as name:
        folder = Path(name)
        file = folder / "config.json"
        file.touch(mode=0o600)
        config = {"auths": {host: _auth(credentials)}}
        if engine.kind.login == "REGISTRY_AUTH_FILE":
            file.write_text(json.dumps(config))
            yield {"REGISTRY_AUTH_FILE": str(file)}
        else:
            file.write_text(json.dumps({**config, **_context(folder)}))
            yield {"DOCKER_CONFIG": name}


def _auth(credentials: Credentials) -> dict[str, str]:
    if credentials.is_identity_token:
        return {"identitytoken": credentials.password}
    pair = f"{credentials.username}:{credentials.password}"
    return {"auth": base64.b64encode(pair.encode()).decode()}


def _context(folder: Path) -> dict[str, object]:
    """The user's docker context: their configuration, which ours replaces, also says which engine to use."""
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if (own / "contexts").is_dir():
        (folder / "contexts").symlink_to((own / "contexts").resolve())
    try:
        current = json.loads((own / "config.json").read_bytes()).get("currentContext")
    except (OSError, ValueError, AttributeError):
        return {}
    return {"currentContext": current} if current else {}
