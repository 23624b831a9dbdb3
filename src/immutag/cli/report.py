"""Progress for people, on standard error: bars on a terminal, plain lines elsewhere, JSON lines if asked."""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from immutag.cli.output import clean, colours, write_error, write_json
from immutag.core.report import Report

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY_S = 5.0
_MARKS = {"step": "·", "warning": "!", "output": "  |"}


class OpenReport(Report, Protocol):
    """A report that ends: a terminal's bars have to go."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_report(options: argparse.Namespace) -> OpenReport:
    """The report that fits where standard error goes."""
    if options.log_format == "json":
        return PlainReport(_json_line, loudness=options.loudness)
    if options.loudness == 0 and colours(options, sys.stderr):
        return TerminalReport()
    return PlainReport(_text_line, loudness=options.loudness)


class PlainReport:
    """A line for each thing; of a transfer, the end, and where it is every few seconds."""

    def __init__(self, write: Callable[[str, dict[str, object]], None], *, loudness: int) -> None:
        self._write = write
        self._quiet = loudness < 0
        self._lock = threading.Lock()
        self._moved: dict[str, tuple[float, tuple[int, int]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def step(self, text: str) -> None:
        self._say("step", {"message": text})

    def warning(self, text: str) -> None:
        with self._lock:
            self._write("warning", {"message": text})

    def output(self, line: str) -> None:
        self._say("output", {"message": line})

    def transfer(self, label: str, done_bytes: int, total_bytes: int) -> None:
        now, moved = time.monotonic(), (done_bytes, total_bytes)
        with self._lock:
            due, last = self._moved.setdefault(label, (now + _EVERY_S, (0, 0)))
            if moved == last or (done_bytes < total_bytes and now < due):
                return
            self._moved[label] = (now + _EVERY_S, moved)
        self._say("transfer", {"message": label, "done_bytes": done_bytes, "total_bytes": total_bytes})

    def _say(self, event: str, fields: dict[str, object]) -> None:
        if not self._quiet:
            with self._lock:
                self._write(event, fields)


class TerminalReport:
    """Steps as lines; below them the builder's last line, or a bar for each transfer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def step(self, text: str) -> None:
        self._line(f"· {clean(text)}")

    def warning(self, text: str) -> None:
        self._line(f"! {clean(text)}")

    def output(self, line: str) -> None:
        with self._lock:
            progress = self._bars()
            task = self._task(progress, "", total=None)
            progress.update(task, description=_escaped(line[: progress.console.width - 12]))

    def transfer(self, label: str, done_bytes: int, total_bytes: int) -> None:
        with self._lock:
            progress = self._bars()
            progress.update(
                self._task(progress, label, total=total_bytes),
                description=_escaped(label),
                completed=done_bytes,
                total=total_bytes,
            )

    def _line(self, text: str) -> None:
        with self._lock:
            if self._progress is None:
                write_error(text)
            else:
                self._progress.console.print(text, markup=False, highlight=False)

    def _bars(self) -> "Progress":
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self._progress

    def _task(self, progress: "Progress", label: str, *, total: int | None) -> "TaskID":
        if label not in self._tasks:
            self._tasks[label] = progress.add_task("", total=total)
        return self._tasks[label]


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(clean(text))


def _json_line(event: str, fields: dict[str, object]) -> None:
    write_error(write_json({"event": event, **fields}))


def _text_line(event: str, fields: dict[str, object]) -> None:
    message = clean(str(fields["message"]))
    if event == "transfer":
        write_error(
            f"· {message}: {_mebibytes(fields['done_bytes'])} of {_mebibytes(fields['total_bytes'])} MiB"
        )
    else:
        write_error(f"{_MARKS[event]} {message}")


def _mebibytes(size: object) -> str:
    return f"{size / 1048576:.1f}" if isinstance(size, int) else "?"
