"""The same work on many things, in a few threads."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

_GRACE_S = 2.0
_T = TypeVar("_T")
_R = TypeVar("_R")


class Cancelled(Exception):
    """Another worker has failed already."""


def for_each(work: Callable[[_T, threading.Event], None], items: Iterable[_T], *, workers: int) -> None:
    """Do the work for every item. The first error sets the event, which work in progress looks at.

    The error is raised once the others have stopped, or after 2 s; an interrupt at once. The threads are
    daemons, so that a transfer that hangs does not keep the process.
    """
    todo, stop, errors = deque(items), threading.Event(), list[BaseException]()

    def run() -> None:
        while not stop.is_set():
            try:
                item = todo.popleft()
            except IndexError:
                return
            try:
                work(item, stop)
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                errors.append(error)
                stop.set()

    threads = [threading.Thread(target=run, daemon=True) for _ in range(min(workers, len(todo)))]
    try:
        for thread in threads:
            thread.start()
        _wait(threads, stop)
    finally:
        stop.set()
    if errors:
        raise errors[0]


def map_each(work: Callable[[_T], _R], items: Iterable[_T], *, workers: int) -> list[_R]:
    """What the work gives for every item, in their order. Raises the first error, as `for_each` does."""
    todo = list(items)
    if len(todo) <= 1:  # no thread for one
        return [work(item) for item in todo]
    found: dict[int, _R] = {}

    def keep(at: int, _: threading.Event) -> None:
        found[at] = work(todo[at])

    for_each(keep, range(len(todo)), workers=workers)
    return [found[at] for at in range(len(todo))]


def _wait(threads: list[threading.Thread], stop: threading.Event) -> None:
    """Until all have ended, or the grace after the first error is over."""
    deadline: float | None = None
    while alive := [thread for thread in threads if thread.is_alive()]:
        if stop.is_set():
            deadline = deadline or time.monotonic() + _GRACE_S
            if time.monotonic() > deadline:
                return
        alive[0].join(0.05)
