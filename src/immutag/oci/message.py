"""What HTTP says, as values: a request's body, an answer, or why there was none (DR-012)."""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import BinaryIO, Self
from urllib.parse import urlsplit

from immutag.core.errors import RegistryUnavailable
from immutag.core.frozen import frozen
from immutag.core.values import shown


def bare(url: str) -> str:
    """An address for a message: no query, which may hold a signature, and no user."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    host = parts.netloc.rpartition("@")[2]
    return shown(f"{parts.scheme}://{host}{parts.path}")


class Fault(Enum):
    """Why there was no answer that could be read."""

    REFUSED = "no connection could be made"
    BROKEN = "the connection broke"
    TIMEOUT = "no answer within the time allowed"
    TOO_LARGE = "the answer is larger than allowed"
    NONSENSE = "the answer is no HTTP that could be read"
    TLS = "no trustworthy TLS connection"
    CLOSED = "the client was closed meanwhile"


class NoAnswer(RegistryUnavailable):
    """No HTTP answer that could be read; it says nothing about what the server holds."""

    def __init__(self, fault: Fault, url: str, detail: str = "") -> None:
        super().__init__(
            f"{fault.value}: {bare(url)}",
            expected="a complete HTTP answer",
            found=shown(detail) or fault.value,
            remedy=_REMEDY.get(fault, "try again; immutag doctor shows what can be reached"),
        )
        self.fault = fault

    def without(self, secrets: Iterable[str]) -> Self:
        """The same: an address may repeat what it was sent, and must not be quoted then."""
        for secret in filter(None, secrets):
            self.message, self.found = (text.replace(secret, "…") for text in (self.message, self.found))
        return self


_REMEDY = {
    Fault.TLS: 'give the authority\'s certificate as `ca` under [registry."HOST"] in immutag.toml',
    Fault.REFUSED: "check the registry's host and port, and the proxy settings",
}


class Headers(Mapping[str, str]):
    """A response's headers, whatever the case of their names; several of one name joined by `, `."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        key = name.lower()
        self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@frozen()
class Response:
    """A complete answer, or a refusal (from 400 on) whose body was cut off where the request's limit is."""

    status: int
    headers: Headers
    body: bytes


@frozen()
class Streamed:
    """An answer whose body is still coming. `blocks` raises NoAnswer when it breaks off."""

    status: int
    headers: Headers
    blocks: Iterator[bytes]


@frozen()
class BodySource:
    """A request body that is read while it is sent: `size_bytes` from `offset` of a stream."""

    stream: BinaryIO
    offset: int
    size_bytes: int
