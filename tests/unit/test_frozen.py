"""Frozen classes behave as the standard library's frozen, slotted dataclasses do."""

import copy
import dataclasses
import pickle
from typing import ClassVar, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.frozen import fields, frozen, replace
from immutag.core.values import GitSha, Repository

T = TypeVar("T")


@frozen(order=True)
class Ours:
    """Ours."""

    kind: ClassVar[str] = "k"
    number: int
    word: str = "w"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Theirs:
    """The standard library's."""

    kind: ClassVar[str] = "k"
    number: int
    word: str = "w"


@frozen()
class Nothing:
    """No field at all."""


@frozen()
class Holder(Generic[T]):
    """A generic one."""

    value: T


@frozen()
class Checked:
    """One that refuses some values."""

    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("negative")


_values = st.tuples(st.integers(0, 3), st.sampled_from("abc"))


@given(one=_values, other=_values)
def test_comparing_and_hashing_are_as_the_standard_library_does_it(
    one: tuple[int, str], other: tuple[int, str]
) -> None:
    a, b, c, d = Ours(*one), Ours(*other), Theirs(*one), Theirs(*other)
    assert (a == b, a < b, a <= b, a > b, a >= b) == (c == d, c < d, c <= d, c > d, c >= d)
    assert hash(a) == hash(c)
    assert repr(a) == repr(c).replace("Theirs", "Ours")
    assert a != c  # type: ignore[comparison-overlap] # equal fields are not enough
    assert sorted([a, b]) == sorted([b, a])


def test_nothing_of_it_changes() -> None:
    value = Ours(1)
    with pytest.raises(AttributeError):
        value.number = 2  # type: ignore[misc] # that is what is tested
    with pytest.raises(AttributeError):
        del value.word
    with pytest.raises(AttributeError):
        object.__setattr__(value, "other", 1)
    assert value == Ours(1, "w")
    assert not hasattr(value, "__dict__")


def test_fields_defaults_and_class_variables() -> None:
    assert [field.name for field in fields(Ours)] == ["number", "word"]
    assert (Ours(1).word, Ours.kind, Ours(number=2, word="x").number) == ("w", "k", 2)
    with pytest.raises(TypeError):
        Ours()  # type: ignore[call-arg] # that is what is tested
    match Ours(3, "z"):
        case Ours(number, word):
            assert (number, word) == (3, "z")
    assert Nothing() == Nothing()
    assert Holder("x").value == "x"


def test_a_replaced_value_is_checked_again() -> None:
    assert replace(Ours(1), word="x") == Ours(1, "x")
    with pytest.raises(ValueError, match="negative"):
        replace(Checked(1), number=-1)


@pytest.mark.parametrize("value", [Ours(1), Nothing(), GitSha("a" * 40), Repository("ghcr.io", "o/n")])
def test_it_can_be_copied_and_sent(value: object) -> None:
    assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
