"""The tags that standards put beside an image: the only ones that are ever written a second time.

The referrers' fallback `sha256-<hex>` (distribution-spec, "Referrers Tag Schema"), and cosign's own. Each is
a list that others add to as well, and most registries cannot compare before they write: so it is read, added
to, written, and read again until what was added has stayed.
"""

import random
import time
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from immutag.core.errors import PushFailure
from immutag.core.frozen import frozen
from immutag.core.values import Digest
from immutag.oci import Descriptor

_PATIENCE_S = 60.0
_SETTLE_LEAST_S, _SETTLE_MOST_S = 0.05, 3.0
_SETTLE_WINDOWS = 3.0


class Suffix(Enum):
    """Which of the tags of an image."""

    REFERRERS = ""
    SIGNATURES = ".sig"
    ATTESTATIONS = ".att"
    SBOMS = ".sbom"


@frozen()
class StandardTag:
    """`sha256-<hex>[.sig|.att|.sbom]`: made from an image's digest, so it can be no release's tag."""

    subject: Digest
    suffix: Suffix = Suffix.REFERRERS

    def __str__(self) -> str:
        return f"{self.subject.algorithm}-{self.subject.hex[:64]}{self.suffix.value}"


@frozen()
class Held:
    """What lies behind such a tag at this moment."""

    content: Descriptor
    text: bytes
    etag: str | None


class TagImmutable(PushFailure):
    """The registry forbids to write a tag twice, so nothing can be added behind this one.

    What needs no tag still works: referrers where the registry has the API, or a repository of their own for
    signatures, whose tags may change.
    """


class Tags(Protocol):
    """The part of a registry's repository that is needed here."""

    def standard_manifest(self, tag: StandardTag) -> Held | None:
        """What lies behind the tag, if there is something."""
        ...

    def put_standard_manifest(
        self, tag: StandardTag, content: Descriptor, text: bytes, *, over: Held | None
    ) -> bool:
        """Write it; `False` if the registry says that it is not `over` any more. Raises TagImmutable."""
        ...


Merge = Callable[[Held | None], tuple[Descriptor, bytes] | None]
"""What is to lie behind the tag instead; `None` once nothing is to be added."""


def add(tags: Tags, tag: StandardTag, merge: Merge) -> None:
    """Until what `merge` adds is there, and was still there a while after it was written.

    Somebody who read the list before our writing may write it after, without our entry, and few registries
    refuse that. It happens within the time that reading and writing take, so we look again after three
    times as long as it took us. Raises PushFailure, TagImmutable, RegistryAuth.
    """
    deadline = time.monotonic() + _PATIENCE_S
    settle_s, written = 0.0, None
    while True:
        asked = time.monotonic()
        held = tags.standard_manifest(tag)
        wanted = merge(held)
        if wanted is None and (written is None or asked - written >= settle_s):
            return
        if asked > deadline:
            raise _does_not_stay(tag)
        if wanted is not None and tags.put_standard_manifest(tag, *wanted, over=held):
            lost, written = written is not None, time.monotonic()
            settle_s = _settle_s(written - asked, 2 * settle_s if lost else 0.0)
        if written is not None:
            pause_s = written + settle_s - time.monotonic()
            time.sleep(max(0.0, pause_s) * random.uniform(1.0, 1.5))  # noqa: S311 - so that two get out of step


def _settle_s(window_s: float, least_s: float) -> float:
    return min(_SETTLE_MOST_S, max(_SETTLE_LEAST_S, least_s, _SETTLE_WINDOWS * window_s))


def _does_not_stay(tag: StandardTag) -> PushFailure:
    return PushFailure(
        f"what is added behind the tag {tag} does not stay",
        expected="the entry, still there a moment after it was written",
        found=f"a list without it, again and again, for {_PATIENCE_S:.0f} s",
        remedy="try again; somebody else writes this tag, or the registry answers with something older",
    )
