"""A layout folder: content by digest, and an index.json that names the root (OCI image-layout.md).

Content is written under a temporary name, hashed while written, and renamed; index.json comes last. So a
layout whose index.json names a root is finished, and whatever a killed process left is written again.
Blobs are read as files without hashing: whoever takes them (a registry, an engine) checks the digest.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from immutag.core.errors import BuildFailure
from immutag.core.values import Digest, GitSha, Platform, ShortTag, shown
from immutag.oci import IMAGE_INDEX, MANIFEST_LIMIT_BYTES, Descriptor
from immutag.oci.content import blocks_of, checked, mismatch
from immutag.oci.manifest import Child, Index, load, parse

REF_NAME = "org.opencontainers.image.ref.name"
_MARKER, _INDEX = "oci-layout", "index.json"
_UNFINISHED = ".unfinished-"


class Layout:
    """A layout folder as a `Store`. Raises BuildFailure for a folder that is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        version = load(self._small(folder / _MARKER), wrong=BuildFailure).get("imageLayoutVersion")
        if version != "1.0.0":
            raise _failure("not an OCI layout", 'oci-layout with the version "1.0.0"', repr(version))

    @classmethod
    def create(cls, folder: Path) -> "Layout":
        """An empty layout. Blobs that are there already stay: their names say what they are."""
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        _replace(folder / _INDEX, _index_of([]))
        _replace(folder / _MARKER, b'{"imageLayoutVersion":"1.0.0"}')
        return cls(folder)

    def root(self, platform: Platform | None = None) -> Descriptor:
        """The one manifest or index that index.json names, hashed. Referrers beside it do not count.

        Raises BuildFailure if there is none or several, DigestMismatch if it has other bytes.
        """
        root = only_root(self._children(), self.manifest, platform)
        self.manifest(root)
        return root

    def manifest(self, content: Descriptor) -> bytes:
        """A manifest's bytes, hashed. Raises DigestMismatch, BuildFailure if it is not there."""
        with self.open(content) as file:
            document = file.read(MANIFEST_LIMIT_BYTES + 1)
        return b"".join(checked([document], content))

    def set_root(self, content: Descriptor, annotations: Mapping[str, str] = {}) -> None:
        """Finish the layout: index.json names this, and nothing else."""
        self._write_index([_entry(content, annotations)])

    def open(self, content: Descriptor) -> BinaryIO:
        """The content as a file, of the right size but not hashed. Raises BuildFailure, DigestMismatch."""
        try:
            file = _open(self.path(content.digest))
        except FileNotFoundError:
            raise _failure("the layout lacks content that it names", str(content.digest), "none") from None
        if (size := os.fstat(file.fileno()).st_size) != content.size_bytes:
            file.close()
            raise mismatch(content, f"{content.size_bytes} bytes", f"{size} bytes")
        return file

    def add(self, media_type: str, blocks: Iterable[bytes]) -> Descriptor:
        """Put content there that has no name yet: its digest comes from the bytes as they are written."""
        hashing, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for block in blocks:
                hashing.update(block)
                size += len(block)
                yield block

        with self._unfinished() as unfinished:
            with unfinished.open("wb") as file:
                file.writelines(counted())
            content = Descriptor(media_type, Digest(f"sha256:{hashing.hexdigest()}"), size)
            unfinished.replace(self._made(content.digest))
        return content

    def take(self, content: Descriptor, blocks: Iterable[bytes]) -> None:
        """Put content there whose blocks were checked on the way (`checked`)."""
        with self._unfinished() as unfinished:
            with unfinished.open("wb") as file:
                file.writelines(blocks)
            unfinished.replace(self._made(content.digest))

    def link(self, content: Descriptor, origin: Path) -> None:
        """Take a file of another layout without copying its bytes, hashed here once.

        A hard link shares later changes of the file; a push that read them would fail at the registry's
        digest check, so what is released stays what was checked. Raises OSError if it cannot be linked,
        DigestMismatch.
        """
        with self._unfinished() as unfinished:
            os.link(origin, unfinished, follow_symlinks=False)
            with _open(unfinished) as file:
                for _ in checked(blocks_of(file), content):
                    pass
            unfinished.replace(self._made(content.digest))

    # --- Store

    def resolve(self, tag: GitSha | ShortTag) -> Descriptor | None:
        found = {child.content for child in self._children() if child.annotations.get(REF_NAME) == str(tag)}
        if not found:
            return None
        if len(found) > 1:
            raise _failure("a tag stands twice in index.json", f"one entry for {tag}", str(len(found)))
        (content,) = found
        self.manifest(content)
        return content

    def exists(self, content: Descriptor) -> bool:
        try:
            found = self.path(content.digest).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == content.size_bytes

    @contextmanager
    def fetch(self, content: Descriptor) -> Iterator[Iterator[bytes]]:
        with self.open(content) as file:
            yield checked(blocks_of(file), content)

    def push(self, content: Descriptor, source: BinaryIO) -> None:
        if not self.exists(content):
            self.take(content, checked(blocks_of(source), content))

    def tag(self, content: Descriptor, tag: GitSha | ShortTag) -> None:
        self.manifest(content)
        self._children()
        entries = load(self._small(self.folder / _INDEX), wrong=BuildFailure).get("manifests") or []
        others = [each for each in entries if (each.get("annotations") or {}).get(REF_NAME) != str(tag)]
        entry = _entry(content, {REF_NAME: str(tag)})
        unnamed = [each for each in others if each == _entry(content, {})]
        self._write_index([*(each for each in others if each not in unnamed), entry])

    # --- files

    def path(self, digest: Digest) -> Path:
        """Where content of this digest lies, if it is there."""
        return self.folder / "blobs" / digest.algorithm / digest.hex

    def _made(self, digest: Digest) -> Path:
        path = self.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """A name in a folder of its own, which is gone afterwards unless it was renamed."""
        blobs = self.folder / "blobs"
        blobs.mkdir(exist_ok=True)
        with _own_folder(blobs) as own:
            yield own / "content"

    def _small(self, path: Path) -> bytes:
        try:
            with _open(path) as file:
                return file.read(MANIFEST_LIMIT_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise _failure("not an OCI layout", f"a folder with {path.name}", str(self.folder)) from None

    def _children(self) -> tuple[Child, ...]:
        index = parse(self._small(self.folder / _INDEX), IMAGE_INDEX, wrong=BuildFailure)
        return index.children if isinstance(index, Index) else ()

    def _write_index(self, entries: list[dict[str, Any]]) -> None:
        _replace(self.folder / _INDEX, _index_of(entries))


def only_root(
    children: Iterable[Child], read: Callable[[Descriptor], bytes], platform: Platform | None = None
) -> Descriptor:
    """The one image that an index.json names; what refers to another one (a signature, an SBOM) is none.

    Raises BuildFailure if there is none or several.
    """
    named = {child.content: child for child in children}
    if len(named) > 1 and platform is not None:
        named = {content: child for content, child in named.items() if child.platform == platform}
    if len(named) > 1:
        parsed = {content: parse(read(content), content.media_type, wrong=BuildFailure) for content in named}
        named = {content: named[content] for content, found in parsed.items() if found.subject not in parsed}
    if len(named) == 1:
        return next(iter(named))
    if not named:
        raise _failure("the layout has no image", "one manifest or index in index.json", "none")
    names = sorted({child.annotations.get(REF_NAME, str(child.content.digest)) for child in named.values()})
    raise _failure(
        "the layout has several images",
        "one manifest or index in index.json",
        ", ".join(names),
        remedy="copy out the one: skopeo copy oci:LAYOUT:NAME oci:OTHER",
    )


def _open(path: Path) -> BinaryIO:
    """A regular file itself: a link could lead out of the folder, and a pipe would wait for ever."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _failure("a layout's file is no file", "a regular file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _failure("a layout's file is no file", "a regular file", str(path))
    return os.fdopen(handle, "rb", buffering=0)


def _entry(content: Descriptor, annotations: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mediaType": content.media_type,
        "digest": str(content.digest),
        "size": content.size_bytes,
    }
    return {**entry, "annotations": dict(annotations)} if annotations else entry


def _index_of(entries: list[dict[str, Any]]) -> bytes:
    document = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": entries}
    return json.dumps(document, separators=(",", ":")).encode()


def _replace(path: Path, content: bytes) -> None:
    with _own_folder(path.parent) as own:
        unfinished = own / path.name
        unfinished.write_bytes(content)
        unfinished.replace(path)


@contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """A folder that nobody else uses, gone afterwards with the files in it. `tempfile` does the same and
    takes 10 ms to import."""
    own = parent / f"{_UNFINISHED}{os.urandom(8).hex()}"
    own.mkdir(mode=0o700)
    try:
        yield own
    finally:
        for left in own.iterdir():
            left.unlink()
        own.rmdir()


def _failure(message: str, expected: str, found: str, *, remedy: str = "build it again") -> BuildFailure:
    return BuildFailure(message, expected=expected, found=shown(found), remedy=remedy)
