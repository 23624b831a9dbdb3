"""Commits and branches of the user's repository, by full object and full reference names (DR-001, DR-005)."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from immutag.core.errors import ConfigInvalid, MissingSha
from immutag.core.frozen import frozen
from immutag.core.values import GitSha, shown
from immutag.git.program import git
from immutag.git.remote import without_credentials

_DIRTY_LIMIT = 50
_COMMITTER = re.compile(rb"^committer .* (-?\d{1,20}) [+-]\d+$", re.MULTILINE)
_LAST_S = 253402300799  # 9999-12-31T23:59:59Z


@frozen()
class Commit:
    """A commit of the repository. `time_s` is the committer's, in unix seconds."""

    sha: GitSha
    time_s: int


@frozen()
class GitRepository:
    """The work tree at `root`. `shallow`: history is cut off somewhere."""

    root: Path
    object_format: str
    shallow: bool

    @classmethod
    def find(cls, directory: Path) -> Self:
        """The work tree that holds the directory. Raises ConfigInvalid: none, a bare one, or git refuses."""
        done = git(
            directory, "rev-parse", "--is-bare-repository", "--is-shallow-repository",
            "--show-object-format", "--show-toplevel", expect=(0, 128),
        )  # fmt: skip
        said = os.fsdecode(done.stdout).removesuffix("\n").split("\n", 3)
        if not done.ok or len(said) != 4:
            raise _not_found(directory, bare=said[0] == "true", why=done.tail(3))
        return cls(Path(said[3]), said[2], said[1] == "true")

    def commit(self, sha: GitSha | None) -> Commit:
        """That commit, or HEAD's. Raises MissingSha, also for the id of a tree, a file or a tag."""
        self.refuse_sha256()
        header, content = self._object(str(sha) if sha else "HEAD^{commit}")
        if len(header) == 3 and header[1] == "commit":
            return Commit(GitSha(header[0]), commit_time(content))
        if sha is None:
            raise MissingSha(
                "there is no commit yet", expected="a commit at HEAD", found="none",
                remedy="git add --all && git commit",
            )  # fmt: skip
        kind = header[1] if len(header) == 3 else None
        raise MissingSha(
            "not a commit of this repository",
            expected="the SHA of a commit",
            found=f"{sha}: {f'a {kind}' if kind else 'unknown here'}",
            remedy=f"git rev-parse {sha}^{{commit}}"
            if kind == "tag"
            else "git fetch --all, then git log --format=%H",
        )

    def subject(self, sha: GitSha) -> str | None:
        """The first line of the commit's message. `None` if the commit is not known here."""
        header, content = self._object(str(sha))
        if len(header) != 3 or header[1] != "commit":
            return None
        message = content.partition(b"\n\n")[2].lstrip(b"\n")
        return shown(message.partition(b"\n")[0].decode(errors="replace"))

    def is_dirty(self) -> list[str]:
        """Tracked files that differ from HEAD, staged or not; 50 at most. Untracked ones do not count."""
        done = git(
            self.root, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no",
            "--ignore-submodules=none",
        )  # fmt: skip
        return [shown(os.fsdecode(entry[3:])) for entry in done.stdout.split(b"\0") if entry][:_DIRTY_LIMIT]

    def branch(self) -> str | None:
        """The branch that is checked out; `None` when HEAD is detached."""
        done = git(self.root, "symbolic-ref", "--quiet", "HEAD", expect=(0, 1))
        return done.text.removeprefix("refs/heads/") if done.ok else None

    def remote(self) -> str:
        """`origin`, or the only remote there is: `git clone --origin` gives it another name."""
        names = git(self.root, "remote").text.splitlines()
        return names[0] if len(names) == 1 else "origin"

    def is_on(self, sha: GitSha, branch: str) -> bool:
        """Whether the commit is part of the branch, here or as last fetched.

        Raises ConfigInvalid where that cannot be known: neither branch is here, or history is cut off.
        """
        remote = self.remote()
        names = (f"refs/heads/{branch}", f"refs/remotes/{remote}/{branch}")
        tips = self._references(names)
        if not tips:
            raise ConfigInvalid(
                "it cannot be known whether the commit is on the main branch",
                expected=" or ".join(names),
                found="neither",
                remedy=f"git fetch {remote} +{names[0]}:{names[1]}",
            )
        if str(sha) in tips.values() or self._references(names, "--contains", str(sha)):
            return True
        if self.shallow and self._references(names, "--merged", str(sha)) != tips:
            raise ConfigInvalid(
                "history is cut off: it cannot be known whether the commit is on the main branch",
                expected=f"the history of {branch}",
                found="a shallow clone",
                remedy="git fetch --unshallow (in GitHub Actions: actions/checkout with fetch-depth: 0)",
            )
        return False

    def distance(self, old: GitSha, new: GitSha) -> tuple[int, int] | None:
        """How many commits `new` is ahead of `old`, and behind. `None` where that cannot be known."""
        if not self._knows(old, new):
            return None
        if old == new:
            return 0, 0
        if self.shallow:
            return None
        done = git(self.root, "rev-list", "--left-right", "--count", f"{old}...{new}", "--")
        behind, ahead = done.text.split()
        return int(ahead), int(behind)

    def changed_paths(self, old: GitSha, new: GitSha) -> list[str] | None:
        """Every path that a commit between the two touched, also if another one put it back.

        `None` where that cannot be known.
        """
        if not self._knows(old, new):
            return None
        if old == new:
            return []
        if self.shallow:
            return None
        commits = git(self.root, "rev-list", f"{old}...{new}", "--").stdout
        # And the two trees: a merge may bring what no single commit between them touched.
        done = git(
            self.root, "diff-tree", "--stdin", "-r", "-c", "-z", "--root", "--name-only", "--no-commit-id",
            "--no-renames", stdin=commits + f"{new} {old}\n".encode(),
        )  # fmt: skip
        return sorted({os.fsdecode(path) for path in done.stdout.split(b"\0") if path})

    def remote_url(self) -> str | None:
        """Where the remote is, without credentials. `None` if there is no such remote."""
        done = git(self.root, "config", "--get", f"remote.{self.remote()}.url", expect=(0, 1))
        return without_credentials(done.text) if done.ok else None

    def default_branch(self) -> str:
        """What the remote calls its default, or else the main branch here as far as one can tell."""
        there = f"refs/remotes/{self.remote()}/"
        head = git(self.root, "symbolic-ref", "--quiet", f"{there}HEAD", expect=(0, 1))
        if head.ok:
            return head.text.removeprefix(there)
        configured = git(self.root, "config", "--get", "init.defaultBranch", expect=(0, 1)).text
        likely = [name for name in (configured, "main", "master") if name]
        here = self._references([f"refs/heads/{name}" for name in likely])
        for name in likely:
            if f"refs/heads/{name}" in here:
                return name
        return self.branch() or "main"

    def _object(self, name: str) -> tuple[list[str], bytes]:
        """`id type size` and the content; another number of words if there is no such object."""
        done = git(self.root, "cat-file", "--batch", stdin=f"{name}\n".encode())
        header, _, content = done.stdout.partition(b"\n")
        return header.decode().split(" "), content

    def _knows(self, *shas: GitSha) -> bool:
        names = "".join(f"{sha}\n" for sha in shas).encode()
        done = git(self.root, "cat-file", "--batch-check=%(objecttype)", stdin=names)
        return done.text.splitlines() == ["commit"] * len(shas)

    def _references(self, names: Sequence[str], *which: str) -> dict[str, str]:
        """Those of the references that are there, and what they name. Patterns match what is below, too."""
        done = git(self.root, "for-each-ref", "--format=%(refname) %(objectname)", *which, *names)
        found = dict(line.split(" ") for line in done.text.splitlines())
        return {name: target for name, target in found.items() if name in names}

    def refuse_sha256(self) -> None:
        """Raises MissingSha for a repository whose commits have SHAs of another length."""
        if self.object_format != "sha1":
            raise MissingSha(
                "this repository's commits have no 40-character SHA",
                expected="a repository of the object format sha1: the SHA is the image's tag (DR-001)",
                found=f"the object format {self.object_format}",
                remedy="git init --object-format=sha1, and bring the history over",
            )


