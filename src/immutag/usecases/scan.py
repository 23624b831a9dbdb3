"""Make the SBOMs of a claimed digest, from the layout that was built, or from the registry's content."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from immutag.core.facts import Claimed, Evidence
from immutag.core.linkage import Document, Link
from immutag.core.report import Report
from immutag.oci import Descriptor, Store
from immutag.oci.copy import copy
from immutag.oci.layout import Layout
from immutag.trust.evidence import sbom
from immutag.trust.evidence.sbom import Scanner


def scan(
    claim: Claimed,
    formats: Sequence[Evidence],
    *,
    of: Link,
    scanner: Scanner,
    layout: Layout | None,
    registry: Store,
    report: Report,
) -> dict[Evidence, Document]:
    """A document in each format. `layout`: the one that this run holds, whatever is in it.

    Raises BuildFailure, ConfigInvalid, RegistryUnavailable, RegistryAuth, DigestMismatch.
    """
    with claimed_layout(claim, layout=layout, registry=registry, report=report) as held:
        return sbom.scan(held, _root(claim), formats, scanner=scanner, of=of)


@contextmanager
def claimed_layout(
    claim: Claimed, *, layout: Layout | None, registry: Store, report: Report
) -> Iterator[Layout]:
    """A layout with the claimed content: ours, or, where another run won the race, a copy while it lasts."""
    root = _root(claim)
    if layout is not None and layout.exists(root):
        yield layout
        return
    report.step(f"fetch {claim.repository}@{claim.digest}")
    with tempfile.TemporaryDirectory(prefix="immutag-content-") as folder:
        fetched = Layout.create(Path(folder))
        copy(registry, fetched, root, report=report)
        fetched.set_root(root)
        yield fetched


def _root(claim: Claimed) -> Descriptor:
    return Descriptor(claim.media_type, claim.digest, claim.size_bytes)
