"""Killed at any rename, a full disk, a source that changes: a layout is finished and right, or unfinished."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from immutag.core.errors import BuildFailure, DigestMismatch
from immutag.oci import Descriptor
from immutag.oci.archive import ingest
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from tests.parts import registries
from tests.parts.images import GZIPPED_LAYER, add_image, add_index, blob_path, descriptor, finish, tar_of
from tests.parts.peers import Crane, Peer

_KILLED = """
import os, pathlib, signal, sys
left, when = int(sys.argv[3]), sys.argv[4]
replace = pathlib.Path.replace
def dying(self, target):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(self, target)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.replace = dying
from immutag.oci.archive import ingest
ingest(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def _run(script: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    argv: Sequence[str] = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("form", ["layout", "docker-archive"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_rename_it_is_unfinished_or_right_and_the_next_run_completes_it(
    tmp_path: Path, skopeo: Peer, form: str, when: str
) -> None:
    given = tmp_path / "given"
    source = finish(given, add_image(given, tar_of("f", b"content"), layer_type=GZIPPED_LAYER))
    if form == "docker-archive":
        source = tmp_path / "archive.tar"
        skopeo("copy", "-q", f"oci:{given}", f"docker-archive:{source}")
    right = ingest(source, tmp_path / "right")
    killed = 0
    for nth in range(1, 20):
        ours = tmp_path / f"ours{nth}"
        status = _run(_KILLED, source, ours, nth, when).returncode
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        if _named(ours):  # finished: all of it is there
            assert Layout(ours).root() == right
            assert _blobs(ours) == _blobs(tmp_path / "right")
        assert ingest(source, ours) == right
        assert _blobs(ours) == _blobs(tmp_path / "right")
    assert killed >= 5  # index.json, oci-layout, config, layer, manifest, index.json


def _named(folder: Path) -> bool:
    index = folder / "index.json"
    return index.exists() and json.loads(index.read_bytes())["manifests"] != []


def _root(folder: Path) -> Descriptor | None:
    try:
        return Layout(folder).root()
    except BuildFailure:
        return None


def _blobs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "blobs" / "sha256").iterdir()}


_FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from immutag.core.errors import BuildFailure
from immutag.oci.archive import ingest
try:
    ingest(Path(sys.argv[1]), Path(sys.argv[2]))
except BuildFailure as error:
    print(error.found)
"""


def test_a_full_disk_is_a_failure_with_its_reason_and_leaves_nothing(tmp_path: Path, skopeo: Peer) -> None:
    given = tmp_path / "given"
    finish(given, add_image(given, tar_of("f", os.urandom(500_000)), layer_type=GZIPPED_LAYER))
    skopeo("copy", "-q", f"oci:{given}", f"oci-archive:{tmp_path / 'archive.tar'}")
    finished = _run(_FULL, tmp_path / "archive.tar", tmp_path / "ours")
    assert b"File too large" in finished.stdout, finished.stderr.decode()
    assert not list((tmp_path / "ours").rglob(".unfinished*"))
    assert _root(tmp_path / "ours") is None


def test_a_linked_source_that_changes_later_cannot_become_a_release(
    tmp_path: Path, registry2: registries.Registry, crane: Crane
) -> None:
    """Hard links share later changes; the registry's digest check is what catches them."""
    given = tmp_path / "given"
    image = add_image(given, tar_of("f", b"content"), layer_type=GZIPPED_LAYER)
    root = ingest(finish(given, image), tmp_path / "ours")
    layout, repository = Layout(tmp_path / "ours"), registry2.repository()
    for path in (given / "blobs" / "sha256").iterdir():
        if path != blob_path(given, image):
            path.write_bytes(bytes(reversed(path.read_bytes())))
    http = Http(environ={})
    with pytest.raises(DigestMismatch):
        copy(layout, Registry(repository, http=http), root)
    http.close()
    assert crane.tags(repository) == []
    assert crane.run("manifest", f"{repository}@{root.digest}").returncode != 0


_PUSH = """
import os, signal, sys
from pathlib import Path
from immutag.core.values import Repository
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
left = int(sys.argv[3])
push = Registry.push
def dying(self, content, source):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    push(self, content, source)
Registry.push = dying
layout = Layout(Path(sys.argv[1]))
copy(layout, Registry(Repository.parse(sys.argv[2]), http=Http(environ={})), layout.root(), workers=1)
"""


def test_a_push_killed_anywhere_has_no_root_yet_and_the_next_completes_it(
    tmp_path: Path, registry3: registries.Registry, crane: Crane
) -> None:
    children = [
        add_image(tmp_path, tar_of("f", name.encode()), architecture=name, layer_type=GZIPPED_LAYER)
        for name in ("amd64", "arm64")
    ]
    root = descriptor(add_index(tmp_path, *children))
    layout, http = Layout(finish(tmp_path, add_index(tmp_path, *children))), Http(environ={})
    for nth in range(1, 8):  # four blobs, two manifests, the index
        repository = registry3.repository()
        reference = f"{repository}@{root.digest}"
        assert _run(_PUSH, tmp_path, repository, nth).returncode == -signal.SIGKILL
        assert crane.run("manifest", reference).returncode != 0
        copy(layout, Registry(repository, http=http), root)
        assert crane.digest(reference) == str(root.digest)
        crane("validate", "--remote", f"{repository}@{children[0]['digest']}")
    http.close()
