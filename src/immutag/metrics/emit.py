"""Where the metrics go: a file for the node exporter, and a Pushgateway (DR-010).

Both get the whole ledger's totals each time, so emitting twice, or after a failure, changes nothing.
That a metric could not be delivered never fails the command: it is reported.
"""

import os
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

from immutag.core.errors import ImmutagError
from immutag.core.report import Report
from immutag.core.values import shown
from immutag.ledger import Ledger
from immutag.metrics.exposition import exposition
from immutag.oci.http import Http

_TIMEOUT_S = 10.0
_LIMIT_BYTES = 65536
_ID_LENGTH = 16


class Destinations(Protocol):
    """What `[metrics]` says about where they go."""

    @property
    def textfile(self) -> Path | None: ...
    @property
    def pushgateway(self) -> str | None: ...


def emit(to: Destinations, ledger: Ledger, *, http: Http, report: Report) -> None:
    """Fold the ledger and deliver the metrics. Raises LedgerCorrupt."""
    entries = ledger.entries()
    first = next(entries, None)
    if first is None:
        return
    text = exposition(chain((first,), entries))
    if to.textfile and (problem := write(text, to.textfile)):
        report.warning(f"metrics were not written: {problem}")
    if to.pushgateway and (problem := push(text, to.pushgateway, first.hash[:_ID_LENGTH], http=http)):
        report.warning(f"metrics were not pushed: {problem}")


def write(text: str, path: Path) -> str | None:
    """Replace the file as a whole; a reader never sees half of it. What went wrong, in words, if it did."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The node exporter reads *.prom only, and as another user than we are.
        with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        return shown(f"{path}: {error.strerror}")
    return None


def push(text: str, gateway: str, ledger_id: str, *, http: Http) -> str | None:
    """Replace this ledger's group of metrics. What went wrong, in words, if it did.

    The group is named by the ledger's first entry: ledgers do not overwrite each other's metrics.
    """
    url = f"{gateway.rstrip('/')}/metrics/job/immutag/ledger/{ledger_id}"
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    try:
        answer = http.request(
            "PUT",
            url,
            headers=headers,
            body=text.encode(),
            limit_bytes=_LIMIT_BYTES,
            timeout_s=_TIMEOUT_S,
        )
    except ImmutagError as error:
        return f"{error.message}: {error.found}"
    if answer.status // 100 != 2:
        return f"the gateway answered {answer.status}: {shown(answer.body.decode(errors='replace'))}"
    return None
