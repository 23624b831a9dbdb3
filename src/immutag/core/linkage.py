"""What ties an SBOM to its release (DR-009; the contract is `schemas/sbom-linkage.yaml`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from immutag.core.errors import BuildFailure
from immutag.core.frozen import frozen
from immutag.core.values import GitSha, ImageRef, shown

Document = dict[str, Any]


@frozen()
class Link:
    """The release that an SBOM is of. `source` is where the commit is from; `time_s` is the commit's."""

    sha: GitSha
    image: ImageRef
    source: str | None
    time_s: int

    @property
    def time(self) -> str:
        return datetime.fromtimestamp(self.time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def purl(self) -> str:
        """The image as a package URL (purl-spec, type `oci`)."""
        repository = str(self.image.repository)
        name = repository.rpartition("/")[2]
        digest = quote(str(self.image.digest), safe="")
        return f"pkg:oci/{name}@{digest}?repository_url={quote(repository, safe='/:')}&tag={self.sha}"


def refuse_another(said: list[object], to: Link) -> None:
    """The hashes that a document gives its subject are its author's word about what was looked at: they are
    not overwritten. Raises BuildFailure if the image's is not among them."""
    if said and to.image.digest.hex not in said:
        raise BuildFailure(
            "the SBOM is of another image",
            expected=str(to.image.digest),
            found=shown(str(said[0])),
            remedy="correct [sbom] command: it is told which image in IMMUTAG_DIGEST",
        )


def mapping(value: object) -> Document:
    """A copy of the object; an empty one for anything else, which is as good as absent."""
    return dict(value) if isinstance(value, dict) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; none for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The text; an empty one for anything else."""
    return value if isinstance(value, str) else ""
