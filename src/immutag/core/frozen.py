"""Frozen classes of values, made several times faster than `dataclasses` makes them (DR-015).

Start-up counts, and making its sixty value classes was a quarter of what `immutag status` took: the standard
library compiles six methods for each, and imports `inspect`. Here one is compiled, for those that are used.
What is here behaves as `@dataclass(frozen=True, slots=True)` does; there is nothing else.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform, get_origin

T = TypeVar("T")


class Field(NamedTuple):
    """A field of a frozen class."""

    name: str


@dataclass_transform(frozen_default=True)
def frozen(*, order: bool = False) -> Callable[[type[T]], type[T]]:
    """A class whose instances never change, compared and hashed by their fields, and ordered if asked."""

    def make(cls: type[T]) -> type[T]:
        names = tuple(name for name, kind in cls.__annotations__.items() if not _is_class_wide(kind))
        return _with_slots(cls, names, _methods(cls, names, order))

    return make


def fields(of: object) -> tuple[Field, ...]:
    """The fields of a frozen class, or of an instance of one, in their order."""
    return tuple(Field(name) for name in _names(of))


def replace(value: T, **changes: Any) -> T:
    """A copy with other values for some fields, checked as any new one is."""
    return type(value)(**{name: getattr(value, name) for name in _names(value)} | changes)


def _names(of: Any) -> tuple[str, ...]:
    names: tuple[str, ...] = of.__match_args__
    return names


def _is_class_wide(kind: object) -> bool:
    return kind is ClassVar or get_origin(kind) is ClassVar


def _with_slots(cls: type[T], names: tuple[str, ...], methods: Mapping[str, object]) -> type[T]:
    """The class made again: slots cannot be added to one that exists."""
    left_out = {*names, "__dict__", "__weakref__"}
    body = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    slots = {"__slots__": names, "__match_args__": names, "__qualname__": cls.__qualname__}
    metaclass: Any = type(cls)
    made: type[T] = metaclass(cls.__name__, cls.__bases__, {**methods, **body, **slots})
    return made


def _methods(cls: type, names: tuple[str, ...], order: bool) -> dict[str, object]:
    values: Callable[[Any], Any] = attrgetter(*names) if names else lambda _: ()

    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    def __eq__(self: Any, other: object) -> Any:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(values(self))

    def __reduce__(self: Any) -> tuple[object, ...]:
        return type(self), tuple(getattr(self, name) for name in names)

    def refuse(self: object, name: str, *_: object) -> None:
        raise AttributeError(f"{type(self).__qualname__} never changes: {name}")

    found = {
        "__init__": _init(cls, names), "__repr__": __repr__, "__eq__": __eq__, "__hash__": __hash__,
        "__reduce__": __reduce__, "__setattr__": refuse, "__delattr__": refuse,
    }  # fmt: skip
    return found | _ordering(values) if order else found


def _ordering(values: Callable[[Any], Any]) -> dict[str, object]:
    def __lt__(self: Any, other: object) -> Any:
        return values(self) < values(other) if type(other) is type(self) else NotImplemented

    def __le__(self: Any, other: object) -> Any:
        return values(self) <= values(other) if type(other) is type(self) else NotImplemented

    return {"__lt__": __lt__, "__le__": __le__}  # Python asks the other operand for > and >=


def _init(cls: type, names: tuple[str, ...]) -> object:
    """`__init__`, compiled for the first value that is made: most commands make values of few classes."""

    def __init__(self: Any, *given: object, **named: object) -> None:
        compiled = _compiled(cls, names)
        for owner in type(self).__mro__:
            if owner.__dict__.get("__init__") is __init__:
                owner.__init__ = compiled  # type: ignore[misc]
        compiled(self, *given, **named)

    return __init__


def _compiled(cls: type, names: tuple[str, ...]) -> Callable[..., None]:
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    given = "".join(f", {name}=defaults[{name!r}]" if name in defaults else f", {name}" for name in names)
    lines = [f" put(self, {name!r}, {name})" for name in names]
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    space: dict[str, Any] = {"put": object.__setattr__, "defaults": defaults}
    exec("\n".join([f"def __init__(self{given}):", *(lines or [" pass"])]), space)  # noqa: S102 - our own names
    compiled: Callable[..., None] = space["__init__"]
    return compiled
