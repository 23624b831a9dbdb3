"""A Dockerfile's instructions, and what can be said for sure of the images that it begins from.

It is read, never run: what a variable stands for, or what a builder makes of it, is not guessed.
"""

import re
from collections.abc import Iterable, Iterator

from immutag.core.frozen import frozen
from immutag.core.provenance import BaseImage
from immutag.core.values import Digest

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*")
_HERE_DOCUMENT = re.compile(r"""<<-?(["']?)(\w+)\1""")
_PINNED = re.compile(r"[^@\s$]+@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
_CHANGES = frozenset({"--build-context", "--from", "--target"})
_FROM = re.compile(r"--from=(.*)")


@frozen()
class Bases:
    """The images that are named with their digests, and the one that the last stage begins from.

    `last` is None where it is another stage, `scratch`, or named by a variable.
    """

    pinned: tuple[BaseImage, ...]
    last: str | None


def instructions(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and words of every instruction. A here-document's lines count as instructions, too:
    not every builder knows them, so leaving them out could hide one."""
    lines = text.removeprefix("\ufeff").split("\n")  # other ends of lines are blanks to builders
    escape = escape_in(text)
    begun, joined = 0, ""
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        begun = begun or number
        if line.rstrip().endswith(escape):
            joined += line.rstrip().removesuffix(escape)
            continue
        yield begun, (joined + line).split()
        begun, joined = 0, ""
    if joined:
        yield begun, joined.split()


def bases_in(text: str) -> Bases:
    """What the Dockerfile says of its bases; nothing at all where a here-document leaves it unclear."""
    pinned: dict[BaseImage, None] = {}
    stages: set[str] = set()
    last, ends = None, ""
    for words in (words for _, words in instructions(text) if words):
        if ends:
            ends = "" if words == [ends] else ends
            continue
        for image in _images(words):
            if found := _PINNED.fullmatch(image):
                pinned[BaseImage(image, Digest(found[1]))] = None
        if words[0].upper() == "FROM":
            last = _begins_from(words, stages)
            stages |= _name(words)
        elif here := _HERE_DOCUMENT.search(" ".join(words)):
            ends = here[2]
    return Bases((), None) if ends else Bases(tuple(pinned), last)


def changes_bases(builder_args: Iterable[str]) -> bool:
    """Whether a builder's arguments make the Dockerfile begin, or end, elsewhere than it says."""
    return any(argument.partition("=")[0] in _CHANGES for argument in builder_args)


def _images(words: list[str]) -> list[str]:
    """What an instruction names as an image: `FROM`, and `COPY --from`."""
    if words[0].upper() == "FROM":
        return [word for word in words[1:] if not word.startswith("--")][:1]
    if words[0].upper() in ("COPY", "ADD"):
        return [found[1] for word in words[1:] if (found := _FROM.fullmatch(word))]
    return []


def _begins_from(words: list[str], stages: set[str]) -> str | None:
    (image,) = _images(words) or [""]
    known = image.lower() in stages or image.lower() == "scratch"
    return None if known or not image or "$" in image else image


def _name(words: list[str]) -> set[str]:
    """The name of the stage that a `FROM` begins."""
    named = [word for word in words[1:] if not word.startswith("--")]
    return {named[2].lower()} if len(named) == 3 and named[1].upper() == "AS" else set()


def escape_in(text: str) -> str:
    """The character that goes on with a line, and takes the meaning from the next one."""
    for line in text.removeprefix("\ufeff").split("\n"):
        found = _DIRECTIVE.fullmatch(line.strip())
        if not found:
            break
        if found[1].lower() == "escape":
            return found[2]
    return "\\"
