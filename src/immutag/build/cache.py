"""No cache goes into a build, and none comes out (DR-002): what asks for one is refused by name."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from immutag.build.context import is_inside
from immutag.core.dockerfile import escape_in, instructions
from immutag.core.errors import ConfigInvalid, PolicyViolation
from immutag.core.values import shown

_DOCKERFILE_LIMIT_BYTES = 4 * 1024 * 1024
_CLEAN_MOUNTS = ("bind", "tmpfs", "secret", "ssh")
_ATTESTATIONS = ("--provenance", "--sbom", "--attest")
_OURS = (
    "--tag", "-t", "--output", "-o", "--load", "--push", "--file", "-f", "--platform", "--arch", "--os",
    "--variant", "--label", "--annotation", "--iidfile", "--metadata-file", "--timestamp",
    "--source-date-epoch", "--rewrite-timestamp", "--manifest", "--format", "--identity-label", "--progress",
    "--quiet", "-q", "--logfile", "--build-arg", "--disable-compression", "-D",
)  # fmt: skip
_TYPE = re.compile(r"[,=\s]type=([^,\s]*)", re.IGNORECASE)
_VARIABLE = re.compile(r" --mount[= ](?:[^\s,]*,)*([^\s,=]*\$[^\s,]*)")
"""A part of a mount that a variable may make anything."""


def refuse_cache_arguments(arguments: Iterable[str]) -> None:
    """Refuse configured arguments of the builder that cache, attest, or are immutag's own.

    Raises PolicyViolation, ConfigInvalid.
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith(("--cache", "--layers", "--no-cache")) or "type=cache" in argument:
            raise _cache(f"the builder's argument {shown(argument)}", "remove it from [build] builder_args")
        if name in _ATTESTATIONS:
            raise PolicyViolation(
                "the builder's own attestations change the digest from build to build",
                expected="none of them (DR-002)",
                found=shown(argument),
                remedy="remove it from [build] builder_args",
            )
        short = argument[:2] if not argument.startswith("--") else ""  # its value may stand right behind it
        if name in _OURS or short in _OURS:
            raise ConfigInvalid(
                "immutag gives the builder this argument itself",
                expected="other arguments in [build] builder_args",
                found=shown(argument),
                remedy="use args, file or platforms in [build] of immutag.toml",
            )


def refuse_cache_build_args(args: Mapping[str, str]) -> None:
    """Raises PolicyViolation for BuildKit's build argument that puts cache records into the image."""
    if "BUILDKIT_INLINE_CACHE" in args:
        raise _cache("the build argument BUILDKIT_INLINE_CACHE", "remove it from args in [build]")


def refuse_cache_mounts(dockerfile: Path, context: Path) -> None:
    """Refuse a Dockerfile outside of the commit, and one whose RUN keeps a cache between builds.

    Raises ConfigInvalid, PolicyViolation with the line.
    """
    text = _text(dockerfile, context)
    escape = escape_in(text)
    for number, words in instructions(text):
        for kind in _mount_types(words, escape):
            if kind not in _CLEAN_MOUNTS:
                raise _cache(
                    f"{dockerfile.name}, line {number}: a mount of type {shown(kind)}",
                    "use a mount of another type, or a plain RUN",
                )


def _mount_types(words: list[str], escape: str) -> list[str]:
    """Whatever an instruction that mounts calls a type, without the quotes and escapes that builders drop. A
    variable is one, too: what it will stand for is not guessed."""
    run = words[1:2] if words and words[0].upper() == "ONBUILD" else words[:1]
    plain = " ".join(words).translate(dict.fromkeys(map(ord, f"\"'{escape}")))
    if not run or run[0].upper() != "RUN" or " --mount" not in plain:
        return []
    return [kind.lower() for kind in (*_TYPE.findall(plain), *_VARIABLE.findall(plain))]


def _text(dockerfile: Path, context: Path) -> str:
    if not is_inside(dockerfile, context) or not dockerfile.is_file():
        raise ConfigInvalid(
            "the commit has no such Dockerfile",
            expected="a file of the commit",
            found=shown(
                str(dockerfile.relative_to(context) if dockerfile.is_relative_to(context) else dockerfile)
            ),
            remedy="commit it, or correct file in [build] of immutag.toml",
        )
    with dockerfile.open("rb") as file:
        return file.read(_DOCKERFILE_LIMIT_BYTES).decode(errors="replace")


def _cache(found: str, remedy: str) -> PolicyViolation:
    return PolicyViolation(
        "a cache would be part of the build", expected="a build without any cache (DR-002)", found=found,
        remedy=remedy,
    )  # fmt: skip
