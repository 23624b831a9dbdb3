"""One act of a container target in a process that kills itself around a call of the engine.

Run as `python -m tests.parts.killed_act before|during|after VERB ACT` with the target as JSON on standard
input. During: the engine's program goes on, as it does when only we are killed. What ships has no hook.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from immutag.core.deployment import Placement
from immutag.core.values import GitSha, ImageRef
from immutag.deploy import engine
from immutag.deploy.container import ContainerSettings, ContainerTarget
from immutag.process import Finished, run
from tests.parts.targets import ENVIRONMENT, LIMIT_S

_BEGUN_S = 0.02  # the engine's program has been started, and has not ended yet


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_around(when: str, verb: str) -> None:
    def deadly(argv: Sequence[str], **about: Any) -> Finished:  # Any: whatever run takes
        if argv[1] != verb:
            return run(argv, **about)
        if when == "before":
            die()
        if when == "during":
            threading.Thread(target=lambda: run(argv, **about)).start()
            time.sleep(_BEGUN_S)
            die()
        finished = run(argv, **about)
        die()
        return finished

    engine.run = deadly  # type: ignore[attr-defined] # the point of this module


def main(when: str, verb: str, act: str) -> None:
    given = json.load(sys.stdin)
    settings: Any = {  # of the types that asdict took apart
        key: tuple(value) if isinstance(value, list) else value for key, value in given["settings"].items()
    }
    target = ContainerTarget(given["engine"], ENVIRONMENT, ContainerSettings(**settings), settle_s=0.1)
    placement = Placement(
        ImageRef.parse(given["image"]),
        GitSha(given["sha"]),
        ENVIRONMENT,
        ImageRef.parse(given["previous"]),
        GitSha(given["previous_sha"]),
    )
    die_around(when, verb)
    {"place": target.place, "keep": target.keep, "restore": target.restore}[act](placement, timeout_s=LIMIT_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
