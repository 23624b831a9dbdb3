"""The releases that an environment can go back to, for a person to choose from: nothing is picked."""

from collections.abc import Mapping, Sequence

from immutag.cli.table import table
from immutag.core.values import EnvironmentName

_HEADERS = ("sha", "age", "outcome", "signature", "distance", "subject")


def candidates_text(
    environment: EnvironmentName, found: Sequence[Mapping[str, object]], *, coloured: bool
) -> str:
    """A table, and the exact next command for the newest of them."""
    if not found:
        return f"{environment} has no earlier release to go back to"
    rows = [tuple(each.get(name) for name in _HEADERS) for each in found]
    return f"{table(_HEADERS, rows, coloured=coloured)}\n\nnext: {found[0]['command']}"
