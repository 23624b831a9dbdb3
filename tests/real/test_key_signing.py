"""Keys and signatures between cosign 2, cosign 3 and us, in every direction."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from immutag.core.errors import ConfigInvalid
from immutag.core.statement import SLSA_PROVENANCE, Statement, Subject
from immutag.core.values import Digest, ImageRef, Repository
from immutag.trust.formats.bundle import KeyHint, MessageSignature, parse_bundle
from immutag.trust.formats.dsse import Envelope
from immutag.trust.formats.in_toto import parse_statement
from immutag.trust.formats.simple_signing import encode_simple
from immutag.trust.public_key import load_public_key
from immutag.trust.signing.command_key import CommandKey
from immutag.trust.signing.key_signer import Key, KeySigner
from immutag.trust.signing.private_key import load_private_key
from tests.parts.keys import Private, cosign_pem, new_key, private_pem, public_pem
from tests.parts.peers import Peer
from tests.parts.programs import peer, program

pytestmark = pytest.mark.slow
PASSWORD = b"correct horse"
BLOB = b"what is signed\n"
DIGEST = Digest(f"sha256:{hashlib.sha256(BLOB).hexdigest()}")
STATEMENT = Statement((Subject("blob", DIGEST, {}),), SLSA_PROVENANCE, {"buildDefinition": {}}).encode()
BUILD = {
    "buildDefinition": {"buildType": "t", "externalParameters": {}},
    "runDetails": {"builder": {"id": "b"}},
}
ATTESTED = ("verify-blob-attestation", "--type", "slsaprovenance1", "--bundle")


@dataclass(frozen=True)
class Cosign:
    """One version of it, with no service to ask, and a folder for what it reads and writes."""

    version: int
    run: Peer
    folder: Path

    def verifies(self, *arguments: object, bundle: bool = True) -> bool:
        """Whether it accepts the blob."""
        form: list[object] = []
        if self.version == 2 and bundle:
            form = ["--new-bundle-format", "--trusted-root", self.folder / "root.json"]
        if self.version == 3 and not bundle:
            form = ["--new-bundle-format=false"]
        ended = self.run.run(*arguments, "--insecure-ignore-tlog", *form, self.folder / "blob")
        return ended.returncode == 0 and b"Verified OK" in ended.stderr

    def without_log(self) -> list[object]:
        """The arguments for signing a blob."""
        if self.version == 2:
            return ["-y", "--tlog-upload=false", "--new-bundle-format"]
        return ["-y", "--signing-config", self.folder / "services.json"]


@pytest.fixture(params=[2, 3])
def cosign(request: pytest.FixtureRequest, tmp_path: Path) -> Cosign:
    environment = {
        "COSIGN_PASSWORD": PASSWORD.decode(),
        "HOME": str(tmp_path),
        "TUF_ROOT": str(tmp_path / "tuf"),
    }
    newest = Peer(peer("cosign"), environment)
    newest("trusted-root", "create", "--out", tmp_path / "root.json")
    newest("signing-config", "create", "--out", tmp_path / "services.json")
    (tmp_path / "blob").write_bytes(BLOB)
    version: int = request.param
    return Cosign(version, Peer(peer("cosign2"), environment) if version == 2 else newest, tmp_path)


def test_a_key_pair_of_cosigns_is_ours(cosign: Cosign) -> None:
    cosign.run("generate-key-pair", "--output-key-prefix", cosign.folder / "cosign")
    key = load_private_key(cosign.folder / "cosign.key", password=lambda: PASSWORD)
    public = load_public_key(cosign.folder / "cosign.pub")
    assert key.public == public
    assert public.pem() == (cosign.folder / "cosign.pub").read_bytes()
    assert public.verify(key.sign(BLOB), BLOB)
    with pytest.raises(ConfigInvalid):
        load_private_key(cosign.folder / "cosign.key", password=lambda: b"wrong horse")


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "Ed25519", "RSA-2048", "RSA-4096"])
def test_a_key_that_cosign_imports_is_ours(cosign: Cosign, kind: str) -> None:
    key = new_key(kind)
    (cosign.folder / "plain.pem").write_bytes(private_pem(key))
    cosign.run("import-key-pair", "-y", "--key", cosign.folder / "plain.pem", "-o", cosign.folder / "theirs")
    found = load_private_key(cosign.folder / "theirs.key", password=lambda: PASSWORD)
    assert found.public == load_public_key(cosign.folder / "theirs.pub")
    assert found.public.pem() == public_pem(key)


def written(cosign: Cosign, key: Private) -> tuple[Key, Path]:
    """Our form of cosign's key file, and the public key beside it."""
    private, public = cosign.folder / "our.key", cosign.folder / "our.pub"
    private.write_bytes(cosign_pem(key, PASSWORD))
    public.write_bytes(public_pem(key))
    return load_private_key(private, password=lambda: PASSWORD), public


