"""A CI job that appends to a ledger on a git branch.

    python -m tests.parts.git_appending FOLDER URL STREAM COUNT [PATIENCE_S]

It prints each append's milliseconds.
"""

import os
import sys
import time
from pathlib import Path

from immutag.core.facts import Stream
from immutag.git.remote_branch import RemoteBranch
from immutag.ledger.git import GitLedger
from tests.parts.appending import held


def open_ledger(folder: Path, url: str, *, patience_s: float = 280) -> GitLedger:
    branch = RemoteBranch(folder / "repo.git", url, "immutag-ledger")
    return GitLedger(folder, branch, actor=f"pid {os.getpid()}", patience_s=patience_s)


def main(folder: str, url: str, name: str, count: str, patience_s: str = "280") -> None:
    ledger, stream = open_ledger(Path(folder), url, patience_s=float(patience_s)), Stream(name)
    for number in range(int(count)):
        begun = time.monotonic()
        ledger.append(stream, held(f"{name} {number}"), after=number)
        print(round((time.monotonic() - begun) * 1000), flush=True)
    ledger.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
