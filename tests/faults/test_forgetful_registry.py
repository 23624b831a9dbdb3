"""A registry that says that it took something: whether it has it, at once or after a while, is looked at."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from immutag.core.errors import MissingTag, PolicyViolation, PushFailure, RegistryUnavailable
from immutag.oci import IMAGE_MANIFEST
from immutag.oci.content import digest_of
from tests.faults.hostile_registry import HostileRegistry, Request, Wire, hostile_registry
from tests.parts.checkouts import Checkout

_IMMUTAG = Path(sys.executable).with_name("immutag")
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG_TEXT = b'{"os": "linux", "architecture": "amd64"}'
_REVISION = "org.opencontainers.image.revision"
_SHA_TAG = r"/manifests/[0-9a-f]{40}$"
_BY_DIGEST = r"/manifests/sha256:[0-9a-f]{64}$"
_BLOB = r"/blobs/uploads/"


class Memory:
    """A registry with one repository. What `forgets` fits in a PUT's path is answered 201 and not kept;
    what `hides` fits is there only `hidden_s` after it came."""

    def __init__(self) -> None:
        self.forgets = self.hides = "$^"
        self.hidden_s = 0.0
        self.lies = False
        self.contents: dict[str, tuple[str, bytes]] = {}
        self.tags: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request, wire: Wire) -> None:
        with self._lock:
            path = request.path.partition("?")[0]
            name = path.rpartition("/")[2]
            if request.method == "POST":
                wire.answer(202, {"Location": path + "1"})
            elif request.method == "PUT":
                self._put(request, path, name, wire.read(request.length))
                wire.answer(201)
            elif "/referrers/" in path or self._hidden(path, name):
                wire.answer(404)
            elif request.method == "HEAD" and self.lies:
                wire.answer(200)
            else:
                self._get(request, name, wire)

    def keep(self, content: bytes, media_type: str = "") -> dict[str, Any]:
        """Its descriptor."""
        digest = str(digest_of(content))
        self.contents[digest] = (media_type, content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def _put(self, request: Request, path: str, name: str, body: bytes) -> None:
        if re.search(self.forgets, path):
            return
        kept = self.keep(body, request.headers["content-type"])["digest"]
        self._since[kept] = self._since[name] = time.monotonic()
        if re.search(_SHA_TAG, path):
            self.tags[name] = kept

    def _hidden(self, path: str, name: str) -> bool:
        young = time.monotonic() - self._since.get(name, 0.0) < self.hidden_s
        return young and re.search(self.hides, path) is not None

    def _get(self, request: Request, name: str, wire: Wire) -> None:
        found = self.contents.get(self.tags.get(name, name))
        if found is None:
            wire.answer(404)
            return
        headers = {"Content-Type": found[0], "Content-Length": str(len(found[1]))}
        wire.answer(200, headers, found[1] if request.method == "GET" else b"")


class Place:
    """A project whose registry this is, and an image for it."""

    def __init__(self, checkout: Checkout, memory: Memory, server: HostileRegistry) -> None:
        self.memory = memory
        self._checkout = checkout
        config = f'[image]\nrepository = "{server.host}/o/api"\n'
        checkout.commit("first", {"immutag.toml": config, ".gitignore": ".immutag\nlayout\n"})

    @property
    def sha(self) -> str:
        return str(self._checkout.head)

    def layout(self, config: bytes = _CONFIG_TEXT) -> dict[str, Any]:
        """Write it, and give the descriptor of its manifest, which the registry does not have yet."""
        folder = self._checkout.path / "layout"
        there = Memory()
        manifest = {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": there.keep(config, _CONFIG),
            "layers": [there.keep(b"a layer" * 100, _LAYER)],
        }
        root = there.keep(json.dumps(manifest).encode(), IMAGE_MANIFEST)
        (folder / "blobs" / "sha256").mkdir(parents=True)
        for digest, (_, content) in there.contents.items():
            (folder / "blobs" / digest.replace(":", "/")).write_bytes(content)
        index = {
            "schemaVersion": 2,
            "manifests": [{**root, "platform": {"os": "linux", "architecture": "amd64"}}],
        }
        (folder / "index.json").write_text(json.dumps(index))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return root

    def run(self, *arguments: str) -> tuple[int, Any]:
        """The exit status, and the JSON document."""
        ended = subprocess.run(
            [_IMMUTAG, "--json", *arguments], cwd=self._checkout.path, capture_output=True, text=True,
            env={**os.environ, "CI": ""}, check=False, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in ended.stderr
        return ended.returncode, json.loads(ended.stdout)


@pytest.fixture
def place(git_repository: Callable[..., Checkout]) -> Iterator[Place]:
    memory = Memory()
    with hostile_registry(memory) as server:
        yield Place(git_repository(), memory, server)


@pytest.mark.slow
@pytest.mark.parametrize("forgets", [_SHA_TAG, _BY_DIGEST, _BLOB])
def test_a_release_that_the_registry_forgot_is_none(forgets: str, place: Place) -> None:
    place.layout()
    place.memory.forgets = forgets
    status, said = place.run("release", "--from", "layout")
    assert (status, said["error"]["code"]) == (PushFailure.exit_status, "PUSH_FAILURE")
    place.memory.forgets = "$^"
    status, record = place.run("release", "--from", "layout")
    assert (status, record["image_digest"]) == (0, place.memory.tags[place.sha])


@pytest.mark.parametrize("hides", [_SHA_TAG, _BY_DIGEST])
def test_what_appears_after_a_moment_is_waited_for(hides: str, place: Place) -> None:
    root = place.layout()
    place.memory.hides, place.memory.hidden_s = hides, 1.0
    status, record = place.run("release", "--from", "layout")
    assert (status, record["image_digest"]) == (0, root["digest"])


def test_a_registry_that_has_everything_by_its_own_word_has_no_release(place: Place) -> None:
    place.layout()
    place.memory.lies = True
    status, said = place.run("release", "--from", "layout")
    assert (status, said["error"]["code"]) == (PushFailure.exit_status, "PUSH_FAILURE")
    assert place.memory.tags == {}


@pytest.mark.parametrize(
    ("config", "status"),
    [
        (b"\xff\xfe", RegistryUnavailable.exit_status),
        (b'{"config": {}, "config": {}}', RegistryUnavailable.exit_status),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, RegistryUnavailable.exit_status),
        (b'{"config": {"Labels": {"x": "\\ud800"}}}', RegistryUnavailable.exit_status),
        (
            json.dumps({"config": {"Labels": {_REVISION: "\x1b[31m\u202e"}}}).encode(),
            PolicyViolation.exit_status,
        ),
    ],
)
def test_an_image_of_nonsense_is_not_adopted(config: bytes, status: int, place: Place) -> None:
    layer = place.memory.keep(b"a layer", _LAYER)
    manifest = {
        "schemaVersion": 2,
        "mediaType": IMAGE_MANIFEST,
        "config": place.memory.keep(config, _CONFIG),
        "layers": [layer],
    }
    root = place.memory.keep(json.dumps(manifest).encode(), IMAGE_MANIFEST)
    place.memory.tags[place.sha] = root["digest"]
    ended, said = place.run("adopt", place.sha)
    assert ended == status
    assert all(text.isprintable() for text in said["error"].values())
    assert place.run("show", place.sha)[0] == MissingTag.exit_status
