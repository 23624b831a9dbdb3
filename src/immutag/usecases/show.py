"""Everything that the ledger knows about a release."""

from collections.abc import Mapping

from immutag.core.deployment import EnvironmentState
from immutag.core.errors import MissingTag
from immutag.core.facts import Stream
from immutag.core.policy import Repositories
from immutag.core.values import EnvironmentName, GitSha, ShaTag
from immutag.core.views import Document, release_document
from immutag.ledger import Ledger


def show(
    sha: GitSha,
    *,
    repositories: Repositories,
    ledger: Ledger,
    states: Mapping[EnvironmentName, EnvironmentState],
) -> Document:
    """The canonical release of the SHA, or else the staging one. Raises MissingTag if there is neither."""
    for repository in (repositories.canonical, repositories.staging):
        entries = ledger.stream(Stream.release(repository, sha))
        if entries:
            runs_in = [
                name
                for name, state in states.items()
                if state.current and (state.current.sha, state.current.image.repository) == (sha, repository)
            ]
            return release_document(ShaTag(repository, sha), entries, runs_in)
    raise MissingTag(
        "the ledger knows no release of this SHA",
        expected=f"a release of {sha} in {repositories.canonical}",
        found="no such release",
        remedy=f"immutag release --sha {sha}",
    )