def commit_time(content: bytes) -> int:
    """The committer's time in a commit object, in unix seconds. Raises MissingSha for none that image and
    files can carry."""
    found = _COMMITTER.search(content.partition(b"\n\n")[0])
    if not found or not 0 <= int(found[1]) <= _LAST_S:
        raise MissingSha(
            "the commit has no date that can be used",
            expected="a committer's line, with a time from 1970 to 9999",
            found=f"the time {int(found[1])}" if found else "none",
            remedy="git fsck; git commit --amend --reset-author gives a new commit the time of now",
        )
    return int(found[1])


def _not_found(directory: Path, *, bare: bool, why: str) -> ConfigInvalid:
    """What git says is not read by us: only shown."""
    if bare:
        return ConfigInvalid(
            "a bare repository has no immutag.toml to build by",
            expected="a work tree",
            found=f"{directory} is bare",
            remedy="git clone it, and run immutag in the clone",
        )
    marks = [place / ".git" for place in (directory.resolve(), *directory.resolve().parents)]
    mark = next((mark for mark in marks if mark.exists()), None)
    if mark:
        return ConfigInvalid(
            "git refuses this repository",
            expected=f"{mark.parent} to be a work tree that git reads",
            found=shown(why),
            remedy=f"if it is another user's: git config --global --add safe.directory {mark.parent}",
        )
    return ConfigInvalid(
        "not in a git repository",
        expected="a work tree",
        found=shown(why) or str(directory),
        remedy="git init, or immutag -C DIRECTORY",
    )
