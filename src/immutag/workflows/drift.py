"""Where a file differs from its template: the first line is enough to find it."""

from itertools import zip_longest

from immutag.core.frozen import frozen


@frozen()
class Drift:
    """`line` counts from 1. `expected` is None after the template's end, `found` after the file's."""

    path: str
    line: int
    expected: str | None
    found: str | None


def drift(path: str, expected: str, found: str | None) -> Drift | None:
    """The first difference; None if there is none. `found` is None for a file that is not there."""
    if found is None:
        return Drift(path, 1, expected.partition("\n")[0], None)
    for number, (ours, theirs) in enumerate(zip_longest(_lines(expected), _lines(found)), start=1):
        if ours != theirs:
            return Drift(path, number, ours, theirs)
    return None


def _lines(text: str) -> list[str]:
    """With their ends, all but the last one's: a carriage return is a difference, and so is a missing end."""
    return text.split("\n")
