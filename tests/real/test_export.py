"""The export of a commit is its tree, byte for byte, whatever else git would do with it."""

import errno
import os
import shutil
import stat
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid, ImmutagError, PolicyViolation
from immutag.core.values import GitSha
from immutag.git.commit import GitRepository
from immutag.git.export import export
from tests.parts.checkouts import GIT_ENV, Checkout

Make = Callable[..., Checkout]
Tree = dict[bytes, tuple[str, bytes]]


@pytest.fixture
def checkout(git_repository: Make) -> Checkout:
    return git_repository()


def _export(checkout: Checkout, sha: GitSha, name: str = "export") -> Path:
    folder = checkout.path.with_name(name)
    export(GitRepository.find(checkout.path), sha, folder)
    return folder


def _git(checkout: Checkout, *arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        ["git", *arguments], cwd=checkout.path, input=stdin, capture_output=True, check=True,
        env={**os.environ, **GIT_ENV, "GIT_AUTHOR_DATE": "1700000000 +0000",
             "GIT_COMMITTER_DATE": "1700000000 +0000"},
    )  # fmt: skip
    return done.stdout


def _as_git_says(checkout: Checkout, sha: GitSha) -> Tree:
    """The commit's tree by git's own plumbing."""
    tree: Tree = {}
    for line in _git(checkout, "ls-tree", "-r", "-z", "--full-tree", str(sha)).split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, name = about.decode().split(" ")
        tree[path] = mode, _git(checkout, "cat-file", "blob", name)
    return tree


def _as_written(folder: Path) -> Tree:
    tree: Tree = {}
    for path in folder.rglob("*"):
        relative = os.fsencode(path.relative_to(folder))
        if path.is_symlink():
            tree[relative] = "120000", os.fsencode(path.readlink())
        elif path.is_file():
            mode = {0o644: "100644", 0o755: "100755"}[stat.S_IMODE(path.stat().st_mode)]
            tree[relative] = mode, path.read_bytes()
    return tree


def _committed_tree(checkout: Checkout, *entries: tuple[str, bytes, str]) -> GitSha:
    """A commit of a tree object that git itself would not write: (mode, name, id)."""
    raw = b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    tree = _git(checkout, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=raw)
    return GitSha(_git(checkout, "commit-tree", "-m", "made", tree.decode().strip()).decode().strip())


def _blob(checkout: Checkout, content: bytes) -> str:
    return _git(checkout, "hash-object", "-w", "--stdin", stdin=content).decode().strip()


def test_attributes_and_filters_change_nothing(checkout: Checkout) -> None:
    checkout.git("config", "core.autocrlf", "true")
    checkout.git("config", "filter.loud.smudge", "tr a-z A-Z")
    checkout.git("config", "filter.loud.clean", "tr A-Z a-z")
    sha = checkout.commit(
        "one",
        {
            ".gitattributes": "secret export-ignore\nversion export-subst\n*.loud filter=loud\n*.txt eol=lf",
            "secret": "still here",
            "version": "$Format:%H$ $Id$",
            "a.loud": "quiet",
            "lines.txt": "one\ntwo\n",
            "nested/.gitignore": "*",
        },
    )
    folder = _export(checkout, sha)
    assert _as_written(folder) == _as_git_says(checkout, sha)
    assert (folder / "lines.txt").read_bytes() == b"one\ntwo\n"
    assert (folder / "version").read_bytes() == b"$Format:%H$ $Id$"


def test_names_modes_and_links_are_kept(checkout: Checkout) -> None:
    (checkout.path / "folder").mkdir()
    odd = [b"-rf", b"new\nline", b"\xff\xfe", "ü".encode(), b'"quoted" $(x)', b"folder/.hidden", b" "]
    for name in odd:
        Path(os.fsdecode(os.fsencode(checkout.path) + b"/" + name)).write_bytes(name)
    (checkout.path / "run").write_text("#!/bin/sh\n")
    (checkout.path / "run").chmod(0o755)
    (checkout.path / "empty").touch()
    (checkout.path / "large").write_bytes(os.urandom(3 * 2**20 + 17))
    (checkout.path / "link").symlink_to("folder/.hidden")
    (checkout.path / "away").symlink_to("/etc/passwd")
    sha = checkout.commit("one")
    written = _as_written(_export(checkout, sha))
    assert written == _as_git_says(checkout, sha)
    assert set(odd) < set(written)
    assert written[b"away"] == ("120000", b"/etc/passwd")
    assert written[b"run"][0] == "100755"


def test_what_is_not_committed_is_not_there(checkout: Checkout) -> None:
    sha = checkout.commit("one", {"file": "1"})
    checkout.write({"file": "2", "untracked": "x", "staged": "y"})
    checkout.git("add", "staged")
    assert _as_written(_export(checkout, sha)) == {b"file": ("100644", b"1")}


