"""The ledger's head in a real Rekor: what is kept of it, what others make of that, and what it shows.

Through the real command line, against a private Sigstore; cosign says whether the bundle holds.
"""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from immutag.core.checkpoint import parse_note
from immutag.core.facts import Anchored
from immutag.ledger.sqlite import SqliteLedger
from immutag.oci.attach import Artifact, Layer, attach
from immutag.oci.http import Http
from immutag.oci.registry import Registry as Client
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.usecases.checkpoints import CHECKPOINT, ORIGIN, SIZE, page_of
from tests.parts.keys import a_key, new_key, private_pem, public_pem
from tests.parts.peers import Peer
from tests.parts.processes import free_port
from tests.parts.programs import peer
from tests.parts.registries import Registry
from tests.parts.sigstore import Sigstore
from tests.parts.site import Site
from tests.real.test_anchor import Service

pytestmark = pytest.mark.slow

Make = Callable[..., Service]
Document = dict[str, Any]
PERSON = "dev@example.com"


@pytest.fixture
def make(tmp_path: Path, sigstore: Sigstore) -> Make:
    """Makes a service whose head is left in Rekor too; `signs` is who signs."""

    def make_it(registry: Registry, key: str = "P-256", signs: str = 'key = "private.pem"') -> Service:
        made = Service(tmp_path, registry.repository())
        (tmp_path / "private.pem").write_bytes(private_pem(a_key(key)))
        (tmp_path / "public.pem").write_bytes(public_pem(a_key(key)))
        (tmp_path / "signing_config.json").write_bytes(sigstore.signing_config.read_bytes())
        (tmp_path / "trusted_root.json").write_bytes(sigstore.trusted_root.read_bytes())
        (tmp_path / "immutag.toml").write_text(
            f'[image]\nrepository = "{made.repository}"\n[trust]\n{signs}\npublic_keys = ["public.pem"]\n'
            'trusted_root = "trusted_root.json"\nsigning_config = "signing_config.json"\n'
            '[ledger]\nanchor_in_rekor = true\n[environments.production]\ntarget = "podman"\n'
        )
        return made

    return make_it


