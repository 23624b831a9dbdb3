"""Between immutag and cosign, both ways and both versions: what docs/reference/interop.md says, row by row.

The page is the table of these tests: its commands are run as they stand there, and each of its cells is held
against what happens. Every reader is also asked with another key or for another identity, and must refuse.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from immutag.core.values import Digest, ImageRef, Repository
from tests.parts.checkouts import Checkout
from tests.parts.images import add_image, finish, tar_of
from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer
from tests.parts.registries import Registry
from tests.parts.sigstore import Sigstore

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/reference/interop.md"
PERSON, NOBODY = "dev@example.com", "nobody@example.com"
PASSWORD = {"COSIGN_PASSWORD": "of keys that live as long as a test"}
CONFIG = """\
[image]
repository = "{repository}"
[ledger]
accept_unshared = true
"""
PROVENANCE = {
    "buildDefinition": {"buildType": "https://example.com/build", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://example.com/builder"}},
}
_IMMUTAG = str(Path(sys.executable).with_name("immutag"))


def table(heading: str) -> list[list[str]]:
    """The rows of the page's table under this heading, without its head."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


OURS, THEIRS = table("What immutag writes"), table("What cosign writes")
READERS = ("cosign 3", "cosign 2", "immutag")
READING = {read: command.strip("`") for read, command in table("The commands that read")}


@dataclass(frozen=True, slots=True)
class Bench:
    """A checkout with all the files that the page names, and a repository of its own."""

    folder: Path
    repository: Repository
    sigstore: Sigstore
    crane: Crane

    def reads(self, reader: str, read: str, image: ImageRef) -> str:
        """The page's word for whether it accepts the image."""

        def accepts(*, wrongly: bool) -> bool:
            if reader == "immutag":
                return self.verifies(image, read, wrongly=wrongly)
            return self.cosign(reader, READING[read], image, wrongly=wrongly)

        assert not accepts(wrongly=True)
        return "yes" if accepts(wrongly=False) else "no"

    def immutag(self, *arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
        """One command; `settings` are keys of immutag.toml as variables."""
        env = {f"IMMUTAG_{name.upper()}": str(value) for name, value in settings.items()}
        return subprocess.run(
            [_IMMUTAG, *map(str, arguments)], cwd=self.folder,
            env={**os.environ, **PASSWORD, "SIGSTORE_ID_TOKEN": self.sigstore.token(PERSON), **env},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def verifies(self, image: ImageRef, read: str, *, wrongly: bool) -> bool:
        """Whether `immutag verify` accepts it. It either verifies or finds: nothing else is an answer."""
        subject = NOBODY if wrongly else PERSON
        rule: dict[str, object] = {"trust_public_keys": "other.pub" if wrongly else "cosign.pub"}
        if read.endswith("by identity"):
            issuer = self.sigstore.issuer
            rule = {"trust_identities": f'[{{ issuer = "{issuer}", subject = "{subject}" }}]'}
        ended = self.immutag("verify", image, trust_trusted_root="trusted_root.json", **rule)
        assert ended.returncode in (0, 31), ended.stderr
        return ended.returncode == 0

    def cosign(self, version: str, command: str, image: ImageRef, *, wrongly: bool = False) -> bool:
        """Run a command of the page."""
        words = {
            "IMAGE": str(image),
            "TOKEN": self.sigstore.token(PERSON),
            "SUBJECT": NOBODY if wrongly else PERSON,
            "ISSUER": self.sigstore.issuer,
        }
        if wrongly:
            words["cosign.pub"] = "other.pub"
        program, verb, *rest = shlex.split(command)
        assert program == "cosign"
        consent = [] if verb.startswith("verify") else ["-y"]
        binary = peer({"cosign 3": "cosign", "cosign 2": "cosign2"}[version])
        ended = subprocess.run(
            [binary, verb, *consent, *(words.get(word, word) for word in rest)], cwd=self.folder,
            env={**os.environ, **PASSWORD}, capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        return ended.returncode == 0

    def image(self) -> ImageRef:
        """An image that nobody has signed."""
        self.crane("push", self.folder / "layout", f"{self.repository}:image")
        return ImageRef(self.repository, Digest(self.crane.digest(f"{self.repository}:image")))


@pytest.fixture(params=["registry_referrers", "registry2"])
def bench(
    request: pytest.FixtureRequest,
    git_repository: Callable[..., Checkout],
    sigstore: Sigstore,
    keys: Path,
    crane: Crane,
) -> Bench:
    part: Registry = request.getfixturevalue(request.param)
    checkout, repository = git_repository(), part.repository()
    folder = checkout.path
    finish(folder / "layout", add_image(folder / "layout", tar_of("content", os.urandom(10))))
    for file in (*keys.iterdir(), sigstore.trusted_root, sigstore.signing_config):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    (folder / "sbom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    checkout.commit("service", {"immutag.toml": CONFIG.format(repository=repository)})
    return Bench(folder, repository, sigstore, crane)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cosign.key and cosign.pub, the public key of another, and a signing configuration without services."""
    folder = tmp_path_factory.mktemp("keys")
    cosign = Peer(peer("cosign"), PASSWORD)
    for name in ("cosign", "other"):
        cosign("generate-key-pair", "--output-key-prefix", folder / name)
    (folder / "other.key").unlink()
    cosign("signing-config", "create", "--out", folder / "no_services.json")
    return folder


@pytest.mark.parametrize("row", OURS, ids=lambda row: row[0])
def test_others_accept_what_immutag_writes(bench: Bench, row: list[str]) -> None:
    settings, _, read, *expected = row
    image = release(bench, settings)
    found = [bench.reads(reader, read, image) for reader in READERS]
    assert found == [*expected, "yes"]


def release(bench: Bench, settings: str) -> ImageRef:
    """Release the layout with these keys set, the others that write something unset."""
    found = {"provenance_enabled": "false", "sbom_enabled": "false", **values(bench, settings)}
    ended = bench.immutag("--json", "release", "--from", "layout", **found)
    assert ended.returncode == 0, ended.stderr
    return ImageRef(bench.repository, Digest(json.loads(ended.stdout)["image_digest"]))


def values(bench: Bench, settings: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for key, _, value in (each.strip(" `").partition(" = ") for each in settings.split(",")):
        found[key.replace(".", "_")] = value or ("cosign.key" if key == "trust.key" else "true")
    if "trust_keyless" in found:
        found |= {"trust_signing_config": "signing_config.json", "trust_trusted_root": "trusted_root.json"}
    return found


@pytest.mark.parametrize("row", THEIRS, ids=lambda row: f"{row[0]}: {row[1]}"[:150])
def test_immutag_accepts_what_others_write(bench: Bench, row: list[str]) -> None:
    version, command, read, *expected = row
    image = bench.image()
    if not bench.cosign(version, command.strip("`"), image):
        assert expected == ["cannot", "be", "written"]
        return
    assert [bench.reads(reader, read, image) for reader in READERS] == expected
