"""Settings → how a release's content is made: built from the commit, or taken as the user gives it."""

from collections.abc import Callable
from pathlib import Path

from immutag.build.workspace import BuiltLayout, Workspace
from immutag.core.report import Report
from immutag.git.commit import Commit, GitRepository
from immutag.settings import Settings
from immutag.usecases.content import Recipe, build, take


def maker(
    given: Path | None,
    commit: Commit,
    source: str | None,
    *,
    git: GitRepository,
    workspace: Workspace,
    settings: Settings,
    report: Report,
) -> Callable[[], BuiltLayout]:
    """What makes it, in the workspace; the builder is looked for only if something is built."""
    if given:
        return lambda: take(given, commit.sha, workspace=workspace, report=report)

    def make() -> BuiltLayout:
        from immutag.build.select import builder

        asked = settings.build
        return build(
            commit,
            Recipe(
                folder=_folder(settings.root, git.root),
                context=asked.context,
                dockerfile=asked.file,
                args=asked.args,
                platforms=asked.platforms,
                builder_args=asked.builder_args,
                timeout_s=asked.timeout_s,
            ),
            source=source,
            git=git,
            builder=builder(asked.builder, extra=asked.builder_args),
            workspace=workspace,
            report=report,
        )

    return make


def _folder(service: Path, sources: Path) -> Path:
    """Where the service is in its sources; at their top if its configuration is kept elsewhere."""
    return service.relative_to(sources) if service.is_relative_to(sources) else Path()
