"""The identities, parsed once at the edge and correct by construction (DR-001, DR-005, DR-008).

Nothing below `cli` and `settings` takes a SHA, a digest or a reference as `str`. `str(value)` is the
canonical text of each.
"""

import re
from enum import Enum
from typing import Self

from immutag.core.errors import ConfigInvalid, DigestMismatch, MissingSha, PolicyViolation
from immutag.core.frozen import frozen

_SHA = re.compile(r"[0-9a-f]{40}")
_HEX = re.compile(r"[0-9a-fA-F]{4,40}")  # what git takes for a commit, and writes as we want it
_SHA_LIKE = re.compile(r"[0-9a-fA-F]{13,}")
_SHORT = re.compile(r"[0-9a-f]{4,12}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_HOST = re.compile(
    r"(?:localhost|\[([0-9a-fA-F:]+)\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::([0-9]{1,5}))?"
)
_PORT_LIMIT = 65535
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_ENVIRONMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PLATFORM = re.compile(r"([a-z0-9]+)/([a-z0-9_]+)(?:/([a-z0-9.]+))?")
SHORT_LENGTH = 12
TO_FULL_SHA = "immutag history shows what was released, and git rev-parse SHORT all 40 characters of it"


def shown(text: str) -> str:
    """Foreign text for a message: bounded, and without terminal escapes."""
    clean = text[:200]
    if not clean.isprintable():
        clean = "".join(c if c.isprintable() else "�" for c in clean)
    return clean + "…" if len(text) > 200 else clean


@frozen(order=True)
class GitSha:
    """A full commit SHA: 40 lowercase hex characters (DR-001)."""

    value: str

    def __post_init__(self) -> None:
        if not _SHA.fullmatch(self.value):
            raise MissingSha(
                "not a full commit SHA",
                expected="40 lowercase hex characters",
                found=shown(self.value) or "nothing",
                remedy=f"git rev-parse {self.value}" if _HEX.fullmatch(self.value) else "git log --format=%H",
            )

    def __str__(self) -> str:
        return self.value

    @property
    def short(self) -> "ShortTag":
        """The first 12 characters: for people, and the optional short tag (DR-008)."""
        return ShortTag(self.value[:SHORT_LENGTH])

    @classmethod
    def to_run(cls, text: str) -> Self:
        """What `deploy` and `rollback` take: a full SHA. A floating or short tag is refused as such.

        Raises PolicyViolation for a tag that is not a SHA, MissingSha for a malformed SHA.
        """
        text = text.strip()
        if _SHORT.fullmatch(text):
            raise PolicyViolation(
                "a short SHA never selects what runs",
                expected="the full SHA of 40 characters",
                found=text,
                remedy=f"git rev-parse {text}",
            )
        if text and not _SHA_LIKE.fullmatch(text):
            raise PolicyViolation(
                "a floating tag never selects what runs",
                expected="the full SHA of 40 characters",
                found=shown(text),
                remedy=TO_FULL_SHA,
            )
        return cls(text)


@frozen(order=True)
class ShortTag:
    """The optional second tag of a release; a convenience for readers, never what runs (DR-008)."""

    value: str

    def __post_init__(self) -> None:
        if not re.fullmatch(f"[0-9a-f]{{{SHORT_LENGTH}}}", self.value):
            raise MissingSha(
                "not a short tag",
                expected=f"{SHORT_LENGTH} lowercase hex characters",
                found=shown(self.value) or "nothing",
                remedy="git rev-parse HEAD",
            )

    def __str__(self) -> str:
        return self.value


@frozen(order=True)
class Digest:
    """The digest of some bytes, `sha256:…` or `sha512:…` (OCI image-spec, descriptor.md#digests)."""

    value: str

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.value):
            raise DigestMismatch(
                "not a digest",
                expected="sha256: and 64 lowercase hex characters (or sha512: and 128)",
                found=shown(self.value) or "nothing",
                remedy="immutag show SHA",
            )

    def __str__(self) -> str:
        return self.value

    @property
    def algorithm(self) -> str:
        return self.value.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.value.partition(":")[2]


class RepositoryType(Enum):
    """Which of the two repositories: commits on main, or everything else (DR-005)."""

    CANONICAL = "canonical"
    STAGING = "staging"


def _is_host(text: str) -> bool:
    """Whether other tools take it for a registry too: a bare word is a folder of their default one."""
    found = _HOST.fullmatch(text)
    if found is None or int(found[2] or 0) > _PORT_LIMIT:
        return False
    return _is_ipv6(found[1]) if found[1] else text == "localhost" or "." in text or ":" in text


def _is_ipv6(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


@frozen(order=True)
class Repository:
    """A registry's repository, `host[:port]/path`: the host is always named, so nothing is guessed."""

    host: str
    path: str

    def __post_init__(self) -> None:
        if not _is_host(self.host) or not _PATH.fullmatch(self.path) or len(str(self)) > 255:
            raise ConfigInvalid(
                "not a repository",
                expected="host[:port]/path in lowercase, without tag or digest, e.g. ghcr.io/owner/api",
                found=shown(str(self)) or "nothing",
                remedy="correct [image] repository in immutag.toml",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `host[:port]/path`. Raises ConfigInvalid; a name without a host is not completed."""
        host, _, path = text.partition("/")
        return cls(host, path) if _is_host(host) else cls("", text)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.host else self.path


@frozen()
class ImageRef:
    """What runs, and nothing else does: `repository@digest` (law 5)."""

    repository: Repository
    digest: Digest

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `repository@digest`."""
        repository, _, digest = text.partition("@")
        return cls(Repository.parse(repository), Digest(digest))


@frozen()
class ShaTag:
    """The only primary tag there is: `repository:sha` (law 1)."""

    repository: Repository
    sha: GitSha

    def __str__(self) -> str:
        return f"{self.repository}:{self.sha}"


@frozen()
class Platform:
    """An OCI platform, `os/architecture[/variant]` (DR-004)."""

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `os/architecture[/variant]`. Raises ConfigInvalid."""
        found = _PLATFORM.fullmatch(text)
        if found is None:
            raise ConfigInvalid(
                "not a platform",
                expected="os/architecture, e.g. linux/amd64",
                found=shown(text) or "nothing",
                remedy="correct [build] platforms in immutag.toml",
            )
        return cls(found[1], found[2], found[3])


@frozen()
class EnvironmentName:
    """The name of an environment, as it stands in streams, containers and options."""

    value: str

    def __post_init__(self) -> None:
        if not _ENVIRONMENT.fullmatch(self.value):
            raise ConfigInvalid(
                "not an environment's name",
                expected="lowercase letters, digits and inner hyphens, at most 63",
                found=shown(self.value) or "nothing",
                remedy="use a name from [environments] in immutag.toml",
            )

    def __str__(self) -> str:
        return self.value
