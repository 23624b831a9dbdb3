"""The same work on many things, in a few threads."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

_GRACE_S = 2.0
_FIRST = 4  # threads; more only wait for each other where the processor is what there is too little of
_LOOK_S = 0.02
_BUSY = 0.75  # of one core
_T = TypeVar("_T")
_R = TypeVar("_R")


class Cancelled(Exception):
    """Another worker has failed already."""


def for_each(work: Callable[[_T, threading.Event], None], items: Iterable[_T], *, workers: int) -> None:
    """Do the work for every item, in as many of the threads as make it faster.

    The first error sets the event, which work in progress looks at. It is raised once the others have
    stopped, or after 2 s; an interrupt at once. The threads are daemons, so that a transfer that hangs does
    not keep the process.
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

    crew = _Crew(run, min(workers, len(todo)))
    try:
        crew.add(_FIRST)
        _wait(crew, stop)
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


class _Crew:
    """The threads of one piece of work: a few, and all of them once this process mostly waits for others."""

    def __init__(self, run: Callable[[], None], limit: int) -> None:
        self._run = run
        self._left = limit
        self._threads: list[threading.Thread] = []
        self._looked = _now()

    def add(self, count: int) -> None:
        """Start so many more, as far as the limit allows."""
        for _ in range(min(count, self._left)):
            self._left -= 1
            self._threads.append(threading.Thread(target=self._run, daemon=True))
            self._threads[-1].start()

    def join_one(self) -> bool:
        """Wait for one of them a moment, which may bring in the others; whether any is still at work."""
        alive = next((thread for thread in self._threads if thread.is_alive()), None)
        if alive is not None:
            alive.join(_LOOK_S)
            self._look()
        return alive is not None

    def _look(self) -> None:
        before, self._looked = self._looked, _now()
        (wall_s, busy_s), (wall_before_s, busy_before_s) = self._looked, before
        if busy_s - busy_before_s < _BUSY * (wall_s - wall_before_s):
            self.add(self._left)


def _now() -> tuple[float, float]:
    """The time, and what this process has computed so far, in seconds."""
    return time.monotonic(), time.process_time()


def _wait(crew: _Crew, stop: threading.Event) -> None:
    """Until all have ended, or the grace after the first error is over."""
    deadline: float | None = None
    while crew.join_one():
        if stop.is_set():
            deadline = deadline or time.monotonic() + _GRACE_S
            if time.monotonic() > deadline:
                return
