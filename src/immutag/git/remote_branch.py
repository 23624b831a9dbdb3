"""One branch of a remote repository, read and written with no clone: objects in a bare repository of our own.

The push is a compare-and-set: it names the commit that the branch must be at, and the server changes the
branch only if it is (DR-019).
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from immutag import process
from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown
from immutag.git import program
from immutag.git.remote import without_credentials

_TIMEOUT_S = 120.0
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFUSED = re.compile(r"^!\t\S+\t\[(rejected|remote rejected)\] \((.*)\)", re.MULTILINE)
_CAUSE = re.compile(r"(?:fatal|error): |remote: +\S")
_IN_THE_MIDDLE = (
    "failed to update ref",
    "cannot lock",
    "incorrect old value",
    "already exists",
    "internal server error",
)
_IN_THE_WAY = "exists; cannot create"  # a branch whose name is a folder of ours
_FROM_THE_CLONE = r"^(http|credential|url)\.|^core\.sshcommand$"
_KEPT, _SEEN = "refs/immutag/kept", "refs/immutag/seen"
_OPTIONS = ("-c", "gc.autoDetach=false", "-c", "push.gpgSign=false", "-c", "protocol.version=2")


class RemoteBranch:
    """`clone`: where a person's own configuration of git is looked up: CI leaves credentials there."""

    def __init__(self, folder: Path, url: str, branch: str, *, clone: Path | None = None) -> None:
        self.name = f"{without_credentials(url)}#{branch}"
        self._folder = folder
        self._url = url
        self._ref = f"refs/heads/{branch}"
        self._clone = clone
        self._env: dict[str, str] | None = None

    def tip(self) -> str | None:
        """The commit that the branch is at; None if there is no such branch. Raises ConfigInvalid."""
        done = self._run(Path("/"), "ls-remote", self._url, self._ref)
        line = done.text.split("\t")
        return line[0] if len(line) == 2 and _COMMIT.fullmatch(line[0]) else None

    def kept(self) -> str | None:
        """The commit that was kept last; None where there is none, or no repository yet."""
        try:
            return (self._folder / _KEPT).read_text().strip()
        except FileNotFoundError:
            pass
        if not (self._folder / "HEAD").exists():
            return None
        done = program.git(self._folder, "rev-parse", "--verify", "--quiet", _KEPT, expect=(0, 1))
        return done.text or None

    def keep(self, commit: str) -> None:
        """Remember this commit, and hold its objects. Two refs, each written as git does."""
        for ref in (_SEEN, _KEPT):
            file = self._folder / ref
            file.parent.mkdir(parents=True, exist_ok=True)
            fresh = file.with_suffix(".new")
            fresh.write_text(f"{commit}\n")
            fresh.replace(file)

    def fetch(self) -> str | None:
        """Bring the branch's newest commit here, all files of it; None if it does not go on from the commit
        that was kept. Raises ConfigInvalid."""
        self._make()
        _remove_if_nobody_holds(self._folder / f"{_SEEN}.lock")
        depth = () if self.kept() else ("--depth=1",)
        done = self._answer(
            self._folder,
            "fetch",
            "--no-tags",
            "--no-write-fetch-head",
            *depth,
            self._url,
            f"{self._ref}:{_SEEN}",
        )
        if not done.ok and b"[rejected]" in done.stderr:
            return None
        if not done.ok:
            raise _unusable(self.name, _telling(done))
        return (self._folder / _SEEN).read_text().strip()

    def paths(self, commit: str, folder: str) -> list[str]:
        """The files below a folder, in their order."""
        done = program.git(self._folder, "ls-tree", "-r", "-z", "--name-only", commit, f"{folder}/")
        return [path for path in done.stdout.decode(errors="replace").split("\0") if path]

    def changed(self, old: str, new: str, folder: str) -> list[str]:
        """The files below a folder that differ between two commits."""
        done = program.git(
            self._folder, "diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new, "--", f"{folder}/"
        )
        return [path for path in done.stdout.decode(errors="replace").split("\0") if path]

    def read(self, commit: str, paths: Iterable[str]) -> Iterator[bytes]:
        """The content of files, one after the other, up to the first that is not there."""
        with program.objects(self._folder) as (ask, answer):
            for path in paths:
                ask.write(f"{commit}:{path}\n".encode())
                ask.flush()
                header = answer.readline().split()
                if len(header) != 3 or header[1] != b"blob":
                    return
                yield answer.read(int(header[2]))
                answer.read(1)

    def commit(self, files: Mapping[str, bytes], message: str, *, parent: str | None, seconds: int) -> str:
        """A commit with these files changed; nothing is pushed."""
        self._make()
        ref = f"refs/immutag/next-{os.getpid()}"
        who = f"immutag <immutag@localhost> {seconds} +0000\n".encode()
        text = message.encode()
        stream = [b"commit %b\n" % ref.encode(), b"mark :1\n", b"author ", who, b"committer ", who]
        stream += [b"data %d\n%b\n" % (len(text), text)]
        stream += [b"from %b\n" % parent.encode()] if parent else []
        for path, content in files.items():
            stream += [b"M 100644 inline %b\n" % path.encode(), b"data %d\n%b\n" % (len(content), content)]
        stream += [b"get-mark :1\n", b"done\n"]
        done = program.git(
            self._folder, "fast-import", "--quiet", "--force", "--done", stdin=b"".join(stream)
        )
        return done.text

    def push(self, commit: str, *, over: str | None) -> bool:
        """Move the branch to this commit if it is at `over` (None: if it is not there); `False` if it is not.

        Raises ConfigInvalid if the remote does not answer or refuses: then it is not known what happened.
        """
        lease = f"--force-with-lease={self._ref}:{over or ''}"
        done = self._answer(
            self._folder, "push", "--porcelain", "--no-verify", lease, self._url, f"{commit}:{self._ref}"
        )
        if done.ok:
            return True
        said = done.stderr.decode(errors="replace")
        refused = _REFUSED.search(done.stdout.decode(errors="replace"))
        if refused and (refused[1] == "rejected" or self._somebody_writes(refused[2], said, over)):
            return False
        raise _unusable(self.name, f"{refused[2]}: {_from_the_server(said)}" if refused else _telling(done))

    def _somebody_writes(self, reason: str, said: str, over: str | None) -> bool:
        """Whether the server refused because of another writer. Servers have many words for what they do not
        allow, so it is looked: the branch has moved, or somebody is about to move it."""
        busy = any(word in reason.lower() for word in _IN_THE_MIDDLE) and _IN_THE_WAY not in said
        return busy or self.tip() != over

    def _make(self) -> None:
        if (self._folder / "HEAD").exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        program.git(self._folder, "init", "--quiet", "--bare", ".")

    def _run(self, directory: Path, *arguments: str) -> process.Finished:
        done = self._answer(directory, *arguments)
        if not done.ok:
            raise _unusable(self.name, _telling(done))
        return done

    def _answer(self, directory: Path, *arguments: str) -> process.Finished:
        return program.ask(directory, *_OPTIONS, *arguments, timeout_s=_TIMEOUT_S, env=self._configuration())

    def _configuration(self) -> Mapping[str, str]:
        """What the clone's own configuration says of how to reach remotes, handed on by the environment."""
        if self._env is None:
            self._env = _as_environment(self._said_by_the_clone())
        return self._env

    def _said_by_the_clone(self) -> list[tuple[str, str]]:
        if self._clone is None:
            return []
        done = program.ask(
            self._clone, "config", "--local", "--includes", "--null", "--get-regexp", _FROM_THE_CLONE,
            timeout_s=_TIMEOUT_S,
        )  # fmt: skip
        items = [each.partition("\n") for each in done.stdout.decode(errors="replace").split("\0") if each]
        return [(name, value) for name, _, value in items] if done.ok else []