def test_an_older_commit_and_an_empty_one_can_be_exported(checkout: Checkout) -> None:
    empty = checkout.commit("empty")
    first = checkout.commit("one", {"file": "1"})
    checkout.commit("two", {"file": "2"})
    assert _as_written(_export(checkout, first, "first")) == {b"file": ("100644", b"1")}
    assert list(_export(checkout, empty, "empty").iterdir()) == []


def test_time_stamps_are_the_commits_and_the_umask_does_not_count(checkout: Checkout) -> None:
    sha = checkout.commit("one", {"a/b/c": "1", "d": "2"})
    (checkout.path / "a" / "link").symlink_to("b")
    sha = checkout.commit("two")
    before = os.umask(0o077)
    try:
        folder = _export(checkout, sha)
    finally:
        os.umask(before)
    time_s = int(checkout.git("show", "--no-patch", "--format=%ct", sha))
    everything = [folder, *folder.rglob("*")]
    assert {path.lstat().st_mtime for path in everything} == {time_s}
    assert {stat.S_IMODE(path.stat().st_mode) for path in everything if path.is_dir()} == {0o755}
    assert stat.S_IMODE((folder / "d").stat().st_mode) == 0o644


def test_a_replaced_object_is_not_used(checkout: Checkout) -> None:
    sha = checkout.commit("one", {"file": "true"})
    checkout.git("replace", checkout.git("rev-parse", "HEAD:file"), _blob(checkout, b"false"))
    assert checkout.git("cat-file", "blob", "HEAD:file") == "false"  # what git would say
    assert _as_written(_export(checkout, sha)) == {b"file": ("100644", b"true")}


def test_many_files_do_not_block(checkout: Checkout) -> None:
    """More ids than one round asks for, and more content than a pipe holds."""
    checkout.write({f"d{number % 30}/f{number}": f"{number}" * 200 for number in range(1500)})
    sha = checkout.commit("many")
    written = _as_written(_export(checkout, sha))
    assert len(written) == 1500
    assert written[b"d29/f1499"] == ("100644", b"1499" * 200)


def test_a_submodule_is_refused_in_words(checkout: Checkout) -> None:
    checkout.commit("one", {"file": "1"})
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{checkout.head},lib")
    checkout.git("commit", "--quiet", "--message", "submodule")
    with pytest.raises(ConfigInvalid) as refused:
        _export(checkout, checkout.head)
    assert "a submodule" in refused.value.found
    assert "/lib" in refused.value.found


def test_an_lfs_pointer_is_refused_in_words(checkout: Checkout) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    with pytest.raises(ConfigInvalid) as refused:
        _export(checkout, checkout.commit("one", {"model.bin": pointer}))
    assert "Git LFS" in refused.value.found


@pytest.mark.parametrize("name", [b"..", b".", b".git", b".GIT", b"a/b", b"/etc"])
def test_a_path_that_leads_out_is_refused(checkout: Checkout, name: bytes) -> None:
    checkout.commit("one")
    content = _blob(checkout, b"content")
    tree = _git(checkout, "mktree", stdin=f"100644 blob {content}\tinner\n".encode()).decode().strip()
    for entry in (("100644", name, content), ("40000", name, tree)):
        with pytest.raises(PolicyViolation):
            _export(checkout, _committed_tree(checkout, entry), f"export-{entry[0]}")
    assert not (checkout.path.parent / "inner").exists()


def test_nothing_is_written_through_a_link(checkout: Checkout, tmp_path: Path) -> None:
    """A link and a folder of one name: the folder's file would land where the link leads."""
    checkout.commit("one")
    link = _blob(checkout, os.fsencode(tmp_path))
    content = _blob(checkout, b"content")
    tree = _git(checkout, "mktree", stdin=f"100644 blob {content}\tinner\n".encode()).decode().strip()
    for number, entries in enumerate(
        [(("120000", b"a", link), ("40000", b"a", tree)), (("40000", b"a", tree), ("120000", b"a", link))]
    ):
        with pytest.raises(PolicyViolation):
            _export(checkout, _committed_tree(checkout, *entries), f"export-{number}")
    assert not (tmp_path / "inner").exists()


@pytest.mark.parametrize("what", ["HEAD:file", "HEAD:folder", "HEAD^{tree}"])
def test_a_damaged_object_is_found(checkout: Checkout, what: str) -> None:
    """The object file is sound for git, but holds other content than its name says."""
    sha = checkout.commit("one", {"file": "true", "folder/file": "true"})
    name = checkout.git("rev-parse", what)
    kind = checkout.git("cat-file", "-t", name)
    other = b"100644 evil\0" + bytes.fromhex(_blob(checkout, b"evil")) if kind == "tree" else b"evil"
    file = checkout.path / ".git" / "objects" / name[:2] / name[2:]
    file.chmod(0o644)
    file.write_bytes(zlib.compress(f"{kind} {len(other)}\0".encode() + other))
    with pytest.raises(ConfigInvalid, match="missing or damaged"):
        _export(checkout, sha)


