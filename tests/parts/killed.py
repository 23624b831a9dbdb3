"""immutag's command line in a process that kills itself right before or after it appends one kind of fact.

Run as `python -m tests.parts.killed before|after FACT ARGUMENT…`. What ships has no hook for this.
"""

import os
import signal
import sys

from immutag.cli import main
from immutag.core.facts import Entry, Fact, Stream
from immutag.ledger.sqlite import SqliteLedger


def die_around(when: str, kind: str) -> None:
    """From now on, appending a fact of this kind ends the process as a power cut would."""
    append = SqliteLedger.append

    def deadly(ledger: SqliteLedger, stream: Stream, fact: Fact, *, after: int) -> Entry:
        if fact.type == kind and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        entry = append(ledger, stream, fact, after=after)
        if fact.type == kind and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return entry

    SqliteLedger.append = deadly  # type: ignore[method-assign, assignment] # the point of this module


if __name__ == "__main__":
    die_around(sys.argv[1], sys.argv[2])
    sys.exit(main(sys.argv[3:]))
