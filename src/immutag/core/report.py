"""How a use case says what it is doing. The terminal's bars and CI's plain lines implement it."""

from typing import Protocol


class Report(Protocol):
    """Progress for people; nothing of it is a result, and none of it may hold a secret."""

    def step(self, text: str) -> None:
        """One thing began or was found, in a short sentence."""
        ...

    def warning(self, text: str) -> None:
        """Something did not work that does not stop the command; told also where progress is not wanted."""
        ...

    def output(self, line: str) -> None:
        """One line of a program that we run (a build), as it came."""
        ...

    def transfer(self, label: str, done_bytes: int, total_bytes: int) -> None:
        """Bytes moved so far; called from several threads."""
        ...