def test_a_missing_object_is_found(checkout: Checkout) -> None:
    sha = checkout.commit("one", {"file": "true"})
    name = checkout.git("rev-parse", "HEAD:file")
    (checkout.path / ".git" / "objects" / name[:2] / name[2:]).unlink()
    with pytest.raises(ConfigInvalid, match="missing or damaged"):
        _export(checkout, sha)


@pytest.mark.parametrize("torn", [b"100644 a", b"100644 a\0" + b"1" * 19, b"100644", b"\0"])
def test_a_tree_that_is_cut_off_is_damaged(checkout: Checkout, torn: bytes) -> None:
    checkout.commit("one")
    tree = _git(checkout, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=torn)
    content = f"tree {tree.decode()}author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nmade\n".encode()
    sha = _git(checkout, "hash-object", "-t", "commit", "--literally", "-w", "--stdin", stdin=content)
    with pytest.raises(ConfigInvalid, match="missing or damaged"):
        _export(checkout, GitSha(sha.decode().strip()))


@pytest.mark.parametrize(
    ("mode", "name", "content"),
    [
        ("100644", b"n" * 300, b"content"),
        ("40000", b"n" * 300, b""),
        ("120000", b"empty", b""),
        ("120000", b"far", b"a" * 5000),
        ("120000", b"odd", b"a\0b"),
    ],
)
def test_what_no_file_system_takes_is_refused_with_its_name(
    checkout: Checkout, mode: str, name: bytes, content: bytes
) -> None:
    checkout.commit("one")
    oid = checkout.git("rev-parse", "HEAD^{tree}") if mode == "40000" else _blob(checkout, content)
    with pytest.raises(ConfigInvalid) as refused:
        _export(checkout, _committed_tree(checkout, (mode, name, oid)))
    assert "git is missing" not in refused.value.message
    assert name.decode()[:100] in refused.value.found or oid in refused.value.expected


def test_a_full_disk_is_said_so(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = checkout.commit("one", {"file": "1"})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(ConfigInvalid, match="cannot be written") as refused:
        _export(checkout, sha)
    assert "No space left" in refused.value.found


def test_a_git_that_ends_while_it_is_asked_leaves_objects_missing(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As it does in a partial clone whose promisor cannot be reached."""
    sha = checkout.commit("one", {f"f{number}": str(number) for number in range(2000)})
    repository = GitRepository.find(checkout.path)
    real = shutil.which("git")
    (tmp_path / "git").write_text(f'#!/bin/sh\nsed -u 514q | "{real}" "$@"\n')
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ConfigInvalid, match="missing or damaged"):
        export(repository, sha, tmp_path / "export")


def test_a_folder_that_is_there_already_is_not_written_into(checkout: Checkout) -> None:
    sha = checkout.commit("one", {"file": "true"})
    _export(checkout, sha)
    with pytest.raises((OSError, ImmutagError)):
        _export(checkout, sha)


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: (
        b"\0" not in name and b"/" not in name and name not in (b".", b"..") and name.lower() != b".git"
    )
)
CONTENT = st.binary(max_size=300).filter(lambda content: not content.startswith(b"version https://git-lfs"))
FILES = st.dictionaries(NAMES, st.tuples(st.sampled_from(["100644", "100755"]), CONTENT), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, folders=st.dictionaries(NAMES, FILES.filter(bool), max_size=3))
def test_any_tree_is_written_as_it_is(
    git_repository: Make, tmp_path_factory: pytest.TempPathFactory, files: Tree, folders: dict[bytes, Tree]
) -> None:
    checkout = Checkout(tmp_path_factory.mktemp("any") / "checkout")
    checkout.path.mkdir()
    checkout.git("init", "--quiet")
    tree: Tree = {name: file for name, file in files.items() if name not in folders}
    for folder, inner in folders.items():
        tree.update({folder + b"/" + name: file for name, file in inner.items()})
    stream = [b"commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 0\n"]
    for path, (mode, content) in tree.items():
        quoted = b"".join(b"\\%03o" % byte for byte in path)
        stream.append(b'M %s inline "%s"\ndata %d\n%s\n' % (mode.encode(), quoted, len(content), content))
    _git(checkout, "fast-import", "--quiet", stdin=b"".join(stream))
    sha = GitSha(checkout.git("rev-parse", "main"))
    assert _as_written(_export(checkout, sha)) == tree
