"""The SHA tags that are in the registry and not in the ledger."""

from collections.abc import Callable, Sequence

from immutag.core.errors import MissingSha, MissingTag
from immutag.core.facts import Stream
from immutag.core.policy import Repositories
from immutag.core.release import fold
from immutag.core.values import GitSha, Repository, ShaTag
from immutag.git.commit import GitRepository
from immutag.ledger import Ledger


def unknown(
    *,
    git: GitRepository,
    repositories: Repositories,
    tags: Callable[[Repository], Sequence[str]],
    ledger: Ledger,
) -> list[GitSha]:
    """Those that are commits of this clone, lie where such a commit belongs, and have no claim."""
    found = []
    for repository in (repositories.canonical, repositories.staging):
        for text in _listed(repository, tags):
            sha = _commit(text, git)
            if sha is None or _belongs(sha, git, repositories) != repository:
                continue
            if fold(ShaTag(repository, sha), ledger.stream(Stream.release(repository, sha))).claim is None:
                found.append(sha)
    return found


def _listed(repository: Repository, tags: Callable[[Repository], Sequence[str]]) -> Sequence[str]:
    """None where nobody pushed to the repository yet."""
    try:
        return tags(repository)
    except MissingTag:
        return ()


def _commit(text: str, git: GitRepository) -> GitSha | None:
    try:
        return git.commit(GitSha(text)).sha
    except MissingSha:
        return None


def _belongs(sha: GitSha, git: GitRepository, repositories: Repositories) -> Repository:
    return repositories.for_commit(on_main=git.is_on(sha, repositories.main))[0]