def _as_environment(items: Sequence[tuple[str, str]]) -> dict[str, str]:
    env = {"GIT_CONFIG_COUNT": str(len(items))} if items else {}
    for at, (name, value) in enumerate(items):
        env |= {f"GIT_CONFIG_KEY_{at}": name, f"GIT_CONFIG_VALUE_{at}": value}
    return env


def _unusable(name: str, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "the ledger's branch cannot be used",
        expected=f"a repository that can be read and pushed to: {shown(name)}",
        found=shown(without_secrets(found)) or "git said nothing",
        remedy=f"git ls-remote {shown(name.rpartition('#')[0])} shows whether it can be reached; "
        "[ledger] url in immutag.toml names another",
    )


def _remove_if_nobody_holds(lock: Path) -> None:
    """What a git leaves that lost its power. One that outlived us holds it no longer than it may run."""
    with suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > _TIMEOUT_S:
            lock.unlink()


def _telling(done: process.Finished) -> str:
    """The last line with a cause, and two before it, where ssh says why. Advice and usage come after."""
    lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    ends = [at for at, line in enumerate(lines, 1) if _CAUSE.match(line)]
    told = lines[max(0, ends[-1] - 3) : ends[-1]] if ends else done.tail(3).splitlines()
    return "; ".join(told)


def _from_the_server(said: str) -> str:
    lines = (line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:"))
    return " ".join(line for line in lines if line) or "and no more"


def without_secrets(text: str) -> str:
    """What git says, without the credentials that an address in it may hold."""
    return re.sub(r"://[^/@\s]*@", "://", text)
