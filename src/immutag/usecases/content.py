"""A release's content: a clean build of the commit's own bytes, or a layout that the user gives."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from immutag.build import Builder, BuildRequest
from immutag.build.context import ensure_inside
from immutag.build.image import platforms_of
from immutag.build.workspace import BuiltLayout, Workspace
from immutag.core.annotations import CREATED, REVISION
from immutag.core.errors import BuildFailure, PolicyViolation
from immutag.core.frozen import frozen
from immutag.core.report import Report
from immutag.core.values import GitSha, Platform, shown
from immutag.git.commit import Commit, GitRepository
from immutag.git.export import export
from immutag.oci.annotate import image_says
from immutag.oci.archive import ingest
from immutag.oci.layout import Layout


@frozen()
class Recipe:
    """How the service is built: the service's `folder` in the commit, in it the build's `context`, and in
    that the `dockerfile`. `builder_args` are those that the builder was made with."""

    folder: Path
    context: Path
    dockerfile: Path
    args: Mapping[str, str]
    platforms: tuple[Platform, ...]
    builder_args: tuple[str, ...]
    timeout_s: float


def build(
    commit: Commit,
    recipe: Recipe,
    *,
    source: str | None,
    git: GitRepository,
    builder: Builder,
    workspace: Workspace,
    report: Report,
) -> BuiltLayout:
    """The finished layout of an interrupted run that asked for the same, or a clean build.

    Raises BuildFailure, ConfigInvalid.
    """
    stated = labels(commit, source)
    asked = _digest(recipe, stated, builder.name)
    found = workspace.finished(asked)
    if found:
        report.step(f"found the finished build {found.root.digest}")
        return found
    report.step(f"build {commit.sha} with {builder.name}")
    begun = time.monotonic()
    export(git, commit.sha, workspace.context)
    context = workspace.context / recipe.folder / recipe.context
    ensure_inside(workspace.context, context, context / recipe.dockerfile)
    request = BuildRequest(
        context=context,
        dockerfile=context / recipe.dockerfile,
        args={**recipe.args, "IMAGE_SHA": str(commit.sha)},  # so that a service can say what it is
        platforms=recipe.platforms,
        labels=stated,
        epoch_s=commit.time_s,
        timeout_s=recipe.timeout_s,
    )
    root = builder.build(request, layout=workspace.layout, log=workspace.log, report=report)
    built = BuiltLayout(root, builder.name, _ms(begun), _names(recipe.platforms), asked)
    workspace.finish(built)
    return built


def take(given: Path, sha: GitSha, *, workspace: Workspace, report: Report) -> BuiltLayout:
    """The user's layout or archive, every digest checked. Its bytes stay as they are.

    Raises PolicyViolation if it says that it was made from another commit, BuildFailure if it is no image.
    """
    report.step(f"take {given}")
    begun = time.monotonic()
    root = ingest(given, workspace.layout, report=report)
    layout = Layout(workspace.layout)
    others = image_says(layout, root).get(REVISION, frozenset()) - {str(sha)}
    if others:
        raise PolicyViolation(
            "the given image says that it was made from another commit",
            expected=f"{REVISION}={sha}",
            found=f"{REVISION}={shown(min(others))}",
            remedy="build it from this commit, or release that one with --sha",
        )
    platforms = platforms_of(layout, root)
    if not platforms:
        raise BuildFailure(
            "this is no image that can run",
            expected="a config that names its os and architecture (OCI image-spec, config.md)",
            found="neither",
            remedy="give --from an image; other artifacts are no releases",
        )
    return BuiltLayout(root, "given", _ms(begun), _names(platforms))


def labels(commit: Commit, source: str | None) -> Mapping[str, str]:
    """The image's own statement of its identity (OCI image-spec, annotations.md). Only facts of the
    commit: the same commit gives the same bytes."""
    created = datetime.fromtimestamp(commit.time_s, UTC).isoformat().replace("+00:00", "Z")
    found = {REVISION: str(commit.sha), CREATED: created}
    if source:
        found["org.opencontainers.image.source"] = source
    return found | {"org.opencontainers.image.version": str(commit.sha)}


def _digest(recipe: Recipe, stated: Mapping[str, str], builder: str) -> str:
    """The same for the same order: what was built by another one is not what is asked for now."""
    asked = [
        str(recipe.folder / recipe.context),
        str(recipe.dockerfile),
        sorted(recipe.args.items()),
        [str(each) for each in recipe.platforms],
        recipe.builder_args,
        sorted(stated.items()),
        builder,
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _names(platforms: Sequence[Platform]) -> str:
    return ",".join(map(str, platforms))


def _ms(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
