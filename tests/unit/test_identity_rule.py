"""Patterns for identities: from end to end, and what they mean here they mean to those whom we tell them."""

import warnings

import pytest

from immutag.core.errors import ConfigInvalid
from immutag.core.trust import IdentityRule, Pattern


@pytest.mark.parametrize(
    "subject", ["ci@example.com.evil.example", "evil-ci@example.com", "ci@example.com\n", ""]
)
def test_a_pattern_must_match_all_of_it(subject: str) -> None:
    rule = IdentityRule(Pattern("https://issuer.example"), Pattern(r"ci@example\.com$", regexp=True))
    assert rule.matches(issuer="https://issuer.example", subject="ci@example.com")
    assert not rule.matches(issuer="https://issuer.example", subject=subject)


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [(r"ci-\d+", "ci-\u0661"), (r"\w+", "\u0441i"), (r"a\sb", "a\u2003b"), (r"(?i)k", "\u212a")],
)
def test_characters_beyond_ascii_are_no_digits_letters_or_spaces(pattern: str, subject: str) -> None:
    """To Go, whose expressions the other enforcers have, they are none either."""
    assert not Pattern(pattern, regexp=True).matches(subject)


@pytest.mark.parametrize(
    "pattern",
    ["(", "a{99999999999999999999}", "(" * 5000 + ")" * 5000, "[[:alpha:]]+", "[a&&b]", "(?u)a", r"a\z"],
)
def test_what_is_no_pattern_or_another_one_elsewhere_is_refused(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigInvalid):
            Pattern(pattern, regexp=True)
