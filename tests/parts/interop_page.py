"""The tables of docs/reference/interop.md, which tests hold against what happens."""

from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs/reference/interop.md"


def table(heading: str) -> list[list[str]]:
    """The rows of the page's table under this heading, without its head."""
    section = _PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
