"""The commit's tree as a folder, byte for byte (DR-016).

Commit, trees and files are read as git objects, and each must hash to the id that its parent gives it: the
folder is what the SHA says, whatever attributes, filters, line-ending rules or replaced objects say.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from immutag.core.errors import ConfigInvalid, PolicyViolation
from immutag.core.frozen import frozen
from immutag.core.values import GitSha, shown
from immutag.git.commit import Commit, GitRepository, commit_time
from immutag.git.program import objects

_BLOCK_BYTES = 1024 * 1024
_ASK = 512  # ids of 41 bytes: what fits into the pipe, so that asking never waits for our reading
_LFS = b"version https://git-lfs.github.com/spec/"
_TREE, _LINK, _SUBMODULE = "40000", "120000", "160000"
_FILES = {"100644": 0o644, "100664": 0o644, "100755": 0o755}


@frozen()
class _Entry:
    """What a tree names, and where it goes."""

    mode: str
    id: str
    path: Path


def export(repository: GitRepository, sha: GitSha, folder: Path) -> Commit:
    """Write the commit's tree into a new folder. Every time stamp is the commit's; the umask does not count.

    Raises ConfigInvalid for a commit that does not hold all of its content (submodules, LFS pointers), or
    whose objects are missing or damaged, or where it cannot be written; PolicyViolation for a path that leads
    out of the folder.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with objects(repository.root) as (ask, answer):
            return _export(_Objects(ask, answer), sha, folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _export(read: "_Objects", sha: GitSha, folder: Path) -> Commit:
    commit = read.one(str(sha), "commit")
    stamp_ns = commit_time(commit) * 10**9
    tree = commit.partition(b"\n")[0].removeprefix(b"tree ").decode("ascii", "replace")
    folders, others = _make_folders(read, _Entry(_TREE, tree, folder))
    for entry, blocks in read.each(others, "blob"):
        _make(entry, blocks, stamp_ns)
    for entry in reversed(folders):
        os.utime(entry.path, ns=(stamp_ns, stamp_ns))
    return Commit(sha, stamp_ns // 10**9)


def _make_folders(read: "_Objects", root: _Entry) -> tuple[list[_Entry], list[_Entry]]:
    """Make every folder of the tree; return these, parents first, and what goes into them."""
    folders, others = list[_Entry](), list[_Entry]()
    level = [root]
    while level:
        below = list[_Entry]()
        for folder, blocks in read.each(level, "tree"):
            folder.path.mkdir()  # fails if the name is taken: nothing is written through a link
            folder.path.chmod(0o755)
            for entry in _entries(folder, b"".join(blocks)):
                (below if entry.mode == _TREE else others).append(entry)
        folders += level
        level = below
    return folders, others


def _entries(folder: _Entry, tree: bytes) -> Iterator[_Entry]:
    """What a tree object names: `mode name NUL 20 bytes of id`, again and again."""
    at, names = 0, set[bytes]()
    while at < len(tree):
        end = tree.find(b"\0", at)
        if not at <= end <= len(tree) - 21:
            raise _damaged(folder.id, "a tree of whole entries", f"an entry that is cut off at {at}")
        mode, _, name = tree[at:end].partition(b" ")
        if name in names or name in (b"", b".", b"..") or b"/" in name or name.lower() == b".git":
            raise _leads_out(folder.path, name)
        names.add(name)
        at = end + 21
        path = folder.path / os.fsdecode(name)
        yield _Entry(mode.decode("ascii", "replace"), tree[end + 1 : at].hex(), path)


def _make(entry: _Entry, blocks: Iterator[bytes], stamp_ns: int) -> None:
    if entry.mode == _LINK:
        target = b"".join(blocks)
        if b"\0" in target:
            raise _damaged(entry.id, "where a link leads", "a text with a NUL")
        entry.path.symlink_to(os.fsdecode(target))
        os.utime(entry.path, ns=(stamp_ns, stamp_ns), follow_symlinks=False)
        return
    with entry.path.open("xb", buffering=0) as file:
        for block in blocks:
            if block.startswith(_LFS) and file.tell() == 0:
                raise _incomplete("Git LFS", entry, "commit the file itself: git lfs migrate export")
            file.write(block)
        os.fchmod(file.fileno(), _FILES[entry.mode])
        os.utime(file.fileno(), ns=(stamp_ns, stamp_ns))


class _Objects:
    """Objects of the repository, each hashed while it is read."""

    def __init__(self, ask: BinaryIO, answer: BinaryIO) -> None:
        self._ask, self._answer = ask, answer

    def one(self, name: str, kind: str) -> bytes:
        ((_, blocks),) = self.each([_Entry(_TREE, name, Path())], kind)
        return b"".join(blocks)

    def each(self, entries: Sequence[_Entry], kind: str) -> Iterator[tuple[_Entry, Iterator[bytes]]]:
        """Every entry with its content, in blocks; these must be read to their end before the next."""
        for start in range(0, len(entries), _ASK):
            some = entries[start : start + _ASK]
            for entry in some:
                _refuse_mode(entry)
            with suppress(BrokenPipeError):  # git has ended: what it did not answer is found to be missing
                self._ask.write("".join(f"{entry.id}\n" for entry in some).encode())
                self._ask.flush()
            for entry in some:
                yield entry, self._blocks(entry, kind)

    def _blocks(self, entry: _Entry, kind: str) -> Iterator[bytes]:
        header = self._answer.readline().decode().split()
        if len(header) != 3 or header[1] != kind:
            raise _damaged(entry.id, kind, " ".join(header[1:2]) or "no answer")
        left = int(header[2])
        hashing = hashlib.sha1(f"{kind} {left}\0".encode(), usedforsecurity=False)  # git's id, not our digest
        while left:
            block = self._answer.read(min(left, _BLOCK_BYTES))
            if not block:
                raise _damaged(entry.id, kind, "a part of it")
            left -= len(block)
            hashing.update(block)
            yield block
        self._answer.read(1)
        if hashing.hexdigest() != entry.id:
            raise _damaged(entry.id, kind, f"content of {hashing.hexdigest()}")


def _refuse_mode(entry: _Entry) -> None:
    if entry.mode == _SUBMODULE:
        raise _incomplete("a submodule", entry, "git rm the submodule and commit its files (git subtree add)")
    if entry.mode not in (_TREE, _LINK, *_FILES):
        raise _damaged(entry.id, "a mode that git writes", entry.mode)


def _incomplete(what: str, entry: _Entry, remedy: str) -> ConfigInvalid:
    return ConfigInvalid(
        "the commit does not hold all of its content",
        expected="every file in the commit's own tree: the SHA must determine the build (DR-016)",
        found=f"{what}: {shown(str(entry.path))}",
        remedy=remedy,
    )


def _damaged(name: str, expected: str, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "an object of the repository is missing or damaged",
        expected=f"{shown(name)}: {expected}",
        found=shown(found),
        remedy="git fsck --full, then git fetch --refetch",
    )


def _unwritable(folder: Path, error: OSError) -> ConfigInvalid:
    """A name that the file system does not take, no room, no permission."""
    path = Path(os.fsdecode(error.filename2 or error.filename or folder))
    name = path.relative_to(folder) if path.is_relative_to(folder) else path
    return ConfigInvalid(
        "the commit cannot be written to the disk",
        expected=f"a file system at {folder.parent} that takes all of its files and names",
        found=shown(f"{error.strerror}: {name}"),
        remedy="df -h -i; or git mv what has such a name, and commit",
    )


def _leads_out(folder: Path, name: bytes) -> PolicyViolation:
    return PolicyViolation(
        "the commit holds a path that must not be written",
        expected="names of files, each once in its folder",
        found=shown(f"{folder}/{os.fsdecode(name)}"),
        remedy="git fsck --full; rewrite the commit without it",
    )
