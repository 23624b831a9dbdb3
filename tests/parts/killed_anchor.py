"""The command line in a process that kills itself right before or after one act of anchoring in a log.

Run as `python -m tests.parts.killed_anchor before|after log|attach ARGUMENT…`. What ships has no hook for it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from immutag.cli import main
from immutag.trust.signing.rekor import Rekor
from immutag.usecases import anchor


def deadly(act: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The act in a process that ends around it as a power cut would."""

    def around(*arguments: Any) -> Any:
        if when == "after":
            act(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    return around


if __name__ == "__main__":
    when, act = sys.argv[1:3]
    if act == "log":
        Rekor.enter = deadly(Rekor.enter, when)  # type: ignore[method-assign] # the point of this module
    else:
        anchor.attach = deadly(anchor.attach, when)  # type: ignore[attr-defined]
    sys.exit(main(sys.argv[3:]))
