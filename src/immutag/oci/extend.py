"""Adding to what lies behind one of the standards' tags: a list that others add to as well.

Few registries compare before they write, so it is read, added to, written, and read again until what was
added has stayed.
"""

import random
import time
from collections.abc import Callable

from immutag.core.errors import PushFailure
from immutag.oci import Descriptor
from immutag.oci.refusal import pushing
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import StandardTag, TagContent, immutable

_PATIENCE_S = 60.0
_FRESH_S = 0.02
_SETTLE_LEAST_S, _SETTLE_BUSY_S, _SETTLE_MOST_S = 0.06, 0.5, 5.0
_SETTLE_WINDOWS = 3.0
_REFUSALS = 3

Merge = Callable[[TagContent | None], tuple[Descriptor, bytes] | None]
"""What is to lie behind the tag instead; `None` once nothing is to be added."""


def extend(registry: Registry, tag: StandardTag, merge: Merge) -> None:
    """Until what `merge` adds is there, and nobody has written the tag for a while.

    Somebody who read it before our writing may write it after, without our entry. That happens within the
    time that reading and writing take, so we look again after three times as long as it took us, and longer
    once we have seen that somebody else writes. Raises PushFailure, TagImmutable, RegistryAuth, and what
    `merge` raises.
    """
    deadline = time.monotonic() + _PATIENCE_S
    writing = _Writing(registry, tag)
    with pushing():
        while True:
            held = writing.look()
            wanted = merge(held)
            late = writing.asked > deadline
            if wanted is None and (late or writing.has_settled()):
                return
            if late:
                raise _does_not_stay(tag)
            if wanted is not None:
                writing.write(*wanted, over=held)
            time.sleep(writing.pause_s())


class _Writing:
    """Our writing of the tag, and what was seen of others'."""

    def __init__(self, registry: Registry, tag: StandardTag) -> None:
        self._registry = registry
        self._tag = tag
        self._written = False
        self._last: Descriptor | None = None
        self._since = 0.0
        self._settle_s = _SETTLE_LEAST_S
        self._refusals = 0
        self.asked = 0.0

    def look(self) -> TagContent | None:
        """What lies behind the tag now."""
        self.asked = time.monotonic()
        held = self._registry.standard_manifest(self._tag)
        content = held.content if held else None
        if content != self._last:
            self._since, self._refusals = self.asked, 0
            if self._written:
                self._settle_s = max(self._settle_s, min(_SETTLE_BUSY_S, 2 * self._settle_s))
        self._last = content
        return held

    def has_settled(self) -> bool:
        """Whether the tag stayed as it is for long enough; what we did not write need not."""
        return not self._written or self.asked - self._since >= self._settle_s

    def write(self, content: Descriptor, text: bytes, *, over: TagContent | None) -> None:
        """Write it, if nothing has changed while it was made; a refusal may pass, or not."""
        if time.monotonic() - self.asked > _FRESH_S and _differ(self.look(), over):
            return
        refusal: PushFailure = immutable(self._tag, "status 412, and nothing changed there")
        try:
            taken = self._registry.put_standard_manifest(self._tag, content, text, over=over)
        except PushFailure as error:  # it may pass: distribution misses blobs while others upload them too
            taken, refusal = False, error
        if not taken:
            self._refusals += 1
            if self._refusals >= _REFUSALS:
                raise refusal
            return
        now = time.monotonic()
        self._written, self._last, self._since, self._refusals = True, content, now, 0
        self._settle_s = min(_SETTLE_MOST_S, max(self._settle_s, _SETTLE_WINDOWS * (now - self.asked)))

    def pause_s(self) -> float:
        """Until the next look; no two writers keep in step."""
        return self._settle_s * random.uniform(1.0, 1.3)  # noqa: S311


def _differ(now: TagContent | None, before: TagContent | None) -> bool:
    return (now.content if now else None) != (before.content if before else None)


def _does_not_stay(tag: StandardTag) -> PushFailure:
    return PushFailure(
        f"what is added behind the tag {tag} does not stay",
        expected="the entry, still there a moment after it was written",
        found=f"a list without it, again and again, for {_PATIENCE_S:.0f} s",
        remedy="try again; somebody else writes this tag, or the registry answers with something older",
    )
