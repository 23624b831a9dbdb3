"""The root of trust: from a file, with no network at all, or the public one's, by TUF and kept for a day.

A file may hold several roots, one a line, as `gh attestation trusted-root` prints them. A root that cannot be
read or fetched decides nothing: SoftVerifyToolError.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immutag.core.errors import ImmutagError, SoftVerifyToolError
from immutag.core.frozen import frozen
from immutag.core.values import shown
from immutag.oci.manifest import decode
from immutag.trust.asked import asked

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

    from immutag.trust.authority import Authorities

LIMIT_BYTES = 4 * 1024 * 1024
FRESH_S = 24 * 3600.0
"""How long the public root is used before TUF is asked again."""
STALE_S = 7 * 24 * 3600.0
"""How long it is used while TUF cannot be asked."""
_TIMEOUT_S = 30.0


@frozen()
class RootText:
    """A root of trust as text, where it is from, and how old it is: since written, or fetched."""

    content: bytes
    origin: str
    age_s: float


class RootOfTrust:
    """A root of trust that is read, or fetched, when something first needs it; once, for all threads."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self._lock = threading.Lock()
        self._text: RootText | None = None
        self._authorities: Authorities | None = None

    def text(self) -> RootText:
        """Where it is from, and its age. Raises SoftVerifyToolError."""
        with self._lock:
            return self._read()

    def authorities(self) -> "Authorities":
        """Its authorities, logs and timestamp authorities. Raises SoftVerifyToolError."""
        with self._lock:
            if self._authorities is None:
                self._authorities = authorities_of(self._read())
            return self._authorities

    def _read(self) -> RootText:
        if self._text is None:
            self._text = root_text(self._path, self._environ)
        return self._text


def root_text(path: Path | None, environ: Mapping[str, str]) -> RootText:
    """The root in a file, or else the public one. Raises SoftVerifyToolError."""
    return from_file(path) if path else public_root(_kept(environ), fetch_public)


def from_file(path: Path) -> RootText:
    """Raises SoftVerifyToolError."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT_BYTES + 1)
            written = os.fstat(file.fileno()).st_mtime
    except OSError as error:
        raise _broken(str(path), str(error.strerror)) from error
    return RootText(content, str(path), time.time() - written)


def public_root(kept: Path | None, fetch: Callable[[], bytes]) -> RootText:
    """The public root as it was kept, if it is fresh; or fetched; or kept, while it cannot be fetched."""
    held = None
    with suppress(SoftVerifyToolError):
        held = from_file(kept) if kept else None
    if held and 0 <= held.age_s < FRESH_S:
        return _public(held.content, held.age_s)
    try:
        content = fetch()
    except SoftVerifyToolError:
        if held and 0 <= held.age_s < STALE_S:
            return _public(held.content, held.age_s)
        raise
    if kept:
        _keep(kept, content)
    return _public(content, 0.0)


def fetch_public() -> bytes:
    """Today's public root, by the library's TUF client. Raises SoftVerifyToolError."""

    def fetch() -> bytes:
        from sigstore.models import ClientTrustConfig

        text: str = ClientTrustConfig.production().trusted_root._inner.to_json()
        return text.encode()

    return asked("give its root of trust", fetch, _TIMEOUT_S)


def authorities_of(root: RootText) -> "Authorities":
    """The root, its certificates and keys read. Raises SoftVerifyToolError for one that cannot be used."""
    from sigstore.errors import Error

    from immutag.trust.authority import Authorities

    try:
        return Authorities([_read(line) for line in _documents(root.content)])
    except (Error, ValueError, TypeError, AttributeError) as error:
        raise _broken(root.origin, str(error)) from error
    except ImmutagError as error:
        raise _broken(root.origin, error.found) from error


def _documents(content: bytes) -> list[dict[str, Any]]:
    """The one JSON object, or one a line."""
    try:
        found = [decode(content, wrong=SoftVerifyToolError)]
    except SoftVerifyToolError:
        lines = [line for line in content.splitlines() if line.strip()]
        found = [decode(line, wrong=SoftVerifyToolError) for line in lines]
    documents = [each for each in found if isinstance(each, dict)]
    if not documents or len(documents) != len(found):
        raise ValueError("not a JSON object")
    return documents


def _read(document: dict[str, Any]) -> "TrustedRoot":
    from sigstore.models import TrustedRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as Fields

    # Protobuf's JSON leaves out what is empty, and the library wants it
    filled = {"tlogs": [], "ctlogs": [], "certificateAuthorities": [], **document}
    for name in ("certificateAuthorities", "timestampAuthorities"):
        filled[name] = [_named(each) for each in filled.get(name, ())]
    return TrustedRoot(Fields.from_json(json.dumps(filled)))


def _named(authority: dict[str, Any]) -> dict[str, Any]:
    """Fulcio's own ephemeral authority has no common name. Nothing goes by these names."""
    return {**authority, "subject": {"organization": "", "commonName": "", **authority.get("subject", {})}}


def _public(content: bytes, age_s: float) -> RootText:
    return RootText(content, "Sigstore's public root", age_s)


def _kept(environ: Mapping[str, str]) -> Path | None:
    """Where it is kept: in the user's cache folder, if the user has one."""
    cache, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    if cache.startswith("/"):
        return Path(cache) / "immutag" / "trusted_root.json"
    return Path(home) / ".cache" / "immutag" / "trusted_root.json" if home.startswith("/") else None


def _keep(path: Path, content: bytes) -> None:
    """All of it or nothing; where it cannot be kept it is fetched again."""
    import tempfile

    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)


def _broken(origin: str, found: str) -> SoftVerifyToolError:
    return SoftVerifyToolError(
        "the root of trust cannot be used",
        expected="a trusted root as Sigstore's own tools write it",
        found=shown(f"{origin}: {found}"),
        remedy="correct [trust] trusted_root, or write one: cosign trusted-root create",
    )
