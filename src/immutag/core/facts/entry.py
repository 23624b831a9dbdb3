"""A fact in the ledger, and the stream that it is numbered in."""

from typing import Self

from immutag.core.facts.codec import Fact
from immutag.core.frozen import frozen
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository


@frozen(order=True)
class Stream:
    """The facts about one thing, numbered 1, 2, … within it."""

    name: str

    @classmethod
    def release(cls, repository: Repository, sha: GitSha) -> Self:
        return cls(f"release:{repository}:{sha}")

    @classmethod
    def environment(cls, canonical: Repository, environment: EnvironmentName) -> Self:
        """Named by the canonical repository, so that many services can share a ledger."""
        return cls(f"environment:{canonical}:{environment}")

    @classmethod
    def registry(cls, repository: Repository) -> Self:
        return cls(f"registry:{repository}")

    @classmethod
    def ledger(cls, canonical: Repository) -> Self:
        """About the ledger itself, as this service sees it: where its head was left."""
        return cls(f"ledger:{canonical}")

    @classmethod
    def image(cls, repository: Repository, digest: Digest) -> Self:
        """What was found on a digest, whoever released it."""
        return cls(f"image:{repository}@{digest}")

    def __str__(self) -> str:
        return self.name


@frozen()
class Entry:
    """A fact in the ledger (DR-017). `time` is UTC, RFC 3339 with milliseconds; hashes are hex."""

    sequence: int
    stream: Stream
    version: int
    time: str
    actor: str
    previous: str
    hash: str
    fact: Fact
