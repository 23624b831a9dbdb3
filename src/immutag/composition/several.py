"""Several things asked for at once: each has its own answer, and an error is one of the answers."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from immutag.core.errors import ImmutagError
from immutag.core.views import Document

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


def or_error(ask: Callable[[_Asked], _Answer], asked: _Asked) -> _Answer | ImmutagError:
    """The answer, or the error in its place."""
    try:
        return ask(asked)
    except ImmutagError as error:
        return error


def documents(texts: Sequence[str], answers: Sequence[Document | ImmutagError]) -> list[Document]:
    """A document for each text: its answer, or `image` (the text) and the `error` that kept it from one.

    Raises the error where only one thing is asked for.
    """
    if len(answers) == 1 and isinstance(answers[0], ImmutagError):
        raise answers[0]
    return [
        {"image": text, "error": answer.as_json()} if isinstance(answer, ImmutagError) else answer
        for text, answer in zip(texts, answers, strict=True)
    ]
