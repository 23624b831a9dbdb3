"""Where an image comes from, in the words of SLSA provenance v1: made from the facts of its release.

Nothing in it depends on the run that signs it: times, builder and source are those that the ledger has. So
whoever proves the origin of the same release twice says the same, byte for byte (DR-018). What each field
means is in docs/reference/build-type.md.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from immutag._version import __version__
from immutag.core.annotations import REVISION
from immutag.core.builder import ANOTHER_RUN
from immutag.core.errors import LedgerConflict
from immutag.core.facts import Built, Claimed, Entry, Requested
from immutag.core.frozen import frozen
from immutag.core.statement import SLSA_PROVENANCE, Statement, Subject
from immutag.core.values import Digest, GitSha

DOCKERFILE_BUILD = "urn:immutag:build-type:dockerfile:v1"
GIVEN_IMAGE = "urn:immutag:build-type:given:v1"
LEDGER_HEAD = "urn:immutag:ledger-head:v1"
GIVEN = "given"
"""What `Built.builder` says where the user gave the image (`--from`)."""


@frozen()
class Recipe:
    """What the configuration says of how the image is built; paths as they are in the commit."""

    context: str
    dockerfile: str
    args: Mapping[str, str]
    platforms: tuple[str, ...]
    builder_args: tuple[str, ...]


@frozen()
class BaseImage:
    """An image that the build began from. `name` is as the Dockerfile or the builder names it."""

    name: str
    digest: Digest


@frozen()
class Run:
    """Where this process runs: the builder's identity (core/builder.py), and the ledger's name for who acts
    here: what another actor built, this run cannot speak for."""

    builder_id: str
    actor: str


def provenance(
    entries: Sequence[Entry], *, recipe: Recipe, bases: Sequence[BaseImage], run: Run
) -> Statement:
    """The statement about the claimed digest, from the entries of the release's stream.

    Raises LedgerConflict where the release is not claimed, or nobody recorded how it was built.
    """
    claim, claimed = _claim(entries)
    asked = next((each.fact for each in entries if isinstance(each.fact, Requested)), None)
    made = _built(entries, claimed.digest)
    if asked is None or made is None:
        raise _unknown(claimed)
    built, finished = made
    given = built.builder == GIVEN
    ours = finished.actor == run.actor
    definition = {
        "buildType": GIVEN_IMAGE if given else DOCKERFILE_BUILD,
        "externalParameters": {
            **_source(asked, claimed.sha),
            **(_parameters(recipe) if ours and not given else {}),
            "platforms": built.platform.split(","),
        },
        "internalParameters": {"builder": built.builder, "cleanBuild": not given},
        "resolvedDependencies": [_commit(asked, claimed.sha), *map(_base, () if given else bases)],
    }
    details = {
        "builder": {
            "id": run.builder_id if ours else ANOTHER_RUN,
            "version": {"immutag": __version__} if ours else {},
        },
        "metadata": _metadata(built, finished),
        "byproducts": [_head(claim)],
    }
    subject = Subject(str(claimed.repository), claimed.digest, {REVISION: str(claimed.sha)})
    return Statement((subject,), SLSA_PROVENANCE, {"buildDefinition": definition, "runDetails": details})


def _claim(entries: Sequence[Entry]) -> tuple[Entry, Claimed]:
    for entry in entries:
        if isinstance(entry.fact, Claimed):
            return entry, entry.fact
    raise LedgerConflict(
        "the origin of a release is proved after its claim",
        expected="a claimed digest",
        found="none",
        remedy="immutag release",
    )


def _built(entries: Sequence[Entry], digest: Digest) -> tuple[Built, Entry] | None:
    """The first build that gave the claimed digest: a reproducible one may have several."""
    for entry in entries:
        if isinstance(entry.fact, Built) and entry.fact.digest == digest:
            return entry.fact, entry
    return None


def _source(asked: Requested, sha: GitSha) -> dict[str, str]:
    found = {"repository": asked.source, "ref": f"refs/heads/{asked.branch}" if asked.branch else None}
    return {name: value for name, value in found.items() if value} | {"commit": str(sha)}


def _parameters(recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = {
        "context": recipe.context,
        "dockerfile": recipe.dockerfile,
        "args": dict(recipe.args),
        "builderArguments": list(recipe.builder_args),
    }
    return {name: value for name, value in found.items() if value}


def _commit(asked: Requested, sha: GitSha) -> dict[str, Any]:
    found: dict[str, Any] = {"name": "source", "digest": {"gitCommit": str(sha)}}
    if asked.source:
        at = f"refs/heads/{asked.branch}" if asked.branch else str(sha)
        found["uri"] = f"git+{asked.source}@{at}"
    return found


def _base(image: BaseImage) -> dict[str, Any]:
    digest = {image.digest.algorithm: image.digest.hex}
    uri = _purl(image)
    return {"name": image.name, "digest": digest, **({"uri": uri} if uri else {})}


def _purl(image: BaseImage) -> str | None:
    """The package URL of an image (purl-spec, types/oci). Without its registry's name, where it came from
    depends on the machine, so there is none."""
    reference = image.name.partition("@")[0]
    host, slash, path = reference.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        return None
    path, _, tag = path.partition(":")
    name = path.rpartition("/")[2]
    where = f"repository_url={quote(f'{host}/{path}', safe='/:')}" + (f"&tag={quote(tag)}" if tag else "")
    return f"pkg:oci/{quote(name)}@{quote(str(image.digest), safe='')}?{where}"


def _metadata(built: Built, finished: Entry) -> dict[str, str]:
    """When it was built; the address of the CI run stands in the ledger's name for who acted."""
    end = datetime.fromisoformat(finished.time)
    found = {
        "startedOn": _rfc3339(end - timedelta(milliseconds=built.duration_ms)),
        "finishedOn": _rfc3339(end),
    }
    address = finished.actor.rpartition(" ")[2]
    whole = address.startswith(("https://", "http://")) and not address.endswith("…")
    return {"invocationId": address, **found} if whole else found


def _rfc3339(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _head(claim: Entry) -> dict[str, Any]:
    """How long the ledger was with the claim: a ledger without this entry is another one (DR-017)."""
    return {
        "name": "ledger-head",
        "uri": LEDGER_HEAD,
        "annotations": {"size": str(claim.sequence), "hash": claim.hash},
    }


def _unknown(claimed: Claimed) -> LedgerConflict:
    return LedgerConflict(
        "the ledger does not know how the claimed image was made",
        expected=f"a build that gave {claimed.digest}",
        found="none",
        remedy=f"immutag show {claimed.sha}",
    )
