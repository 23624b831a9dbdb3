"""Jobs that append to one ledger on a git branch: `python -m benchmarks.git_ledger [WRITERS EACH]` (20 50).

None has seen the ledger before. It prints the time of an append, and checks that none was lost.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from immutag.core.facts import Stream
from tests.parts.git_appending import open_ledger
from tests.parts.git_http import git_server


def main() -> None:
    writers, each = map(int, sys.argv[1:3] or ("20", "50"))
    with tempfile.TemporaryDirectory() as folder, git_server(Path(folder) / "server") as server:
        Path(folder, "server").mkdir()
        url, begun = server.create(), time.perf_counter()
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.parts.git_appending",
                 f"{folder}/{n}", url, f"job:{n}", str(each), "240"],
                stdout=subprocess.PIPE,
            )
            for n in range(writers)
        ]  # fmt: skip
        times = [int(text) for process in running for text in process.communicate()[0].split()]
        took = time.perf_counter() - begun
        print(
            f"{len(times)} appends by {writers} jobs in {took:.0f} s: {took / len(times) * 1000:.0f} ms each"
        )
        print(f"one append: {statistics.median(times):.0f} ms in the middle, {max(times)} ms at most")
        begun = time.perf_counter()
        ledger = open_ledger(Path(folder) / "audit", url)
        size = ledger.verify().size
        print(f"a new job reads and verifies {size} entries in {time.perf_counter() - begun:.2f} s")
        lost = writers * each - sum(len(ledger.stream(Stream(f"job:{n}"))) for n in range(writers))
        print(f"lost: {lost}")
        sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
