"""Where immutag and cosign sign and verify the same image: files, keys, a Sigstore and a repository."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from immutag.core.values import Digest, ImageRef, Repository
from tests.parts.checkouts import Checkout
from tests.parts.images import add_image, finish, tar_of
from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer
from tests.parts.registries import Registry
from tests.parts.sigstore import Sigstore

Settings = Mapping[str, str]
PERSON, NOBODY = "dev@example.com", "nobody@example.com"
_PASSWORD = {"COSIGN_PASSWORD": "of keys that live as long as a test"}
_BINARIES = {"cosign 3": "cosign", "cosign 2": "cosign2"}
_NONE: Mapping[str, str] = {}
_IMMUTAG = str(Path(sys.executable).with_name("immutag"))
_CONFIG = '[image]\nrepository = "{repository}"\n'
_PROVENANCE = {
    "buildDefinition": {"buildType": "https://example.com/build", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://example.com/builder"}},
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A checkout with one commit, and every file that docs/reference/interop.md names in it."""

    folder: Path
    repository: Repository
    sigstore: Sigstore
    crane: Crane

    def immutag(
        self, *arguments: object, settings: Settings = _NONE, env: Mapping[str, str] = _NONE
    ) -> subprocess.CompletedProcess[str]:
        """One command, however it ends; `settings` are keys of immutag.toml, given as variables."""
        variables = {f"IMMUTAG_{key.upper().replace('.', '_')}": value for key, value in settings.items()}
        return self._run([_IMMUTAG, *map(str, arguments)], {**variables, **env})

    def result(self, *arguments: object, settings: Settings = _NONE, env: Mapping[str, str] = _NONE) -> Any:
        """The result of one that must succeed."""
        ended = self.immutag("--json", *arguments, settings=settings, env=env)
        if ended.returncode != 0:
            raise AssertionError(f"status {ended.returncode}: {ended.stdout}{ended.stderr}")
        return json.loads(ended.stdout)

    def release(self, settings: Settings, env: Mapping[str, str] = _NONE) -> ImageRef:
        """Release the layout; nothing is attached to it but what the settings say."""
        settings = {"provenance.enabled": "false", "sbom.enabled": "false", **settings}
        found = self.result("release", "--from", "layout", settings=settings, env=env)
        return ImageRef(self.repository, Digest(found["image_digest"]))

    def verifies(self, image: ImageRef, rule: Settings) -> bool:
        """Whether `immutag verify` accepts it. It does or does not: nothing else is an answer."""
        ended = self.immutag("verify", image, settings={"trust.trusted_root": "trusted_root.json", **rule})
        if ended.returncode not in (0, 31):
            raise AssertionError(ended.stderr)
        return ended.returncode == 0

    def cosign(self, version: str, command: str, image: ImageRef, **words: str) -> bool:
        """Run a command of the page, and whether it succeeded; `words` are put in for others."""
        program, verb, *rest = shlex.split(command)
        assert program == "cosign"
        known = {
            "IMAGE": str(image), "TOKEN": self.sigstore.token(PERSON),
            "SUBJECT": PERSON, "ISSUER": self.sigstore.issuer, **words,
        }  # fmt: skip
        consent = [] if verb.startswith("verify") else ["-y"]
        arguments = [known.get(word, word) for word in rest]
        return self._run([peer(_BINARIES[version]), verb, *consent, *arguments], {}).returncode == 0

    def shell(self, command: str) -> bool:
        """Run a line of shell as it is printed, with cosign 3 as `cosign`."""
        path = f"{Path(peer('cosign')).parent}{os.pathsep}{os.environ['PATH']}"
        return self._run(["sh", "-c", command], {"PATH": path}).returncode == 0

    def image(self) -> ImageRef:
        """An image that nobody has signed."""
        self.crane("push", self.folder / "layout", f"{self.repository}:image")
        return ImageRef(self.repository, Digest(self.crane.digest(f"{self.repository}:image")))

    def _run(self, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.folder, env={**os.environ, **_PASSWORD, **env},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@pytest.fixture(params=["registry_referrers", "registry2"])
def bench(
    request: pytest.FixtureRequest,
    git_repository: Callable[..., Checkout],
    sigstore: Sigstore,
    bench_keys: Path,
    crane: Crane,
) -> Bench:
    """With the referrers API, and without it."""
    part: Registry = request.getfixturevalue(request.param)
    checkout, repository = git_repository(), part.repository()
    folder = checkout.path
    finish(folder / "layout", add_image(folder / "layout", tar_of("content", os.urandom(10))))
    for file in (*bench_keys.iterdir(), sigstore.trusted_root, sigstore.signing_config):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "provenance.json").write_text(json.dumps(_PROVENANCE))
    (folder / "sbom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    checkout.commit("service", {"immutag.toml": _CONFIG.format(repository=repository)})
    return Bench(folder, repository, sigstore, crane)


@pytest.fixture(scope="session")
def bench_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cosign.key and cosign.pub, another pair `other`, and a signing configuration without services."""
    folder = tmp_path_factory.mktemp("keys")
    cosign = Peer(peer("cosign"), _PASSWORD)
    for name in ("cosign", "other"):
        cosign("generate-key-pair", "--output-key-prefix", folder / name)
    cosign("signing-config", "create", "--out", folder / "no_services.json")
    return folder
