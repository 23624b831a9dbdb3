"""The ledger's head in the registry, and what it shows there of a ledger that is not what it was.

Through the real command line, on registries with and without the referrers API; oras says what lies there.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from immutag.core.checkpoint import origin_of, parse_note, parse_tree_head
from immutag.core.facts import Claimed, Fact, Held, Requested, Stream, Tagged, WriteOnce
from immutag.core.merkle import root_of
from immutag.core.provenance import LEDGER_HEAD
from immutag.core.statement import VERIFICATION_SUMMARY, Statement, Subject
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository, RepositoryType
from immutag.ledger.sqlite import SqliteLedger
from immutag.oci.attach import Artifact, Layer, attach
from immutag.oci.http import Http
from immutag.oci.registry import Registry as Client
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import parse_private_key
from immutag.usecases.checkpoints import CHECKPOINT, PAGE_ENTRIES, page_of
from tests.parts.keys import a_key, cosign_pem, new_key, private_pem, public_pem
from tests.parts.peers import Crane, Peer
from tests.parts.registries import Registry
from tests.parts.site import Site

pytestmark = pytest.mark.slow

IMMUTAG = Path(sys.executable).with_name("immutag")
SHA = GitSha("ab" * 20)
PRODUCTION = EnvironmentName("production")
TRUSTED = 'public_keys = ["public.pem"]'


@dataclass(frozen=True, slots=True)
class Service:
    """A configuration with a key, and a ledger; nothing is ever built."""

    folder: Path
    repository: Repository

    @property
    def ledger(self) -> Path:
        return self.folder / ".immutag" / "ledger.db"

    @property
    def stream(self) -> Stream:
        return Stream.environment(self.repository, PRODUCTION)

    def write(self, *reasons: str) -> None:
        """As many entries more."""
        facts = [Held(self.repository, PRODUCTION, reason, None) for reason in reasons]
        self.append(self.stream, facts)

    def append(self, stream: Stream, facts: Sequence[Fact]) -> None:
        with SqliteLedger(self.ledger, actor="tester@here") as ledger:
            for fact in facts:
                ledger.append(stream, fact, after=len(ledger.stream(stream)))

    def release(self) -> None:
        """What a release leaves in the ledger."""
        digest = Digest("sha256:" + "c" * 64)
        self.append(
            Stream.release(self.repository, SHA),
            [
                Requested(SHA, self.repository, RepositoryType.CANONICAL, "main", None),
                Claimed(SHA, self.repository, digest, "application/vnd.oci.image.manifest.v1+json", 7),
                Tagged(SHA, self.repository, digest, False, WriteOnce.CONVENTION),
            ],
        )

    def copy(self) -> Path:
        """A copy of the ledger, as a backup would be."""
        kept = self.folder / "backup.db"
        with closing(sqlite3.connect(self.ledger)) as source, closing(sqlite3.connect(kept)) as target:
            source.backup(target)
        return kept

    def restore(self, kept: Path) -> None:
        for file in self.ledger.parent.glob("ledger.db*"):
            file.unlink()
        shutil.copy(kept, self.ledger)

    def run(
        self, *arguments: object, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [IMMUTAG, *map(str, arguments)], cwd=self.folder, env={**os.environ, **(env or {})},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def json(self, *arguments: object) -> Any:
        finished = self.run("--json", *arguments)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return json.loads(finished.stdout)

    def error(self, *arguments: object) -> Any:
        finished = self.run("--json", *arguments)
        assert "Traceback" not in finished.stderr
        return {"status": finished.returncode, **json.loads(finished.stdout)["error"]}

    @property
    def origin(self) -> str:
        return origin_of(self.repository)


Make = Callable[..., Service]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a service in a registry; `trust` is more of its configuration."""

    def make_it(registry: Registry, key: str = "P-256", trust: str = TRUSTED) -> Service:
        made = Service(tmp_path, registry.repository())
        (tmp_path / "private.pem").write_bytes(private_pem(a_key(key)))
        (tmp_path / "public.pem").write_bytes(public_pem(a_key(key)))
        (tmp_path / "immutag.toml").write_text(
            f'[image]\nrepository = "{made.repository}"\n[trust]\nkey = "private.pem"\n'
            f"{trust}\n"
            '[environments.production]\ntarget = "podman"\n'
        )
        return made

    return make_it


