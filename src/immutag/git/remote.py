"""Addresses of remotes: without credentials, and as a web page."""

import re

_SCP_LIKE = re.compile(r"(?:[^@/:\s]+@)?(?P<host>[^:/\s]{2,}):(?P<path>(?!//)\S+)")  # one letter: a drive
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^/]*)@)?(?P<rest>.*)", re.IGNORECASE)


def without_credentials(url: str) -> str:
    """The same address, for people and records. `git@` of ssh is no secret and stays."""
    found = _URL.fullmatch(url)
    if not found or found["user"] is None:
        return url
    login = found["user"].partition(":")[0] + "@" if "ssh" in found["scheme"].lower() else ""
    return f"{found['scheme']}://{login}{found['rest']}"


def https_url(url: str) -> str | None:
    """Where people read this repository: `https://host/owner/repository`. `None` for a local path."""
    if found := _URL.fullmatch(url):
        scheme = found["scheme"].lower()
        host, _, path = found["rest"].partition("/")
        if scheme not in ("http", "https", "ssh", "git+ssh", "git") or not host:
            return None
        if scheme not in ("http", "https"):  # their port is not the web's
            scheme, host = "https", host.partition(":")[0]
        return _page(scheme, host, path)
    if found := _SCP_LIKE.fullmatch(url):
        return _page("https", found["host"], found["path"])
    return None


def _page(scheme: str, host: str, path: str) -> str | None:
    path = path.strip("/").removesuffix(".git")
    return f"{scheme}://{host}/{path}" if path else None
