"""Clean builds: every builder ends in the same place, a layout folder (DR-002, DR-004)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from immutag.core.frozen import frozen
from immutag.core.report import Report
from immutag.core.values import Platform
from immutag.oci import Descriptor


@frozen()
class BuildRequest:
    """What to build. `context` is an export of the commit; `epoch_s` its commit time (SOURCE_DATE_EPOCH).

    `labels` go into the image's config and, under the same names, into the manifest's annotations.
    """

    context: Path
    dockerfile: Path
    args: Mapping[str, str]
    platforms: tuple[Platform, ...]
    labels: Mapping[str, str]
    epoch_s: int
    timeout_s: float


class Builder(Protocol):
    """A program that builds without any layer cache, in or out."""

    name: str

    def build(self, request: BuildRequest, *, layout: Path, log: Path, report: Report) -> Descriptor:
        """Build into a new layout folder and return its root manifest. The whole output goes to `log`.

        Raises BuildFailure, with the log's last lines; ConfigInvalid if the program is missing.
        """
        ...