@pytest.fixture(params=["registry2", "registry_referrers"])
def registry(request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(request.param)
    return found


def test_the_head_is_left_where_it_is_found_without_a_ledger(
    make: Make, registry: Registry, oras: Peer, crane: Crane
) -> None:
    service = make(registry)
    service.write("a", "b", "c")
    anchored = service.json("ledger", "anchor")
    head = parse_tree_head(parse_note(anchored["checkpoint"].encode()).text)
    with SqliteLedger(service.ledger, actor="x") as ledger:
        assert (head.origin, head.size, head.root) == (service.origin, 3, root_of(ledger.leaves(3)))
    page, _ = page_of(service.origin, 3)
    found = json.loads(
        oras("discover", "--plain-http", "--format", "json", f"{service.repository}@{page.digest}")
    )
    [referrer] = found.get("referrers") or found["manifests"]
    assert (referrer["artifactType"], referrer["digest"]) == (CHECKPOINT, anchored["manifest"])
    tags = crane.tags(service.repository)
    assert tags in (
        [],
        [f"sha256-{page.digest.hex}"],
    )  # no tag of ours: the standard's, where there is no API


def test_anchoring_twice_changes_nothing_and_what_came_since_is_anchored_anew(
    make: Make, registry: Registry
) -> None:
    service = make(registry)
    service.write("a", "b")
    first = service.json("ledger", "anchor")
    before = service.ledger.read_bytes(), len(registry.requests())
    assert service.json("ledger", "anchor") == first
    assert (service.ledger.read_bytes(), len(registry.requests())) == before
    service.write("c")
    assert service.json("ledger", "anchor")["size"] == 4
    verified = service.json("ledger", "verify", "--against", "repository")
    assert [each["size"] for each in verified["against"]] == [4, 2]
    assert all("signed by key sha256:" in each["source"] for each in verified["against"])


def test_a_cut_tail_shows_against_the_registry(make: Make, registry: Registry) -> None:
    service = make(registry)
    service.write("a", "b")
    service.json("ledger", "anchor")
    service.write("c", "d")
    service.json("ledger", "anchor")
    with closing(sqlite3.connect(service.ledger)) as ledger:
        ledger.executescript("DROP TRIGGER entries_stay; DELETE FROM entries WHERE sequence > 3;")
        ledger.execute(
            """CREATE TRIGGER entries_stay BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'an entry is never removed'); END"""
        )
        ledger.commit()
    assert service.json("ledger", "verify")["size"] == 3  # the chain alone cannot tell
    error = service.error("ledger", "verify", "--against", "repository")
    assert (error["status"], error["code"]) == (21, "LEDGER_CORRUPT")
    assert "the ledger ends with entry 3; it agrees up to entry 2" in error["found"]
    assert "5 entries, as the checkpoint" in error["expected"]


def test_a_restored_backup_shows_even_after_it_was_written_on(make: Make, registry: Registry) -> None:
    service = make(registry)
    service.write("a", "b")
    service.json("ledger", "anchor")
    kept = service.copy()
    service.write("c", "d")
    service.json("ledger", "anchor")
    service.restore(kept)
    error = service.error("ledger", "verify", "--against", "repository")
    assert error["status"] == 21
    assert "an old copy was put back" in error["next"]
    service.write("another", "history", "of", "it")
    assert service.json("ledger", "verify")["size"] == 7
    error = service.error("ledger", "verify", "--against", "repository")
    assert error["status"] == 21
    assert "another history" in error["found"]
    assert "they agree up to entry 2" in error["found"]


def test_a_fork_is_never_signed(make: Make, registry: Registry, oras: Peer) -> None:
    service = make(registry)
    service.write("a")
    kept = service.copy()
    service.write("b")
    service.json("ledger", "anchor")
    service.restore(kept)
    service.write("another b", "c", "d")
    facts = service.json("ledger", "head")["size"]
    error = service.error("ledger", "anchor")
    assert (error["status"], service.json("ledger", "head")["size"]) == (21, facts)
    assert "another history" in error["found"]


def test_an_old_copy_is_seen_from_many_entries_behind(make: Make, registry_referrers: Registry) -> None:
    service = make(registry_referrers)
    service.write("a")
    kept = service.copy()
    service.write(*map(str, range(2 * PAGE_ENTRIES)))
    service.json("ledger", "anchor")
    service.restore(kept)
    error = service.error("ledger", "verify", "--against", "repository")
    assert (error["status"], "ends with entry 1" in error["found"]) == (21, True)


def test_an_anchor_from_long_ago_is_found_too(make: Make, registry_referrers: Registry) -> None:
    service = make(registry_referrers)
    service.write("a")
    service.json("ledger", "anchor")
    service.write(*map(str, range(2 * PAGE_ENTRIES)))
    verified = service.json("ledger", "verify", "--against", "repository")
    assert [each["size"] for each in verified["against"]] == [1]


@pytest.mark.parametrize("key", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_any_key_that_signs_images_signs_checkpoints(
    make: Make, registry_referrers: Registry, key: str
) -> None:
    service = make(registry_referrers, key)
    service.write("a")
    service.json("ledger", "anchor")
    assert len(service.json("ledger", "verify", "--against", "repository")["against"]) == 1


def test_with_no_public_key_named_our_own_counts(make: Make, registry_referrers: Registry) -> None:
    service = make(registry_referrers, trust="legacy = false")
    service.write("a")
    service.json("ledger", "anchor")
    assert len(service.json("ledger", "verify", "--against", "repository")["against"]) == 1


def test_what_nobody_trusted_signed_is_no_evidence(make: Make, registry_referrers: Registry) -> None:
    service = make(registry_referrers)
    service.write("a")
    error = service.error("ledger", "verify", "--against", "repository")
    assert (error["status"], error["found"]) == (22, "none")
    service.json("ledger", "anchor")
    (service.folder / "public.pem").write_bytes(public_pem(new_key("P-256")))
    error = service.error("ledger", "verify", "--against", "repository")
    assert (error["status"], error["found"]) == (22, "1 by somebody else")


def test_a_registry_that_does_not_answer_is_not_one_without_checkpoints(
    make: Make, registry2: Registry
) -> None:
    service = make(registry2)
    service.write("a")
    config = service.folder / "immutag.toml"
    config.write_text(config.read_text().replace(registry2.host, "127.0.0.1:9"))
    assert service.error("ledger", "verify", "--against", "repository")["code"] == "REGISTRY_UNAVAILABLE"
    assert service.error("ledger", "anchor")["code"] in ("REGISTRY_UNAVAILABLE", "PUSH_FAILURE")


def test_without_a_key_there_is_nothing_to_sign_with(make: Make, registry2: Registry) -> None:
    service = make(registry2)
    config = service.folder / "immutag.toml"
    config.write_text(config.read_text().replace('key = "private.pem"', ""))
    service.write("a")
    error = service.error("ledger", "anchor")
    assert (error["status"], error["found"]) == (22, "neither")


def test_an_empty_ledger_has_no_checkpoint(make: Make, registry2: Registry) -> None:
    assert "empty" in make(registry2).error("ledger", "anchor")["message"]


def test_cosigns_own_key_file_signs_checkpoints_and_its_password_stays_secret(
    make: Make, registry_referrers: Registry
) -> None:
    service = make(registry_referrers)
    (service.folder / "private.pem").write_bytes(cosign_pem(a_key("P-256"), b"swordfish"))
    service.write("a")
    finished = service.run("ledger", "anchor", "-v", env={"COSIGN_PASSWORD": "swordfish"})
    assert finished.returncode == 0, finished.stderr
    assert "swordfish" not in finished.stdout + finished.stderr


def test_a_kept_checkpoint_file_is_held_against_the_ledger(make: Make, registry_referrers: Registry) -> None:
    service = make(registry_referrers)
    service.write("a", "b")
    note: str = service.json("ledger", "anchor")["checkpoint"]
    (service.folder / "kept.txt").write_text(note)
    service.write("c")
    assert service.json("ledger", "verify", "--against", "kept.txt")["against"][0]["size"] == 2
    (service.folder / "kept.txt").write_text(note.replace("\n2\n", "\n1\n"))
    error = service.error("ledger", "verify", "--against", "kept.txt")
    assert (error["code"], error["message"]) == (
        "LEDGER_CORRUPT",
        "the checkpoint is not what was signed",
    )
    (service.folder / "public.pem").write_bytes(public_pem(new_key("P-256")))
    assert service.error("ledger", "verify", "--against", "kept.txt")["code"] == "CONFIG_INVALID"


def test_what_is_attached_to_an_image_holds_heads(make: Make, registry: Registry) -> None:
    """A summary's bundle and a checkpoint, both referrers; what others attached there is no evidence."""
    service = make(registry)
    service.write("a", "b")
    kept = service.copy()
    anchored = service.json("ledger", "anchor")
    image, _ = page_of(service.origin, 2)
    client = Client(service.repository, http=Http(environ={}))
    head = {"size": 3, "hash": service.json("ledger", "head")["hash"]}
    for predicate, key in (
        ({LEDGER_HEAD: head}, a_key("P-256")),
        ({LEDGER_HEAD: {**head, "size": 99}}, new_key("P-256")),
    ):
        statement = Statement((Subject("", image.digest, {}),), VERIFICATION_SUMMARY, predicate)
        signer = KeySigner(parse_private_key(private_pem(key), password=lambda: b""))
        bundle = Layer(BUNDLE_V03, signer.bundle(statement.encode()), {})
        attach(client, image, Artifact(BUNDLE_V03, (bundle,), {}))
    where = f"oci:{service.repository}@{image.digest}"
    verified = service.json("ledger", "verify", "--against", where)
    assert sorted(each["size"] for each in verified["against"]) == [anchored["size"], 3]
    service.restore(kept)
    error = service.error("ledger", "verify", "--against", where)
    assert (error["status"], "3 entries" in error["expected"]) == (21, True)
    nothing = f"oci:{service.repository}@sha256:{'0' * 64}"
    assert service.error("ledger", "verify", "--against", nothing)["code"] == "CONFIG_INVALID"


def test_a_real_release_is_anchored_and_proved(site: Site) -> None:
    """With sources, a build and a deployment: nothing above knows more of a ledger than this one holds."""
    (site.folder / "immutag.toml").write_text(
        (site.folder / "immutag.toml").read_text()
        + '\n[trust]\nkey = "../key.pem"\npublic_keys = ["../pub.pem"]\n'
    )
    (site.folder.parent / "key.pem").write_bytes(private_pem(a_key("P-256")))
    (site.folder.parent / "pub.pem").write_bytes(public_pem(a_key("P-256")))
    site.commit("sign")
    assert site.run("release").returncode == 0
    site.json("ledger", "anchor")
    site.json("deploy", "--sha", site.sha, "--environment", "staging")
    site.json("ledger", "anchor")
    assert site.json("ledger", "verify", "--against", "repository")["against"]
    (site.folder.parent / "proof.json").write_text(site.run("ledger", "prove", site.sha).stdout)
    found = site.json("ledger", "check-proof", "../proof.json", "--key", "../pub.pem")
    assert [entry["type"] for entry in found["entries"]] == site.facts("release:")
    with closing(sqlite3.connect(site.ledger)) as ledger:
        ledger.executescript(
            "DROP TRIGGER entries_stay; DELETE FROM entries WHERE stream LIKE 'environment:%'"
        )
    assert site.error("ledger", "verify", "--against", "repository")["status"] == 21


def test_a_proof_needs_a_public_key_and_nothing_else(
    make: Make, registry_referrers: Registry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    service = make(registry_referrers)
    service.write("a")
    service.release()
    service.write("b")
    service.json("ledger", "anchor")
    service.write("after the checkpoint")
    elsewhere = Service(tmp_path_factory.mktemp("elsewhere"), service.repository)
    proof = service.run("ledger", "prove", str(SHA)[:12]).stdout
    (elsewhere.folder / "proof.json").write_text(proof)
    shutil.copy(service.folder / "public.pem", elsewhere.folder)
    found = elsewhere.json("ledger", "check-proof", "proof.json", "--key", "public.pem")
    assert (found["size"], found["stream"]) == (5, f"release:{service.repository}:{SHA}")
    assert [entry["type"] for entry in found["entries"]] == ["requested", "claimed", "tagged"]
    assert [entry["sequence"] for entry in found["entries"]] == [2, 3, 4]
    shown = elsewhere.run("ledger", "check-proof", "proof.json", "--key", "public.pem").stdout
    assert "5 entries signed by key sha256:" in shown

    (elsewhere.folder / "other.pem").write_bytes(public_pem(new_key("P-256")))
    assert elsewhere.error("ledger", "check-proof", "proof.json", "--key", "other.pem")["status"] == 22
    (elsewhere.folder / "proof.json").write_text(proof.replace("tester@here", "another@her"))
    error = elsewhere.error("ledger", "check-proof", "proof.json", "--key", "public.pem")
    assert (error["code"], error["message"]) == ("LEDGER_CORRUPT", "the proof does not hold")


def test_a_release_that_is_newer_than_every_checkpoint_is_proved_under_a_new_one(
    make: Make, registry_referrers: Registry
) -> None:
    service = make(registry_referrers)
    service.write("a")
    service.json("ledger", "anchor")
    service.release()
    proof = service.json("ledger", "prove", SHA)
    assert parse_tree_head(parse_note(proof["checkpoint"].encode()).text).size == 5
    assert service.json("ledger", "head")["size"] == 5  # nothing was written


def test_consistency_between_two_checkpoints_is_proved_with_a_public_key_alone(
    make: Make, registry_referrers: Registry
) -> None:
    service = make(registry_referrers)
    service.write("a", "b", "c")
    old: str = service.json("ledger", "anchor")["checkpoint"]
    (service.folder / "old.txt").write_text(old)
    kept = service.copy()
    service.write("d")
    proof = service.run("ledger", "prove", "--consistency", "old.txt").stdout
    (service.folder / "proof.json").write_text(proof)
    found = service.json("ledger", "check-proof", "proof.json", "--key", "public.pem")
    assert (found["begins_with"], found["size"]) == (3, 3)  # the newest that was left outside
    service.json("ledger", "anchor")
    (service.folder / "proof.json").write_text(
        service.run("ledger", "prove", "--consistency", "old.txt").stdout
    )
    found = service.json("ledger", "check-proof", "proof.json", "--key", "public.pem")
    assert (found["begins_with"], found["size"]) == (3, 5)

    (service.folder / "new.txt").write_text(service.json("ledger", "anchor")["checkpoint"])
    service.restore(kept)
    assert service.error("ledger", "prove", "--consistency", "new.txt")["code"] == "LEDGER_CORRUPT"


@pytest.mark.parametrize("arguments", [[], [str(SHA), "--consistency", "x"]])
def test_a_proof_is_of_one_thing(make: Make, registry2: Registry, arguments: list[str]) -> None:
    assert make(registry2).run("ledger", "prove", *arguments).returncode == 2


def test_what_the_ledger_does_not_know_is_not_proved(make: Make, registry2: Registry) -> None:
    service = make(registry2)
    service.write("a")
    assert service.error("ledger", "prove", SHA)["code"] == "MISSING_TAG"
