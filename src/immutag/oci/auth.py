"""Credentials for a registry: where they are looked for, in this order; the first place that has some wins.

1. `IMMUTAG_REGISTRY_USERNAME` and `IMMUTAG_REGISTRY_PASSWORD`
2. docker's configuration (`$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`), then podman's
   (`$REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json` or, where that is not set, the same below
   `/run`, `~/.config/containers/auth.json`);
   in each: `credHelpers` for this host, then `auths`, then `credsStore`
3. `GITHUB_TOKEN`, for ghcr.io and no other host

They are found only when a registry asks for some. To whom they then go is decided in `tokens`.
"""

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from immutag.core.errors import ConfigInvalid, RegistryAuth
from immutag.core.frozen import frozen
from immutag.core.values import shown

IDENTITY_TOKEN_USERNAME = "<token>"  # noqa: S105 - the name that docker's helpers give an identity token
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HELPER = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_HELPER_S = 15.0
_CONFIG_LIMIT_BYTES = 4 * 1024 * 1024


@frozen()
class Credentials:
    """A user name and password, or an identity token under docker's name for one."""

    username: str
    password: str

    def __post_init__(self) -> None:
        """Raises ConfigInvalid for half a character, which JSON and variables may hold: it cannot be sent."""
        try:
            f"{self.username}:{self.password}".encode()
        except UnicodeEncodeError:
            raise ConfigInvalid(
                "the registry's user name or password is no text",
                expected="UTF-8",
                found="other bytes",
                remedy="log in again with docker login or podman login, or correct the variables",
            ) from None

    def __repr__(self) -> str:
        return "Credentials(…)"

    @property
    def is_identity_token(self) -> bool:
        return self.username == IDENTITY_TOKEN_USERNAME


def find_credentials(host: str, environ: Mapping[str, str]) -> Credentials | None:
    """The credentials for `host[:port]`, or `None` if nobody gave any.

    Raises ConfigInvalid for a file that cannot be read, RegistryAuth for a helper that fails.
    """
    username, password = (environ.get(f"IMMUTAG_REGISTRY_{part}") for part in ("USERNAME", "PASSWORD"))
    if username and password:
        return Credentials(username, password)
    for path in _files(environ):
        found = _from_file(path, host, environ)
        if found is not None:
            return found
    token = environ.get("GITHUB_TOKEN")
    if host == "ghcr.io" and token:
        return Credentials(environ.get("GITHUB_ACTOR") or "token", token)
    return None


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = environ.get("HOME")
    docker = environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else None)
    if docker:
        yield Path(docker, "config.json")
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
        return
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    else:  # where `podman login` then keeps it
        uid = os.getuid()
        yield Path(f"/run/user/{uid}/containers/auth.json" if uid else "/run/containers/0/auth.json")
    if config := environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None):
        yield Path(config, "containers", "auth.json")


def _from_file(path: Path, host: str, environ: Mapping[str, str]) -> Credentials | None:
    config = _read(path)
    helpers = _object(config, "credHelpers", path)
    for name in _names(host):
        if name in helpers:
            return _ask_helper(helpers[name], name, path, environ)
    for key, entry in _object(config, "auths", path).items():
        if _host_of(key) in _names(host) and isinstance(entry, dict) and (found := _decode(entry, path)):
            return found
    if store := config.get("credsStore"):
        for name in _store_names(host):
            if (found := _ask_helper(store, name, path, environ)) is not None:
                return found
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_CONFIG_LIMIT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _invalid(path, error.strerror or "it cannot be read") from None
    try:
        config = json.loads(text or b"{}")
    except (ValueError, RecursionError):  # the parser's own words might quote a secret
        raise _invalid(path, "it is not JSON") from None
    if not isinstance(config, dict):
        raise _invalid(path, "it is not a JSON object")
    return config


def _object(config: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = config.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _invalid(path, f"{key} is not an object")
    return found


def _decode(entry: dict[str, Any], path: Path) -> Credentials | None:
    """One entry of `auths`. An empty one only says that a helper has the credentials."""
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(IDENTITY_TOKEN_USERNAME, token)
    username, password = entry.get("username"), entry.get("password")
    if isinstance(username, str) and isinstance(password, str) and username and password:
        return Credentials(username, password)
    packed = entry.get("auth")
    if not isinstance(packed, str) or not packed:
        return None
    try:
        username, colon, password = base64.b64decode(packed, validate=True).decode().partition(":")
    except ValueError:
        raise _invalid(path, "an `auth` is not base64 of user:password") from None
    if not colon:
        raise _invalid(path, "an `auth` is not base64 of user:password")
    return Credentials(username, password.rstrip("\0"))


def _ask_helper(helper: object, name: str, path: Path, environ: Mapping[str, str]) -> Credentials | None:
    """Ask `docker-credential-HELPER get`, which reads the host from standard input."""
    from immutag.process import run

    if not isinstance(helper, str) or not re.fullmatch(_HELPER, helper):
        raise _invalid(path, "the name of a credential helper is not one")
    program = f"docker-credential-{helper}"
    try:
        ended = run([program, "get"], timeout_s=_HELPER_S, env=environ, stdin=name.encode())
    except FileNotFoundError:
        raise _helper_failed(program, "there is no such program", path) from None
    if ended.timed_out:
        raise _helper_failed(program, f"no answer within {_HELPER_S:.0f} s", path)
    if not ended.ok:
        if b"credentials not found" in ended.stdout + ended.stderr:  # the protocol has no other sign
            return None
        raise _helper_failed(program, f"it ended with status {ended.status}", path)
    try:
        answer = json.loads(ended.stdout)
        username, password = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _helper_failed(program, "its answer is not the protocol's JSON", path) from None
    return Credentials(username, password) if password else None


def _names(host: str) -> tuple[str, ...]:
    return _DOCKER_HUB if host in _DOCKER_HUB else (host,)


def _store_names(host: str) -> tuple[str, ...]:
    return ("https://index.docker.io/v1/",) if host in _DOCKER_HUB else (host,)


def _host_of(key: str) -> str:
    """`auths` has keys such as `ghcr.io`, `https://index.docker.io/v1/`, `host:5000/path`."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _invalid(path: Path, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"the credentials file cannot be used: {shown(str(path))}",
        expected="docker's config.json",
        found=found,
        remedy="correct the file, or log in again with docker login or podman login",
    )


def _helper_failed(program: str, found: str, path: Path) -> RegistryAuth:
    return RegistryAuth(
        f"the credential helper {program} gave no credentials",
        expected=f"{program} get answers, as {shown(str(path))} says",
        found=found,
        remedy="mend the helper, or set IMMUTAG_REGISTRY_USERNAME and IMMUTAG_REGISTRY_PASSWORD",
    )