# Of P-384 and P-521 cosign verifies by SHA-256 unless told otherwise, though it signs as we do.
@pytest.mark.parametrize("kind", ["P-256", "Ed25519", "RSA-2048"])
def test_cosign_accepts_what_we_sign_and_nothing_else(cosign: Cosign, kind: str) -> None:
    key, public = written(cosign, new_key(kind))
    bundle = KeySigner(key).bundle(STATEMENT)
    (cosign.folder / "our.json").write_bytes(bundle)
    attested = (*ATTESTED, cosign.folder / "our.json")
    assert cosign.verifies(*attested, "--key", public)

    signature = KeySigner(key).simple(BLOB)["dev.cosignproject.cosign/signature"]
    (cosign.folder / "our.sig").write_text(signature)
    signed = ("verify-blob", "--signature", cosign.folder / "our.sig")
    assert cosign.verifies(*signed, "--key", public, bundle=False)

    (cosign.folder / "other.pub").write_bytes(public_pem(new_key(kind)))
    assert not cosign.verifies(*attested, "--key", cosign.folder / "other.pub")
    (cosign.folder / "blob").write_bytes(b"something else\n")
    assert not cosign.verifies(*attested, "--key", public)
    assert not cosign.verifies(*signed, "--key", public, bundle=False)


def test_cosign_accepts_what_a_program_signs(cosign: Cosign) -> None:
    key, public = written(cosign, new_key("P-256"))
    (cosign.folder / "kms.pem").write_bytes(private_pem(new_key("P-256")))
    argv = ["sh", "-c", '"$0" dgst -sha256 -sign "$1" | "$0" base64', program("openssl")]
    (cosign.folder / "their.pub").write_text(
        Peer(program("openssl"))("pkey", "-in", cosign.folder / "kms.pem", "-pubout") + "\n"
    )
    theirs = load_public_key(cosign.folder / "their.pub")
    assert theirs != key.public
    signer = KeySigner(CommandKey([*argv, str(cosign.folder / "kms.pem")], theirs))
    (cosign.folder / "our.json").write_bytes(signer.bundle(STATEMENT))
    attested = (*ATTESTED, cosign.folder / "our.json")
    assert cosign.verifies(*attested, "--key", cosign.folder / "their.pub")
    assert not cosign.verifies(*attested, "--key", public)


def attest(cosign: Cosign) -> Path:
    """cosign's own attestation of the blob, by the key that was written."""
    (cosign.folder / "predicate.json").write_text(json.dumps(BUILD))
    cosign.run(
        "attest-blob", *cosign.without_log(), "--key", cosign.folder / "our.key", "--type", "slsaprovenance1",
        "--predicate", cosign.folder / "predicate.json", "--bundle", cosign.folder / "their.json",
        cosign.folder / "blob",
    )  # fmt: skip
    return cosign.folder / "their.json"


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA-2048"])
def test_what_cosign_attests_is_verified(cosign: Cosign, kind: str) -> None:
    key, _ = written(cosign, new_key(kind))
    bundle = parse_bundle(attest(cosign).read_bytes())
    assert bundle.material == KeyHint(key.public.hint)
    assert isinstance(bundle.content, Envelope)
    assert key.public.verify(bundle.content.signatures[0].value, bundle.content.signed())
    statement = parse_statement(bundle.content.payload)
    assert statement.is_about(DIGEST)
    assert statement.predicate_type == SLSA_PROVENANCE


def test_what_cosign_attests_with_ed25519_nobody_verifies(cosign: Cosign) -> None:
    """It signs pre-hashed (Ed25519ph) and verifies plain, so its own signatures are none to it, or to us."""
    key, public = written(cosign, new_key("Ed25519"))
    path = attest(cosign)
    bundle = parse_bundle(path.read_bytes())
    assert isinstance(bundle.content, Envelope)
    found = key.public.verify(bundle.content.signatures[0].value, bundle.content.signed())
    assert not found
    assert cosign.verifies(*ATTESTED, path, "--key", public) is found


def test_what_cosign_signs_is_verified(cosign: Cosign) -> None:
    key, _ = written(cosign, new_key("P-256"))
    cosign.run(
        "sign-blob", *cosign.without_log(), "--key", cosign.folder / "our.key",
        "--bundle", cosign.folder / "their.json", cosign.folder / "blob",
    )  # fmt: skip
    bundle = parse_bundle((cosign.folder / "their.json").read_bytes())
    assert bundle.material == KeyHint(key.public.hint)
    assert isinstance(bundle.content, MessageSignature)
    assert bundle.content.digest == hashlib.sha256(BLOB).digest()
    assert key.public.verify(bundle.content.signature, BLOB)


def test_the_older_payload_is_cosigns_to_the_byte(cosign: Cosign) -> None:
    repository = Repository.parse("127.0.0.1:5000/api")
    said = cosign.run.raw("generate", "-a", "commit=" + "f" * 40, f"{repository}@{DIGEST}")
    assert encode_simple(ImageRef(repository, DIGEST), {"commit": "f" * 40}) == said.rstrip(b"\n")
