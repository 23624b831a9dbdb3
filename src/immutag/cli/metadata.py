"""The metadata file: what one job says to the next of a release, instead of a tag that it would ask for.

Written last and whole by `release`, and compared with the ledger by `deploy` (DR-020).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from immutag.cli.session import directory
from immutag.cli.sha import required
from immutag.core.errors import ConfigInvalid, DigestMismatch, ImmutagError, MissingSha
from immutag.core.frozen import frozen
from immutag.core.values import Digest, GitSha, ImageRef, Repository, shown

if TYPE_CHECKING:
    from immutag.project import Project

_LIMIT_BYTES = 1 << 16


@frozen()
class Metadata:
    """A release, as its build recorded it."""

    sha: GitSha
    image: ImageRef


def write_metadata(path: Path, record: Mapping[str, object]) -> None:
    """Raises ConfigInvalid where it cannot be written."""
    from immutag.usecases.artifacts import metadata, write_whole

    write_whole(path, metadata(record))


def remove_metadata(path: Path) -> None:
    """What an earlier release left there: if the next one fails, nobody is to take it for that one's.
    Raises ConfigInvalid where it stays."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigInvalid(
            "the metadata file of an earlier release cannot be removed",
            expected=f"{shown(str(path))} to be a file, or not to be there",
            found=error.strerror or type(error).__name__,
            remedy=f"ls -ld {shown(str(path))}",
        ) from error


def read_metadata(options: argparse.Namespace) -> Metadata | None:
    """What `--metadata-file` names; None if it is not given. Raises MissingSha, also for two SHAs."""
    if options.metadata_file is None:
        return None
    found = parse(_read(directory(options) / options.metadata_file))
    if options.sha is not None and required(options) != found.sha:
        raise MissingSha(
            "two SHAs are given",
            expected="--sha or --metadata-file, or the same in both",
            found=f"--sha {shown(options.sha)} and {found.sha} in {shown(options.metadata_file)}",
            remedy="leave --sha away",
        )
    return found


def parse(content: bytes) -> Metadata:
    """From the bytes of a file. Raises MissingSha for anything but the record of a finished release."""
    from immutag.oci.manifest import load

    try:
        record = load(content, wrong=MissingSha)
    except MissingSha as error:
        raise _unusable(f"{error.message}: {error.found}") from None
    match [record.get(name) for name in ("phase", "image_sha", "repository", "image_digest")]:
        case ["build", str(sha), str(repository), str(digest)]:
            try:
                return Metadata(GitSha(sha), ImageRef(Repository.parse(repository), Digest(digest)))
            except ImmutagError as error:
                raise _unusable(f"{error.message}: {error.found}") from None
    raise _unusable("not the record of a finished release")


def ensure_recorded(given: Metadata, project: "Project") -> None:
    """The file's image is the ledger's. Raises DigestMismatch, or MissingTag for an unknown SHA."""
    recorded = str(project.show([str(given.sha)])[0]["image"])
    if recorded != str(given.image):
        raise DigestMismatch(
            "the metadata file and the ledger name different images of one commit",
            expected=recorded,
            found=str(given.image),
            remedy=f"immutag show {given.sha}",
        )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT_BYTES)
    except OSError as error:
        raise _unusable(f"{shown(str(path))}: {error.strerror or type(error).__name__}") from None


def _unusable(found: str) -> MissingSha:
    return MissingSha(
        "the metadata file says no SHA",
        expected="what `immutag release --metadata-file PATH` wrote",
        found=found,
        remedy="immutag deploy --sha SHA",
    )
