"""Asking a service of Sigstore's through its library, within a time."""

import threading
from collections.abc import Callable
from typing import TypeVar

from immutag.core.errors import ImmutagError, SoftVerifyToolError
from immutag.core.values import shown

T = TypeVar("T")


def asked(what: str, call: Callable[[], T], timeout_s: float, *, again: str = "immutag release") -> T:
    """What the call gives. Raises SoftVerifyToolError when it fails or takes longer, whatever the cause.
    `again` is the command to try once more.

    The library bounds no request in time, and lets through whatever its HTTP client and parsers raise. A
    call that hangs is left behind in its thread; it keeps no process from ending.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def answer() -> None:
        try:
            answers.append(call())
        except Exception as error:  # noqa: BLE001 - see above
            errors.append(error)

    thread = threading.Thread(target=answer, name=f"sigstore: {what}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if answers:
        return answers[0]
    if errors and isinstance(errors[0], ImmutagError):
        raise errors[0]
    raise SoftVerifyToolError(
        f"Sigstore did not {what}",
        expected=f"an answer within {timeout_s:g} s",
        found=_words(errors[0]) if errors else "none",
        remedy=f"once more: {again}; or correct signing_config and trusted_root in [trust]",
    ) from (errors[0] if errors else None)


def _words(error: BaseException) -> str:
    """The first of an error and its causes that says something: the library's own are often empty."""
    said: BaseException | None = error
    while said is not None and not str(said):
        said = said.__cause__ or said.__context__
    return shown(f"{type(error).__name__}: {said or 'without a word'}")
