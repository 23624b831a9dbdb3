"""A small real service as an image: examples/hello, put together by crane, so that no builder is needed."""

import io
import json
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from immutag.core.values import Digest, GitSha, ImageRef, Repository
from tests.parts.images import INDEX, MANIFEST, described
from tests.parts.peers import Crane
from tests.parts.programs import program

HELLO = Path(__file__).parents[2] / "examples" / "hello"
BOUNDED = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""What a container needs to start where the tests themselves run in one."""


def answer(port: int) -> str | None:
    """The SHA with which the service on this loopback port answers; None if nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as said:
            return str(said.read().decode().split()[-1])
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


@dataclass(frozen=True, slots=True)
class Service:
    """Publishes releases of the service."""

    crane: Crane
    layer: Path

    def publish(
        self,
        repository: Repository,
        sha: GitSha,
        *,
        entrypoint: Sequence[str] = ("/bin/busybox", "sh", "/serve"),
    ) -> ImageRef:
        """An image that answers with this SHA; with another entry point, one that does something else."""
        tag = f"{repository}:{sha}"
        self.crane("append", "--oci-empty-base", "-f", self.layer, "-t", tag)
        self.crane(
            "mutate", tag, "--set-platform", "linux/amd64", "--env", f"IMAGE_SHA={sha}",
            "--entrypoint", ",".join(entrypoint), "-t", tag,
        )  # fmt: skip
        return ImageRef(repository, Digest(self.crane.digest(tag)))

    def publish_index(self, image: ImageRef) -> ImageRef:
        """An index with this one image in it, as builders write it."""
        manifest = self.crane.raw("manifest", image)
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                described(manifest, MANIFEST) | {"platform": {"architecture": "amd64", "os": "linux"}}
            ],
        }
        content = json.dumps(index).encode()
        fields = described(content, INDEX)
        url = f"http://{image.repository.host}/v2/{image.repository.path}/manifests/{fields['digest']}"
        put = urllib.request.Request(url, content, {"Content-Type": INDEX}, method="PUT")
        with urllib.request.urlopen(put, timeout=10):
            return ImageRef(image.repository, Digest(fields["digest"]))


@pytest.fixture(scope="session")
def service(crane: Crane) -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="immutag-service-") as folder:
        layer = Path(folder, "layer.tar")
        with tarfile.open(layer, "w") as archive:
            _add(archive, "bin/busybox", Path(program("busybox")).read_bytes(), 0o755)
            _add(archive, "serve", (HELLO / "serve").read_bytes(), 0o644)
        yield Service(crane, layer)


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(content), mode
    archive.addfile(about, io.BytesIO(content))