@pytest.fixture(params=["registry2", "registry_referrers"])
def registry(request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(request.param)
    return found


def in_config(service: Service, old: str, new: str) -> None:
    config = service.folder / "immutag.toml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def bundle_of(service: Service, anchored: Document, oras: Peer) -> Path:
    """The bundle out of the registry, and the text that it is over beside it."""
    kept = service.folder / "head.sigstore.json"
    oras("blob", "fetch", "--plain-http", "-o", str(kept), f"{service.repository}@{anchored['bundle']}")
    note: str = anchored["checkpoint"]
    text = note.partition("\n\n")[0]
    (service.folder / "head.txt").write_text(text if text.endswith("\n") else f"{text}\n")
    return kept


def cosign_accepts(service: Service, *who: str, bundle: str = "head.sigstore.json") -> bool:
    finished = subprocess.run(
        [
            peer("cosign"), "verify-blob", *(who or ("--key", "public.pem")), "--bundle", bundle,
            "--trusted-root", "trusted_root.json", "head.txt",
        ],
        cwd=service.folder, capture_output=True, check=False,
    )  # fmt: skip
    return finished.returncode == 0


def facts(service: Service) -> list[Anchored]:
    with SqliteLedger(service.ledger, actor="x") as ledger:
        return [each.fact for each in ledger.entries() if isinstance(each.fact, Anchored)]


def left(service: Service, anchored: Document, oras: Peer) -> list[str]:
    """The checkpoints on the page, as oras sees them."""
    page, _ = page_of(service.origin, anchored["size"])
    found = json.loads(
        oras("discover", "--plain-http", "--format", "json", f"{service.repository}@{page.digest}")
    )
    return [each["digest"] for each in found.get("referrers") or found["manifests"]]


def test_the_log_holds_the_notes_own_signature_and_cosign_verifies_it(
    make: Make, registry: Registry, oras: Peer
) -> None:
    service = make(registry)
    service.write("a", "b")
    anchored = service.json("ledger", "anchor")
    bundle = json.loads(bundle_of(service, anchored, oras).read_bytes())
    [signature] = parse_note(anchored["checkpoint"].encode()).signatures
    assert base64.b64decode(bundle["messageSignature"]["signature"]) == signature.value
    assert cosign_accepts(service)
    (service.folder / "head.txt").write_text("other text\n")
    assert not cosign_accepts(service)
    assert [str(each.bundle) for each in facts(service)] == [anchored["bundle"]]
    [against] = service.json("ledger", "verify", "--against", "repository")["against"]
    assert against["source"].endswith(", in a transparency log")


def test_anchoring_twice_makes_one_entry(make: Make, registry2: Registry, oras: Peer) -> None:
    service = make(registry2)
    service.write("a")
    first = service.json("ledger", "anchor")
    assert service.json("ledger", "anchor") == first
    service.write("b")
    second = service.json("ledger", "anchor")
    assert second["bundle"] != first["bundle"]
    assert len(left(service, second, oras)) == 2


@pytest.mark.parametrize("key", ["P-384", "P-521", "RSA-2048", "RSA-3072"])
def test_other_keys_that_the_log_takes(
    make: Make, registry_referrers: Registry, oras: Peer, key: str
) -> None:
    service = make(registry_referrers, key)
    service.write("a")
    bundle = bundle_of(service, service.json("ledger", "anchor"), oras)
    [against] = service.json("ledger", "verify", "--against", bundle.name)["against"]
    assert (against["size"], "in a transparency log" in against["source"]) == (1, True)
    assert cosign_accepts(service) == key.startswith("RSA")  # of cosign's ECDSA keys, P-256 only


@pytest.mark.parametrize(("key", "found"), [("Ed25519", "Ed25519ph"), ("RSA-2560", "RSA of 2560 bits")])
def test_a_key_that_the_log_does_not_take_is_refused_before_anything_is_written(
    make: Make, registry2: Registry, key: str, found: str
) -> None:
    service = make(registry2, key)
    service.write("a")
    before = len(registry2.requests())
    error = service.error("ledger", "anchor")
    assert (error["code"], found in error["found"]) == ("CONFIG_INVALID", True)
    assert (len(registry2.requests()), facts(service)) == (before, [])


def test_a_log_of_the_first_generation_is_refused(make: Make, registry2: Registry) -> None:
    service = make(registry2)
    service.write("a")
    config = service.folder / "signing_config.json"
    document = json.loads(config.read_text())
    document["rekorTlogUrls"][0]["majorApiVersion"] = 1
    config.write_text(json.dumps(document))
    error = service.error("ledger", "anchor")
    assert (error["code"], "API version 2" in error["expected"]) == ("CONFIG_INVALID", True)


def test_turned_on_later_the_next_run_logs(make: Make, registry2: Registry) -> None:
    service = make(registry2)
    in_config(service, "anchor_in_rekor = true", "")
    service.write("a")
    assert service.json("ledger", "anchor")["bundle"] is None
    in_config(service, "[ledger]", "[ledger]\nanchor_in_rekor = true")
    logged = service.json("ledger", "anchor")
    assert (logged["size"], logged["bundle"] is not None) == (2, True)
    sources = [
        each["source"] for each in service.json("ledger", "verify", "--against", "repository")["against"]
    ]
    assert sorted("log" in each for each in sources) == [False, True]


def test_without_the_log_nothing_is_left_and_the_next_run_does_all_of_it(
    make: Make, registry2: Registry, sigstore: Sigstore
) -> None:
    service = make(registry2)
    service.write("a")
    config = service.folder / "signing_config.json"
    config.write_text(config.read_text().replace(sigstore.rekor, f"http://127.0.0.1:{free_port()}"))
    error = service.error("ledger", "anchor")
    assert (error["code"], "immutag ledger anchor" in error["next"]) == ("SOFT_VERIFY_TOOL_ERROR", True)
    assert facts(service) == []
    written = [each for each in registry2.requests(service.repository.path) if each.method in ("PUT", "POST")]
    assert written == []
    config.write_bytes(sigstore.signing_config.read_bytes())
    assert service.json("ledger", "anchor")["size"] == 1


def test_an_answer_that_the_trusted_root_does_not_vouch_for_is_none(make: Make, registry2: Registry) -> None:
    service = make(registry2)
    service.write("a")
    forge_root(service)
    error = service.error("ledger", "anchor")
    assert (error["code"], "does not prove" in error["message"]) == ("SOFT_VERIFY_TOOL_ERROR", True)
    assert facts(service) == []


WHEN: list[Literal["before", "after"]] = ["before", "after"]


def run_killed(service: Service, module: str, when: str, act: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", f"tests.parts.{module}", when, act, "ledger", "anchor"],
        cwd=service.folder, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, check=False, timeout=60,
    ).returncode  # fmt: skip


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(
    ("module", "act"), [("killed_anchor", "log"), ("killed_anchor", "attach"), ("killed", "anchored")]
)
def test_a_run_that_is_killed_is_completed_by_the_next(
    module: str, act: str, when: str, make: Make, registry2: Registry, oras: Peer
) -> None:
    """Our keys make the same signature again (RFC 6979), which the log proves to nobody a second time."""
    service = make(registry2)
    service.write("a")
    assert run_killed(service, module, when, act) == -signal.SIGKILL
    again = (act, when) in {("log", "after"), ("attach", "before")}
    anchored = service.json("ledger", "anchor")
    assert [each.bundle is not None for each in facts(service)] == ([False, True] if again else [True])
    bundle_of(service, anchored, oras)
    assert cosign_accepts(service)
    assert left(service, anchored, oras).count(anchored["manifest"]) == 1
    assert len(left(service, anchored, oras)) == (2 if again else 1)
    assert service.json("ledger", "anchor") == anchored


# --- what the bundle shows


def test_a_restored_backup_a_cut_tail_and_a_fork_show_by_the_bundle(
    make: Make, registry2: Registry, oras: Peer
) -> None:
    service = make(registry2)
    service.write("a", "b")
    kept = service.copy()
    service.write("c")
    bundle = bundle_of(service, service.json("ledger", "anchor"), oras)
    verified = service.json("ledger", "verify", "--against", bundle.name)["against"]
    assert [each["size"] for each in verified] == [3]

    service.restore(kept)  # its end is gone: the text is found in the registry
    error = service.error("ledger", "verify", "--against", bundle.name)
    assert (error["status"], error["code"]) == (21, "LEDGER_CORRUPT")
    assert "the ledger ends with entry 2" in error["found"]
    service.write("another c", "and more")
    error = service.error("ledger", "verify", "--against", bundle.name)
    assert (error["status"], "another history" in error["found"]) == (21, True)
    assert service.error("ledger", "anchor")["code"] == "LEDGER_CORRUPT"


def test_with_the_text_kept_beside_the_bundle_needs_no_registry(
    make: Make, registry2: Registry, oras: Peer
) -> None:
    service = make(registry2)
    service.write("a")
    kept = service.copy()
    service.write("b")
    anchored = service.json("ledger", "anchor")
    bundle = bundle_of(service, anchored, oras)
    (service.folder / "note.txt").write_text(anchored["checkpoint"])
    service.restore(kept)
    before = len(registry2.requests())
    for text in ("head.txt", "note.txt"):
        error = service.error("ledger", "verify", "--against", bundle.name, "--checkpoint", text)
        assert (error["status"], "ends with entry 1" in error["found"]) == (21, True)
    (service.folder / "other.txt").write_text(
        (service.folder / "head.txt").read_text().replace("\n2\n", "\n1\n")
    )
    error = service.error("ledger", "verify", "--against", bundle.name, "--checkpoint", "other.txt")
    assert error["code"] == "CONFIG_INVALID"
    assert len(registry2.requests()) == before
    assert service.run("ledger", "verify", "--checkpoint", "head.txt").returncode == 2


def forge_root(service: Service) -> None:
    """The same root of trust, but that another key is the log's."""
    path = service.folder / "trusted_root.json"
    document = json.loads(path.read_text())
    spki = new_key("Ed25519").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    document["tlogs"][0]["publicKey"]["rawBytes"] = base64.b64encode(spki).decode()
    path.write_text(json.dumps(document))


def _with_entry(document: Document, **changes: Any) -> Document:
    [entry] = document["verificationMaterial"]["tlogEntries"]
    material = {**document["verificationMaterial"], "tlogEntries": [{**entry, **changes}]}
    return {**document, "verificationMaterial": material}


def _other_root(document: Document, _: Document) -> Document:
    [entry] = document["verificationMaterial"]["tlogEntries"]
    proof = entry["inclusionProof"]
    return _with_entry(document, inclusionProof={**proof, "rootHash": base64.b64encode(b"0" * 32).decode()})


def _other_checkpoint(document: Document, _: Document) -> Document:
    [entry] = document["verificationMaterial"]["tlogEntries"]
    proof = entry["inclusionProof"]
    envelope: str = proof["checkpoint"]["envelope"]
    head, _space, line = envelope.rpartition(" ")
    forged = base64.b64encode(base64.b64decode(line)[:4] + b"0" * 64).decode()
    return _with_entry(document, inclusionProof={**proof, "checkpoint": {"envelope": f"{head} {forged}\n"}})


def _entry_of_another(document: Document, other: Document) -> Document:
    return {**document, "verificationMaterial": other["verificationMaterial"]}


def _no_entry(document: Document, _: Document) -> Document:
    return {**document, "verificationMaterial": {"publicKey": document["verificationMaterial"]["publicKey"]}}


def _signature_of_another(document: Document, other: Document) -> Document:
    signature = other["messageSignature"]["signature"]
    return {**document, "messageSignature": {**document["messageSignature"], "signature": signature}}


FORGERIES = [_other_root, _other_checkpoint, _entry_of_another, _no_entry, _signature_of_another]


def test_a_bundle_that_was_altered_is_refused(make: Make, registry2: Registry, oras: Peer) -> None:
    service = make(registry2)
    service.write("a")
    other = json.loads(bundle_of(service, service.json("ledger", "anchor"), oras).read_bytes())
    service.write("b")
    anchored = service.json("ledger", "anchor")
    kept = bundle_of(service, anchored, oras)
    true = kept.read_bytes()
    for forge in FORGERIES:
        kept.write_text(json.dumps(forge(json.loads(true), other)))
        error = service.error("ledger", "verify", "--against", kept.name)
        assert (error["code"], "not what was signed" in error["message"]) == ("LEDGER_CORRUPT", True), forge
        # cosign takes the root from the log's checkpoint, and does not look at the one beside it
        assert cosign_accepts(service) == (forge is _other_root), forge
    for cut in (len(true) - 1, len(true) // 2, 200):
        kept.write_bytes(true[:cut])
        assert service.error("ledger", "verify", "--against", kept.name)["code"] == "LEDGER_CORRUPT"

    kept.write_bytes(true)
    root = (service.folder / "trusted_root.json").read_bytes()
    forge_root(service)
    error = service.error("ledger", "verify", "--against", kept.name)
    assert (error["code"], "8 transparency log" in error["found"]) == ("LEDGER_CORRUPT", True)
    (service.folder / "trusted_root.json").write_bytes(root)
    (service.folder / "public.pem").write_bytes(public_pem(new_key("P-256")))
    error = service.error("ledger", "verify", "--against", kept.name)
    assert (error["code"], "somebody trusted" in error["expected"]) == ("CONFIG_INVALID", True)


def test_a_signature_over_something_else_is_no_head_of_the_ledgers(
    make: Make, registry2: Registry, oras: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By our key, in our log, made with cosign: whatever it is over, it says nothing of the ledger."""
    service = make(registry2)
    service.write("a")
    monkeypatch.setenv("COSIGN_PASSWORD", "")
    subprocess.run(
        [peer("cosign"), "import-key-pair", "--key", "private.pem", "--output-key-prefix", "cosign"],
        cwd=service.folder, check=True, capture_output=True,
    )  # fmt: skip
    (service.folder / "head.txt").write_text("immutag/ghcr.io/o/other\n1\n" + "A" * 43 + "=\n")
    subprocess.run(
        [
            peer("cosign"), "sign-blob", "-y", "--key", "cosign.key",
            "--signing-config", "signing_config.json", "--bundle", "head.sigstore.json", "head.txt",
        ],
        cwd=service.folder, check=True, capture_output=True,
    )  # fmt: skip
    assert cosign_accepts(service)
    error = service.error("ledger", "verify", "--against", "head.sigstore.json")
    assert (error["code"], "neither a head of this ledger" in error["found"]) == ("CONFIG_INVALID", True)
    error = service.error("ledger", "verify", "--against", "head.sigstore.json", "--checkpoint", "head.txt")
    assert (error["code"], "ghcr.io/o/other" in error["found"]) == ("CONFIG_INVALID", True)


def test_a_true_note_beside_a_forged_bundle_is_evidence_and_the_bundle_is_not(
    make: Make, registry2: Registry, oras: Peer
) -> None:
    service = make(registry2)
    service.write("a")
    kept = service.copy()
    service.write("b")
    anchored = service.json("ledger", "anchor")
    forged = _other_root(json.loads(bundle_of(service, anchored, oras).read_bytes()), {})
    page, _ = page_of(service.origin, 2)
    layers = (
        Layer(CHECKPOINT, anchored["checkpoint"].encode(), {}),
        Layer(BUNDLE_V03, json.dumps(forged).encode(), {}),
    )
    about = {ORIGIN: service.origin, SIZE: "2"}
    with Http(environ={}) as http:
        made = attach(Client(service.repository, http=http), page, Artifact(CHECKPOINT, layers, about))
    against = service.json("ledger", "verify", "--against", "repository")["against"]
    told = {each["source"].partition("@")[2][:71]: each["source"] for each in against}
    assert told[anchored["manifest"]].endswith(", in a transparency log")
    assert "which its log entry does not prove" in told[str(made.digest)]
    oras("manifest", "delete", "--plain-http", "--force", f"{service.repository}@{anchored['manifest']}")
    service.restore(kept)
    assert service.error("ledger", "verify", "--against", "repository")["code"] == "LEDGER_CORRUPT"


# --- with an identity instead of a key


def keyless(make: Make, registry: Registry, sigstore: Sigstore, trusted: str = PERSON) -> Service:
    service = make(registry, signs="keyless = true")
    identity = f'identities = [{{ issuer = "{sigstore.issuer}", subject = "{trusted}" }}]'
    in_config(service, 'public_keys = ["public.pem"]', identity)
    return service


@pytest.fixture
def person(sigstore: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", sigstore.token(PERSON))


@pytest.mark.usefixtures("person")
def test_an_identity_anchors_with_a_bundle_alone(
    make: Make, registry: Registry, sigstore: Sigstore, oras: Peer
) -> None:
    service = keyless(make, registry, sigstore)
    service.write("a")
    first = service.json("ledger", "anchor")
    kept = service.copy()
    assert service.json("ledger", "anchor") == first
    service.write("b")
    anchored = service.json("ledger", "anchor")
    bundle = bundle_of(service, anchored, oras)
    who = ("--certificate-identity", PERSON, "--certificate-oidc-issuer", sigstore.issuer)
    assert cosign_accepts(service, *who)
    against = service.json("ledger", "verify", "--against", "repository")["against"]
    assert sorted(each["size"] for each in against) == [1, 3]
    assert all(PERSON in each["source"] for each in against)
    assert len(service.json("ledger", "verify", "--against", bundle.name)["against"]) == 1
    assert service.error("ledger", "prove", "ab" * 20)["code"] == "MISSING_TAG"

    service.restore(kept)
    for where in ("repository", bundle.name):
        assert service.error("ledger", "verify", "--against", where)["code"] == "LEDGER_CORRUPT"
    service.write("another b", "c")
    assert service.error("ledger", "anchor")["code"] == "LEDGER_CORRUPT"


@pytest.mark.usefixtures("person")
def test_another_identitys_head_is_no_evidence(
    make: Make, registry2: Registry, sigstore: Sigstore, oras: Peer
) -> None:
    service = keyless(make, registry2, sigstore, trusted="someone@example.com")
    service.write("a")
    bundle = bundle_of(service, service.json("ledger", "anchor"), oras)
    error = service.error("ledger", "verify", "--against", "repository")
    assert (error["code"], error["found"]) == ("CONFIG_INVALID", "1 by somebody else")
    assert service.error("ledger", "verify", "--against", bundle.name)["code"] == "CONFIG_INVALID"
    forged = _no_entry(
        json.loads(bundle.read_bytes()) | {"verificationMaterial": {"publicKey": {"hint": ""}}}, {}
    )
    bundle.write_text(json.dumps(forged))
    assert service.error("ledger", "verify", "--against", bundle.name)["code"] == "CONFIG_INVALID"


@pytest.mark.usefixtures("person")
def test_an_identitys_bundle_that_was_altered_is_refused(
    make: Make, registry2: Registry, sigstore: Sigstore, oras: Peer
) -> None:
    service = keyless(make, registry2, sigstore)
    service.write("a")
    other = json.loads(bundle_of(service, service.json("ledger", "anchor"), oras).read_bytes())
    service.write("b")
    kept = bundle_of(service, service.json("ledger", "anchor"), oras)
    true = json.loads(kept.read_bytes())
    for forge in (_other_root, _other_checkpoint, _entry_of_another, _signature_of_another):
        kept.write_text(json.dumps(forge(true, other)))
        assert service.error("ledger", "verify", "--against", kept.name)["code"] == "LEDGER_CORRUPT", forge


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("when", WHEN)
def test_an_identitys_run_that_is_killed_is_completed_by_the_next(
    when: str, make: Make, registry2: Registry, sigstore: Sigstore, oras: Peer
) -> None:
    service = keyless(make, registry2, sigstore)
    service.write("a")
    assert run_killed(service, "killed_anchor", when, "attach") == -signal.SIGKILL
    anchored = service.json("ledger", "anchor")
    assert left(service, anchored, oras) == [anchored["manifest"]]


def test_without_an_identity_token_nothing_is_anchored(
    make: Make, registry2: Registry, sigstore: Sigstore
) -> None:
    service = keyless(make, registry2, sigstore)
    service.write("a")
    assert service.error("ledger", "anchor")["code"] == "CONFIG_INVALID"
    assert facts(service) == []


# --- after a deployment


def test_a_deployment_leaves_the_head_in_the_log_and_does_not_fail_where_that_is_away(
    site: Site, sigstore: Sigstore
) -> None:
    outside = site.folder.parent
    (outside / "key.pem").write_bytes(private_pem(a_key("P-256")))
    (outside / "pub.pem").write_bytes(public_pem(a_key("P-256")))
    away = sigstore.signing_config.read_text().replace(sigstore.rekor, f"http://127.0.0.1:{free_port()}")
    (outside / "signing_config.json").write_text(away)
    config = site.folder / "immutag.toml"
    config.write_text(
        config.read_text() + '\n[trust]\nkey = "../key.pem"\npublic_keys = ["../pub.pem"]\n'
        f'trusted_root = "{sigstore.trusted_root}"\nsigning_config = "../signing_config.json"\n'
        "[ledger]\nanchor_in_rekor = true\n"
    )
    site.commit("sign")
    assert site.run("release").returncode == 0
    deployed = site.run("deploy", "--sha", site.sha, "--environment", "staging")
    assert (deployed.returncode, "was not anchored: Sigstore did not log" in deployed.stderr) == (0, True)
    (outside / "signing_config.json").write_bytes(sigstore.signing_config.read_bytes())
    assert site.run("rollback", "--sha", site.sha, "--environment", "staging").returncode == 0
    assert site.json("ledger", "anchor")["bundle"]
    assert "in a transparency log" in site.run("ledger", "verify", "--against", "repository").stdout
