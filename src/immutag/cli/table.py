"""Plain aligned tables and cards. Foreign text loses its controls here; colour is put on after aligning."""

from collections.abc import Mapping, Sequence

from immutag.core.values import shown

_STYLES = {"good": "32", "bad": "31", "warn": "33", "faint": "2", "strong": "1"}


class Styled(str):
    """A cell with a style's name."""

    __slots__ = ("style",)
    style: str

    @classmethod
    def of(cls, text: str, style: str) -> "Styled":
        cell = cls(text)
        cell.style = style
        return cell


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, coloured: bool) -> str:
    """Columns as wide as their widest cell; `None` is shown as a dash."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headers), *cells]) for i in range(len(headers))]
    lines = [_line([Styled.of(h.upper(), "faint") for h in headers], widths, coloured)]
    lines += [_line(row, widths, coloured) for row in cells]
    return "\n".join(lines)


def card(fields: Mapping[str, object], *, coloured: bool) -> str:
    """One thing, a field a line; fields that are not known are left out."""
    known = {name: _cell(value) for name, value in fields.items() if value not in (None, "")}
    width = max(map(len, known), default=0)
    return "\n".join(
        f"{_paint(Styled.of(name.ljust(width), 'faint'), coloured)}  {_paint(cell, coloured)}"
        for name, cell in known.items()
    )


def age(seconds: float) -> str:
    """How long ago, in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    text = shown(str(value)) if not isinstance(value, bool) else ("yes" if value else "no")
    return Styled.of(text, value.style) if isinstance(value, Styled) else text


def _line(cells: Sequence[str], widths: Sequence[int], coloured: bool) -> str:
    padded = [
        _paint(cell, coloured) + " " * (width - len(cell)) for cell, width in zip(cells, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _paint(cell: str, coloured: bool) -> str:
    return f"\x1b[{_STYLES[cell.style]}m{cell}\x1b[0m" if coloured and isinstance(cell, Styled) else cell
