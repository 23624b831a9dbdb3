"""Reading one table of the configuration: each key from its variable, the file, or a default."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown
from immutag.settings.kinds import TABLE, Kind, Where
from immutag.settings.model import Origin

T = TypeVar("T")


class Source:
    """The file's document and the environment, and a note of everything taken from them."""

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.variables: set[str] = set()
        self.origins: list[Origin] = []


class Section:
    """One table, which may hold only the `known` keys."""

    def __init__(
        self,
        source: Source,
        path: tuple[str, ...],
        table: Mapping[str, object],
        known: tuple[str, ...],
        *,
        stands_in: str | None = None,
    ) -> None:
        self._source = source
        self._path = path
        self._table = table
        self._known = known
        self._stands_in = stands_in or str(source.file)  # a table may also be a variable's value
        refuse_unknown_keys(self._stands_in, path, table, known)

    def optional(self, key: str, kind: Kind[T]) -> T | None:
        """The value, or None where nobody says anything."""
        where, found, value = self._look(key, kind)
        self._note(where, value if found else None)
        return kind.parse(value, where) if found else None

    def get(self, key: str, kind: Kind[T], default: object) -> T:
        """The value, or the default as the file would have written it."""
        where, found, value = self._look(key, kind)
        value = value if found else default
        self._note(where, value)
        return kind.parse(value, where)

    def required(self, key: str, kind: Kind[T], example: str) -> T:
        """The value. Raises ConfigInvalid where nobody says anything."""
        where, found, value = self._look(key, kind)
        if not found:
            raise ConfigInvalid(
                f"{where.key} is missing",
                expected=f"{key} = {example}",
                found=f"nothing in {self._source.file}, and no {self._variable(key)}",
                remedy=f"add {key} to [{dotted(self._path)}] in {self._source.file}",
            )
        self._note(where, value)
        return kind.parse(value, where)

    def section(self, key: str, known: tuple[str, ...]) -> "Section | None":
        """A table within this one, if the file or a variable has anything of it."""
        where, found, value = self._look(key, TABLE)
        path = (*self._path, key)
        variables = {_variable((*path, name)) for name in known}
        if not found and not any(self._source.environ.get(name) for name in variables):
            self._source.variables |= variables
            self._note(where, None)
            return None
        table = TABLE.parse(value if found else {}, where)
        return Section(self._source, path, table, known, stands_in=where.source if found else None)

    def where(self, key: str) -> Where:
        """Where this key's value stands, for a refusal that only its reader can give."""
        return self._look(key, TABLE)[0]

    def _look(self, key: str, kind: Kind[T]) -> tuple[Where, bool, object]:
        if key not in self._known:
            raise KeyError(key)
        variable = self._variable(key)
        self._source.variables.add(variable)
        name, root = dotted((*self._path, key)), self._source.file.parent
        if text := self._source.environ.get(variable):  # set but empty is not set: CI's undefined variables
            return Where(name, variable, root), True, kind.from_text(text)
        if key in self._table:
            return Where(name, self._stands_in, root), True, self._table[key]
        return Where(name, "default", root), False, None

    def _note(self, where: Where, value: object) -> None:
        self._source.origins.append(Origin(where.key, value, where.source))

    def _variable(self, key: str) -> str:
        return _variable((*self._path, key))


def refuse_unknown_keys(
    stands_in: str, path: tuple[str, ...], table: Mapping[str, object], known: tuple[str, ...]
) -> None:
    """Raises ConfigInvalid, naming the known key that the unknown one looks like."""
    for key in table:
        if key not in known:
            raise _unknown(dotted((*path, key)), key, known, stands_in)


def read_tables(
    source: Source, path: tuple[str, ...], table: Mapping[str, object], names: tuple[str, ...] = ()
) -> dict[str, dict[str, object]]:
    """A table of tables: the sections, or registries by host, or environments by name."""
    if names:
        refuse_unknown_keys(str(source.file), path, table, names)
    found = {name: table.get(name, {}) for name in names or table}
    return {
        name: TABLE.parse(value, Where(dotted((*path, name)), str(source.file), source.file.parent))
        for name, value in found.items()
    }


def refuse_unknown_variables(source: Source, prefixes: tuple[str, ...], reserved: frozenset[str]) -> None:
    """A mistyped variable would be a setting that silently does not hold. Raises ConfigInvalid."""
    for name in sorted(source.environ):
        if name.startswith(prefixes) and name not in source.variables | reserved:
            raise _unknown(name, name, tuple(sorted(source.variables)), "the environment")


def nearest(word: str, known: tuple[str, ...]) -> str:
    """The known word that looks most like this one."""
    import difflib

    return difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]


def _unknown(name: str, key: str, known: tuple[str, ...], source: str) -> ConfigInvalid:
    close = nearest(key, known)
    every = f" (known here: {', '.join(known)})" if len(known) <= 20 else ""
    return ConfigInvalid(
        f"unknown key {shown(name)}",
        expected=f"{close}, the nearest known one{every}",
        found=f"{shown(key)} in {source}",
        remedy=f"write {close}, or remove {shown(key)} from {source}",
    )


def _variable(path: tuple[str, ...]) -> str:
    return "_".join(("IMMUTAG", *(re.sub("[^A-Z0-9]", "_", part.upper()) for part in path)))


def dotted(path: tuple[str, ...]) -> str:
    """A key's path, as TOML writes it."""
    return ".".join(part if re.fullmatch("[A-Za-z0-9_-]+", part) else f'"{part}"' for part in path)
