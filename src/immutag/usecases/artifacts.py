"""What a release leaves on disk for a workflow to keep: a folder for each artifact, named after the commit.

    .immutag/artifacts/sbom-<sha>/sbom-<sha>.cdx.json
    .immutag/artifacts/image-metadata-<sha>/image-metadata-<sha>.json

Copies for people and workflows: what counts lies in the registry and in the ledger (DR-009).
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from immutag.core.errors import ConfigInvalid
from immutag.core.values import GitSha


def save(folder: Path, artifact: str, file: str, content: bytes) -> Path:
    """The file, whole or not at all. Raises ConfigInvalid where it cannot be written."""
    return write_whole(folder / artifact / file, content)


def write_whole(path: Path, content: bytes) -> Path:
    """A file that is never seen half written, in place of one that is there. Raises ConfigInvalid."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=path.parent) as own:
            unfinished = Path(own) / path.name
            unfinished.write_bytes(content)
            return unfinished.replace(path)
    except OSError as error:
        raise ConfigInvalid(
            "a file cannot be written",
            expected=str(path),
            found=error.strerror or type(error).__name__,
            remedy=f"ls -ld {path.parent}; df {path.parent}",
        ) from error


def save_metadata(folder: Path, sha: GitSha, record: Mapping[str, object]) -> Path:
    """The release's record, as the artifact `image-metadata-<sha>`."""
    name = f"image-metadata-{sha}"
    return save(folder, name, f"{name}.json", metadata(record))


def metadata(record: Mapping[str, object]) -> bytes:
    """The release's record as a file."""
    return json.dumps(record, indent=2).encode() + b"\n"
