"""A file of a commit, as the commit has it."""

from pathlib import PurePosixPath

from immutag.core.values import GitSha
from immutag.git.commit import GitRepository
from immutag.git.program import git


def file_at(repository: GitRepository, sha: GitSha, path: PurePosixPath) -> bytes | None:
    """The file's content; None if the commit is not known here, or has no such file."""
    done = git(repository.root, "cat-file", "blob", f"{sha}:{path}", expect=(0, 128))
    return done.stdout if done.ok else None
