"""How write-once a registry really is: tried on a scratch tag of the staging repository (DR-011)."""

import io
import json

from immutag.core.facts import Probed, Stream, WriteOnce
from immutag.core.values import Repository
from immutag.ledger import Ledger
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.content import digest_of
from immutag.oci.registry import SCRATCH_TAG, Registry
from immutag.usecases.record import append_while

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def probe(*, registry: Registry, repositories: tuple[Repository, ...], ledger: Ledger) -> WriteOnce:
    """Try to move the scratch tag, with the condition and without it, and record the answer for these
    repositories, which are all of this registry. Raises RegistryAuth, RegistryUnavailable, PushFailure."""
    one, other = _push(registry, "one"), _push(registry, "other")
    before = registry.resolve(SCRATCH_TAG)
    if before is None:
        registry.tag(one, SCRATCH_TAG)
        before = one
    against = other if before == one else one
    strength = _strength(registry, before, against, ledger)
    for repository in repositories:
        append_while(ledger, Stream.registry(repository), Probed(repository, strength))
    return strength


def _strength(registry: Registry, before: Descriptor, against: Descriptor, ledger: Ledger) -> WriteOnce:
    registry.put_scratch_tag(against, conditional=False)
    if registry.resolve(SCRATCH_TAG) == before:
        return WriteOnce.REGISTRY
    registry.put_scratch_tag(before, conditional=True)
    if registry.resolve(SCRATCH_TAG) == against:
        return WriteOnce.CONDITIONAL_PUT
    return WriteOnce.SHARED_LEDGER if ledger.shared else WriteOnce.CONVENTION


def _push(registry: Registry, name: str) -> Descriptor:
    """A manifest that no image is: empty config, no layers, and a name in its annotations."""
    config = Descriptor(_EMPTY_TYPE, digest_of(_EMPTY), len(_EMPTY))
    text = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": "application/vnd.immutag.probe",
            "config": {"mediaType": _EMPTY_TYPE, "digest": str(config.digest), "size": len(_EMPTY)},
            "layers": [{"mediaType": _EMPTY_TYPE, "digest": str(config.digest), "size": len(_EMPTY)}],
            "annotations": {"immutag.probe": name},
        }
    ).encode()
    manifest = Descriptor(IMAGE_MANIFEST, digest_of(text), len(text))
    registry.push(config, io.BytesIO(_EMPTY))
    registry.push(manifest, io.BytesIO(text))
    return manifest
