"""What a reading command may be asked about: a full or short SHA, an environment, or `production~1`.

Never used by what changes something: `deploy` and `rollback` take a full SHA and nothing else.
"""

import re
from collections.abc import Callable

from immutag.core.errors import ImmutagError, MissingSha, MissingTag
from immutag.core.facts import Stream
from immutag.core.values import EnvironmentName, GitSha, ImageRef, shown
from immutag.core.views import brought_up
from immutag.ledger import Ledger

_SHORT = re.compile(r"[0-9a-f]{4,39}")
_PLACE = re.compile(r"([a-z0-9-]+)(?:~([0-9]{1,4}))?")


def named(
    text: str,
    *,
    ledger: Ledger,
    stream: Callable[[EnvironmentName], Stream],
    environments: frozenset[EnvironmentName],
) -> GitSha:
    """The SHA that the text names. Raises MissingSha, MissingTag."""
    place = _PLACE.fullmatch(text)
    if place and any(place[1] == name.value for name in environments):
        return _placed(EnvironmentName(place[1]), int(place[2] or 0), ledger, stream)
    if _SHORT.fullmatch(text):
        return _expanded(text, ledger)
    try:
        return GitSha(text)
    except MissingSha as error:
        raise _nothing_known(text) from error


def _nothing_known(text: str) -> MissingSha:
    return MissingSha(
        "that names no release",
        expected="a full or short SHA, or what runs: production, or production~1 for the one before; for "
        "`verify` and `attestations` also repository@digest",
        found=f"a tag, which may move: {shown(text)}" if "/" in text and ":" in text else shown(text),
        remedy="immutag history",
    )


def named_image(text: str) -> ImageRef:
    """The image that `repository@digest` names, whoever released it. Raises MissingSha."""
    try:
        return ImageRef.parse(text)
    except ImmutagError as error:
        raise MissingSha(
            "that names no image",
            expected="repository@digest, as in ghcr.io/owner/api@sha256:…, without a tag",
            found=shown(text),
            remedy="immutag show SHA, which prints a release's",
        ) from error


def _placed(
    name: EnvironmentName, back: int, ledger: Ledger, stream: Callable[[EnvironmentName], Stream]
) -> GitSha:
    shas = [entry.fact.sha for entry in brought_up(ledger.stream(stream(name)))]
    if back < len(shas):
        return shas[back]
    raise MissingTag(
        f"{name} has not seen so many releases",
        expected=f"at least {back + 1}",
        found=str(len(shas)),
        remedy=f"immutag history --environment {name}",
    )


def _expanded(text: str, ledger: Ledger) -> GitSha:
    shas = {str(entry.fact.sha) for entry in ledger.about(sha=text) if hasattr(entry.fact, "sha")}
    if len(shas) == 1:
        return GitSha(shas.pop())
    raise MissingSha(
        "several releases begin so" if shas else "no release begins so",
        expected="the first 4 to 40 characters of one release's SHA",
        found=", ".join(sorted(shas)[:3]) or shown(text),
        remedy="immutag history",
    )
