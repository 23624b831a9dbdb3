"""Whom we trust: the rule that a signature is held against. Pure; keys are compared elsewhere (DR-018)."""

import re
import warnings

from immutag.core.errors import ConfigInvalid
from immutag.core.frozen import frozen
from immutag.core.values import shown


@frozen()
class Pattern:
    r"""A text, or a regular expression that all of a text must match: anchored at both ends.

    It means the same to those whom we tell the rule: `\d` and `\\w` are ASCII's, as in Go, and what others
    may read as a class within a class (`[[:alpha:]]`) is refused.
    """

    text: str
    regexp: bool = False

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise self._invalid("nothing")
        if self.regexp:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", FutureWarning)
                    re.compile(self.text, re.ASCII)
            except (re.error, ValueError, OverflowError, RecursionError, FutureWarning) as error:
                raise self._invalid(f"{self.text}: {error}") from None

    def matches(self, text: str) -> bool:
        """Whether it is this text, or the whole text matches."""
        if self.regexp:
            return re.fullmatch(self.text, text, re.ASCII) is not None
        return text == self.text

    def _invalid(self, found: str) -> ConfigInvalid:
        return ConfigInvalid(
            "a pattern for identities cannot be used",
            expected="a text, or a regular expression",
            found=shown(found),
            remedy="correct [trust] identities",
        )

    def __str__(self) -> str:
        return f"/{self.text}/" if self.regexp else self.text


@frozen()
class IdentityRule:
    """A certificate identity that is trusted, as this issuer vouches for it."""

    issuer: Pattern
    subject: Pattern

    def matches(self, *, issuer: str, subject: str) -> bool:
        return self.issuer.matches(issuer) and self.subject.matches(subject)

    def __str__(self) -> str:
        return f"{self.subject} ({self.issuer})"
