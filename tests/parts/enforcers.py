"""Admission controllers without a cluster: their command lines, asked about one image by a rendered rule."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immutag.core.values import ImageRef
from tests.parts.peers import Peer
from tests.parts.programs import peer
from tests.parts.tuf_repository import TufRepository

Documents = Sequence[dict[str, Any]]
_COUNTS = {
    "pass: 1, fail: 0, warn: 0, error: 0, skip: 0": True,
    "pass: 0, fail: 1, warn: 0, error: 0, skip: 0": False,
}


@dataclass(frozen=True, slots=True)
class Enforcers:
    """Both, on a machine whose TUF repository is `tuf`: what lies there is the public Sigstore to them.

    Ask Kyverno first: policy-controller's tester cannot be told of a repository, and starts from what Kyverno
    has left in `TUF_ROOT`.
    """

    folder: Path
    tuf: TufRepository

    def kyverno(self, rendered: Documents, image: ImageRef) -> bool:
        """Whether it lets a pod with the image run. The rule is as rendered, and the TUF repository added."""
        (policy,) = rendered
        root = base64.b64encode(self.tuf.root.read_bytes()).decode()
        for each in policy["spec"]["attestors"]:
            each["cosign"]["tuf"] = {"mirror": self.tuf.url, "root": {"data": root}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "one", "namespace": "default"},
            "spec": {"containers": [{"name": "one", "image": str(image)}]},
        }
        ended = self._program("kyverno").run("apply", self._file(policy), "--resource", self._file(pod))
        return _COUNTS[ended.stdout.decode().splitlines()[-1].strip()]

    def policy_controller(self, rendered: Documents, image: ImageRef) -> bool:
        """Whether it accepts the image."""
        flags = {"TrustRoot": "--trustroot", "ClusterImagePolicy": "--policy"}
        files = [word for each in rendered for word in (flags[each["kind"]], self._file(each))]
        ended = self._program("policy-tester").run(*files, "--image", image, "--log-level", "error")
        assert (ended.returncode != 0) is (b'"errors"' in ended.stdout), ended.stderr
        return ended.returncode == 0

    def _program(self, name: str) -> Peer:
        return Peer(peer(name), {"TUF_ROOT": str(self.folder / "tuf"), "HOME": str(self.folder)})

    def _file(self, document: dict[str, Any]) -> Path:
        path = self.folder / f"{document['kind']}.yaml"  # JSON is YAML, and Kyverno reads nothing else
        path.write_text(json.dumps(document))
        return path
