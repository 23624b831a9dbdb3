"""The base images of a claimed digest, by digest, as far as they are known for sure.

Known is what the Dockerfile of the commit pins, and what the builder wrote into the image's own annotations
about the base of the last stage. Both are there for every later run, so none has to remember the build.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from immutag.core.dockerfile import bases_in, changes_bases
from immutag.core.provenance import BaseImage
from immutag.core.values import Digest
from immutag.oci import Descriptor, Store
from immutag.oci.content import read
from immutag.oci.manifest import Index, parse

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def base_images(
    claimed: Descriptor, *, registry: Store, dockerfile: bytes | None, builder_args: Sequence[str]
) -> list[BaseImage]:
    """What the image was built on. `dockerfile` is the commit's, None where it cannot be had.

    Raises RegistryUnavailable, RegistryAuth, DigestMismatch, MissingTag.
    """
    if dockerfile is None or changes_bases(builder_args):
        return []
    said = bases_in(dockerfile.decode(errors="replace"))
    found = list(said.pinned)
    # Of a last stage that goes on from another one, buildah annotates that one's digest, and the base's name.
    if said.last is not None and "@" not in said.last:
        found += _annotated(claimed, registry)
    return list(dict.fromkeys(found))


def _annotated(root: Descriptor, registry: Store) -> Iterator[BaseImage]:
    """What the image, or each of its platforms' images, says of its base."""
    manifest = parse(read(registry, root), root.media_type)
    yield from _base(manifest.annotations)
    if isinstance(manifest, Index):
        for child in manifest.children:
            if child.content.is_manifest and not (child.platform and child.platform.os == "unknown"):
                yield from _base(parse(read(registry, child.content), child.content.media_type).annotations)


def _base(annotations: Mapping[str, str]) -> Iterator[BaseImage]:
    name, digest = annotations.get(BASE_NAME), annotations.get(BASE_DIGEST, "")
    if name and _DIGEST.fullmatch(digest):  # buildah leaves both empty for `scratch`
        yield BaseImage(name, Digest(digest))
