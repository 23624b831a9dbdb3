"""The command line. What a command's end means, as an exit status, is decided here and nowhere else.

Nothing heavy is imported before a command needs it: start-up counts (DR-015).
"""

import gc
import sys
from collections.abc import Sequence

from immutag.core.errors import ImmutagError

DONE, DEFECT, USAGE, UNVERIFIED = 0, 1, 2, 31
INTERRUPTED = 130


class Ended(BaseException):
    """SIGTERM or SIGHUP: everything unwinds, so builders end and the ledger stays consistent."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_status = 128 + number


class UsageError(Exception):
    """The command line itself is wrong. `usage` is the command's synopsis, `command` its name."""

    def __init__(self, message: str, *, usage: str, command: str) -> None:
        super().__init__(message)
        self.usage = usage
        self.command = command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    gc.disable()  # until a project is open: importing makes no garbage, and looking for it takes 8 ms
    try:
        _unwind_when_ended()
        return _run(arguments)
    except KeyboardInterrupt:
        return _fail(arguments, INTERRUPTED, "INTERRUPTED", "interrupted")
    except Ended as ended:
        return _fail(arguments, ended.exit_status, "TERMINATED", "terminated")
    except UsageError as error:
        return _fail(arguments, USAGE, "USAGE", str(error), error.usage, "", f"{error.command} --help")
    except ImmutagError as error:
        return _fail(arguments, error.exit_status, *error.as_json().values())
    except Exception as error:  # noqa: BLE001 - the outermost frame: a person gets words, not a traceback
        return _fail(arguments, DEFECT, "DEFECT", "a defect of immutag", *_defect(arguments, error))
    finally:
        gc.freeze()  # nor is there any to look for at the end
        gc.enable()


def _run(arguments: list[str]) -> int:
    from immutag.cli.parser import parse, run

    return run(parse(arguments))


def _unwind_when_ended() -> None:
    import signal

    def end(number: int, _frame: object) -> None:
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)  # unwinding happens once
        raise Ended(number)

    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is not signal.SIG_IGN:  # nohup
            signal.signal(each, end)


def _defect(arguments: list[str], error: Exception) -> tuple[str, str, str]:
    """Its text may hold anything, secrets too: only a system error's is shown unless asked for."""
    found = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
    if {"-v", "--verbose"} & set(arguments):
        import traceback

        found += "\n" + "".join(traceback.format_exception(error)).rstrip()
    return "no unforeseen error", found, "run it again with -v, and report what it prints"


def _fail(arguments: list[str], status: int, code: str, message: str, *rest: str) -> int:
    from immutag.cli.failure import Failure, tell

    tell(arguments, Failure(code, message, *rest))
    return status
