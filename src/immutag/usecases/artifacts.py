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
    made = folder / artifact
    try:
        made.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=made) as own:
            unfinished = Path(own) / file
            unfinished.write_bytes(content)
            return unfinished.replace(made / file)
    except OSError as error:
        raise ConfigInvalid(
            "an artifact cannot be written",
            expected=f"{made / file}",
            found=error.strerror or type(error).__name__,
            remedy=f"ls -ld {folder}; df {folder}",
        ) from error


def save_metadata(folder: Path, sha: GitSha, record: Mapping[str, object]) -> Path:
    """The release's record, as the artifact `image-metadata-<sha>`."""
    name = f"image-metadata-{sha}"
    return save(folder, name, f"{name}.json", json.dumps(record, indent=2).encode() + b"\n")
