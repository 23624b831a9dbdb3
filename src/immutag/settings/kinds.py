"""The kinds of value that a key can have, from TOML or from an environment variable's text.

In a variable, text and paths are written as they are; numbers, lists and tables as in TOML; a list of one
word may be that word alone.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from immutag.core.errors import ConfigInvalid, ImmutagError
from immutag.core.frozen import frozen
from immutag.core.values import Platform, Repository, shown

T = TypeVar("T")


@frozen()
class Where:
    """Where a value stands: its key's path, and the file or variable that holds it."""

    key: str
    source: str
    root: Path

    def wrong(self, expected: str, found: object) -> ConfigInvalid:
        return ConfigInvalid(
            f"{self.key} cannot be used",
            expected=expected,
            found=f"{shown(_written(found))} in {self.source}",
            remedy=f"correct {self.key} in {self.source}",
        )


@frozen()
class Kind(Generic[T]):
    """How a value is read: `from_text` from a variable to what TOML would give, then `parse`."""

    parse: Callable[[object, Where], T]
    from_text: Callable[[str], object] = str


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _literal(text: str) -> object:
    """A TOML value; text that is none stays text, and is then refused or taken by `parse`."""
    try:
        document = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return document["value"] if len(document) == 1 else text


def _flag_text(text: str) -> object:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower(), text)


def _list_text(text: str) -> object:
    value = _literal(text)
    return value if isinstance(value, list) else [text]


def _text(value: object, where: Where) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise where.wrong("a text that is not empty", value)
    return value


def _flag(value: object, where: Where) -> bool:
    if not isinstance(value, bool):
        raise where.wrong("true or false", value)
    return value


def _seconds(value: object, where: Where) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 86400:
        raise where.wrong("seconds, more than 0 and at most 86400", value)
    return float(value)


def _words(value: object, where: Where) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) and "\0" not in word for word in value):
        raise where.wrong('a list of texts, e.g. ["a", "b"]', value)
    return tuple(value)


def _program(value: object, where: Where) -> tuple[str, ...]:
    words = _words(value, where)
    if not words or not words[0]:
        raise where.wrong('a program and its arguments, e.g. ["./deploy.sh", "api"]', value)
    return words


def _texts(value: object, where: Where) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise where.wrong('a table of texts, e.g. { NAME = "value" }', value)
    for name, text in value.items():
        plain = isinstance(text, str | int) and not isinstance(text, bool)
        if not plain or not name or "=" in name or "\0" in f"{name}{text}":
            raise where.wrong('a table of texts, e.g. { NAME = "value" }', f"{name} = {_written(text)}")
    return {name: str(text) for name, text in value.items()}


def _table(value: object, where: Where) -> dict[str, object]:
    if not isinstance(value, dict):
        raise where.wrong("a table", value)
    return value


def _path(value: object, where: Where) -> Path:
    """Relative to the configuration's folder, or absolute; `~` is the home folder."""
    path = Path(_text(value, where))
    try:
        return where.root / path.expanduser()
    except RuntimeError:
        raise where.wrong("a path (there is no home folder here)", value) from None


def _inside(value: object, where: Where) -> Path:
    path = Path(_text(value, where))
    if path.is_absolute():
        raise where.wrong("a path inside the commit, relative to the configuration's folder", value)
    return path


def _http_url(value: object, where: Where) -> str:
    url = _text(value, where)
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest or url.split() != [url]:
        raise where.wrong("an http:// or https:// address", value)
    if "@" in rest.partition("/")[0]:
        raise where.wrong(
            "an address without credentials: no secret belongs in the configuration", "one with"
        )
    return url


def one_of(*names: str) -> Kind[str]:
    """One of these words."""

    def parse(value: object, where: Where) -> str:
        if value not in names or not isinstance(value, str):
            raise where.wrong(f"one of {', '.join(names)}", value)
        return value

    return Kind(parse)


def _valued(parse: Callable[[str], T]) -> Callable[[object, Where], T]:
    """A core value from its text; what it refuses is said with the key and where it stands."""

    def read(value: object, where: Where) -> T:
        try:
            return parse(_text(value, where))
        except ImmutagError as error:
            raise where.wrong(error.expected, value) from None

    return read


def _each(
    parse: Callable[[object, Where], T], *, empty: bool = True
) -> Callable[[object, Where], tuple[T, ...]]:
    def read(value: object, where: Where) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise where.wrong("a list", value)
        if not value and not empty:
            raise where.wrong("a list that is not empty", value)
        return tuple(parse(item, where) for item in value)

    return read


TEXT = Kind(_text)
FLAG = Kind(_flag, _flag_text)
SECONDS = Kind(_seconds, _literal)
WORDS = Kind(_words, _list_text)
PROGRAM = Kind(_program, _list_text)
TEXTS = Kind(_texts, _literal)
TABLE = Kind(_table, _literal)
TABLES: Kind[tuple[dict[str, object], ...]] = Kind(_each(_table), _literal)
PATH = Kind(_path)
PATHS = Kind(_each(_path), _list_text)
INSIDE = Kind(_inside)
HTTP_URL = Kind(_http_url)
REPOSITORY = Kind(_valued(Repository.parse))
PLATFORMS = Kind(_each(_valued(Platform.parse), empty=False), _list_text)
