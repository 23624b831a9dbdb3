"""A Sigstore on paper: its keys and certificates, and whatever they would sign, at whatever time.

The real one (`sigstore`) makes no expired certificate, no entry of the log's first generation, and no time
but now. Here each of them is made by hand, right unless a test asks for something wrong.
"""

import base64
import hashlib
import json
import struct
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from immutag.core.statement import PAYLOAD_TYPE
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.formats.dsse import Envelope, Signature, pae
from immutag.trust.formats.simple_signing import CERTIFICATE, CHAIN, LOG_BUNDLE, SIGNATURE, TIMESTAMP
from tests.parts.programs import program

ISSUER = "https://issuer.example.com"
PERSON = "dev@example.com"
Key = ec.EllipticCurvePrivateKey
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_ONCE = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_LOG = "log.example.com"
_ORIGIN = f"{_LOG} - 1"  # with the number of its tree, as the first generation writes it
_START = "2020-01-01T00:00:00Z"
_TSA = """\
[tsa]
default_tsa = one
[one]
serial = serial
signer_cert = tsa.pem
certs = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
"""


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Certified:
    """A key with its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, content: bytes) -> bytes:
        return self.key.sign(content, ec.ECDSA(hashes.SHA256()))


def authority(name: str = "an authority") -> Certified:
    """A root, for certificates or for timestamps."""
    key, now = new_key(), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = {"key_cert_sign": True, "crl_sign": True}
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return Certified(key, certificate)


@dataclass
class PaperSigstore:
    """One Sigstore: an authority, a log of certificates, a log of signatures, a timestamp authority."""

    authority: Certified = field(default_factory=authority)
    ct_log: Key = field(default_factory=new_key)
    log: Key = field(default_factory=new_key)
    tsa: Certified = field(default_factory=lambda: authority("a timestamp authority"))

    def trusted_root(self, folder: Path, *, logs: bool = True, tsa: Certified | None = None) -> Path:
        """Its root of trust in a file. Without `logs` there are none, as in GitHub's for private images."""
        document: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [_chain(self.authority)],
        }
        if logs:
            document |= {"tlogs": [_instance(self.log)], "ctlogs": [_instance(self.ct_log)]}
        if tsa:
            document["timestampAuthorities"] = [_chain(tsa, self.tsa)]
        path = folder / "trusted_root.json"
        path.write_text(json.dumps(document))
        return path

    def certify(
        self,
        subject: str = PERSON,
        issuer: str = ISSUER,
        *,
        at: datetime | None = None,
        lasts: timedelta = timedelta(minutes=10),
        ct_log: Key | None = None,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
    ) -> Certified:
        """A certificate from `at` on, by default from a minute ago: for ten minutes, as Fulcio's."""
        key = new_key()
        start = at or datetime.now(UTC) - timedelta(minutes=1)
        name = x509.UniformResourceIdentifier(subject) if "://" in subject else x509.RFC822Name(subject)
        text = issuer.encode()
        builder = (
            x509.CertificateBuilder().subject_name(x509.Name([]))
            .issuer_name(self.authority.certificate.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start).not_valid_after(start + lasts)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                self.authority.key.public_key()), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_ONCE, text), critical=False)
            .add_extension(x509.UnrecognizedExtension(
                _ISSUER, bytes([0x0C, len(text)]) + text), critical=False)
        )  # fmt: skip
        bare = builder.sign(self.authority.key, hashes.SHA256())
        scts = self._scts(bare.tbs_certificate_bytes, ct_log or self.ct_log)
        whole = builder.add_extension(x509.UnrecognizedExtension(_SCTS, scts), critical=False)
        return Certified(key, whole.sign(self.authority.key, hashes.SHA256()))

    def log_entry(
        self,
        body: bytes,
        kind: tuple[str, str],
        *,
        at: datetime,
        log: Key | None = None,
        tree: bytes | None = None,
    ) -> dict[str, Any]:
        """The first entry of the log, with its proof and its promise; `tree` is another body's."""
        key = log or self.log
        root = hashlib.sha256(b"\x00" + (body if tree is None else tree)).digest()
        note = f"{_ORIGIN}\n1\n{_base64(root)}\n"
        signature = key.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
        checkpoint = f"{note}\n— {_LOG} {_base64(key_id(key)[:4] + signature)}\n"
        promise = self.promise(body, at=at, log=log)
        return {
            "logIndex": "0",
            "logId": {"keyId": _base64(key_id(key))},
            "kindVersion": dict(zip(("kind", "version"), kind, strict=True)),
            "integratedTime": str(promise["Payload"]["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": promise["SignedEntryTimestamp"]},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _base64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": _base64(body),
        }

    def promise(self, body: bytes, *, at: datetime, log: Key | None = None) -> dict[str, Any]:
        """What the first generation's log says at once: that it will hold the entry."""
        key = log or self.log
        payload = {
            "body": _base64(body),
            "integratedTime": int(at.timestamp()),
            "logID": key_id(key).hex(),
            "logIndex": 0,
        }
        signature = key.sign(_canonical(payload), ec.ECDSA(hashes.SHA256()))
        return {"SignedEntryTimestamp": _base64(signature), "Payload": payload}

    def bundle(
        self, statement: bytes, by: Certified, *, kind: str = "dsse", at: datetime | None = None, **log: Any
    ) -> dict[str, Any]:
        """A bundle with a certificate and an entry of the log: `dsse`, `intoto`; none for the kind `none`."""
        envelope = Envelope(statement, PAYLOAD_TYPE, (Signature("", by.sign(pae(PAYLOAD_TYPE, statement))),))
        time = at or datetime.now(UTC)
        version = {"dsse": "0.0.1", "intoto": "0.0.2"}.get(kind, "")
        entries = (
            []
            if kind == "none"
            else [self.log_entry(entry_body(kind, envelope, by.pem), (kind, version), at=time, **log)]
        )
        return {
            "mediaType": BUNDLE_V03,
            "verificationMaterial": {
                "certificate": {"rawBytes": _base64(by.der)},
                "tlogEntries": entries,
            },
            "dsseEnvelope": envelope.as_json(),
        }

    def legacy(
        self, payload: bytes, by: Certified, *, at: datetime | None = None, **log: Any
    ) -> dict[str, str]:
        """The annotations of cosign's legacy layer."""
        signature = by.sign(payload)
        body = hashedrekord(payload, signature, by.pem)
        promise = self.promise(body, at=at or datetime.now(UTC), **log)
        return {
            SIGNATURE: _base64(signature),
            CERTIFICATE: by.pem.decode(),
            CHAIN: self.authority.pem.decode(),
            LOG_BUNDLE: json.dumps(promise),
        }

    def timestamping(self) -> Certified:
        """A certificate for timestamps."""
        key, now = new_key(), datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "timestamps")]))
            .issuer_name(self.tsa.certificate.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30)).not_valid_after(now + timedelta(days=30))
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                self.tsa.key.public_key()), critical=False)
            .sign(self.tsa.key, hashes.SHA256())
        )  # fmt: skip
        return Certified(key, certificate)

    def _scts(self, tbs: bytes, ct_log: Key) -> bytes:
        """The extension with one signed certificate timestamp (RFC 6962, section 3.3)."""
        issuer = _spki(self.authority.key)
        entry = hashlib.sha256(issuer).digest() + len(tbs).to_bytes(3) + tbs
        time = int(datetime.now(UTC).timestamp() * 1000)
        signed = struct.pack("!BBQH", 0, 0, time, 1) + entry + b"\x00\x00"
        signature = ct_log.sign(signed, ec.ECDSA(hashes.SHA256()))
        one = struct.pack("!B32sQHBBH", 0, key_id(ct_log), time, 0, 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(one) + 2, len(one)) + one
        return bytes([0x04, len(listed)]) + listed


def timestamp(signature: bytes, by: Certified, folder: Path) -> bytes:
    """An RFC 3161 response over the signature, with the time of now, by openssl."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tsa.pem").write_bytes(by.pem)
    key = by.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "tsa.key").write_bytes(key)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.conf").write_text(_TSA)
    digest = hashlib.sha256(signature).hexdigest()
    openssl = program("openssl")
    query = ["ts", "-query", "-digest", digest, "-sha256", "-cert", "-out", "query"]
    reply = ["ts", "-reply", "-config", "tsa.conf", "-queryfile", "query", "-out", "reply"]
    for command in (query, reply):
        subprocess.run([openssl, *command], cwd=folder, check=True, capture_output=True)
    return (folder / "reply").read_bytes()


def with_timestamps(bundle: dict[str, Any], *responses: bytes) -> dict[str, Any]:
    """The bundle with these timestamps."""
    stamps = [{"signedTimestamp": _base64(each)} for each in responses]
    material = {**bundle["verificationMaterial"], "timestampVerificationData": {"rfc3161Timestamps": stamps}}
    return {**bundle, "verificationMaterial": material}


def legacy_timestamp(response: bytes) -> dict[str, str]:
    """The annotation of cosign's legacy layer with a timestamp."""
    return {TIMESTAMP: json.dumps({"SignedRFC3161Timestamp": _base64(response)})}


def entry_body(kind: str, envelope: Envelope, verifier: bytes) -> bytes:
    """What the log holds of an envelope; `verifier` is the PEM of a certificate or key."""
    signature = envelope.signatures[0].value
    payload_hash = {"algorithm": "sha256", "value": hashlib.sha256(envelope.payload).hexdigest()}
    if kind == "intoto":
        twice = _base64(_base64(signature).encode())
        signatures: list[dict[str, str]] = [{"sig": twice, "publicKey": _base64(verifier)}]
        inner = {"payloadType": envelope.payload_type, "signatures": signatures}
        spec: dict[str, Any] = {
            "content": {"envelope": inner, "hash": payload_hash, "payloadHash": payload_hash}
        }
        return _canonical({"apiVersion": "0.0.2", "kind": "intoto", "spec": spec})
    signatures = [{"signature": _base64(signature), "verifier": _base64(verifier)}]
    spec = {"envelopeHash": payload_hash, "payloadHash": payload_hash, "signatures": signatures}
    return _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})


def hashedrekord(content: bytes, signature: bytes, verifier: bytes) -> bytes:
    """What the log's first generation holds of a signature over bytes."""
    spec = {
        "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}},
        "signature": {"content": _base64(signature), "publicKey": {"content": _base64(verifier)}},
    }
    return _canonical({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})


def _canonical(document: dict[str, Any]) -> bytes:
    """As logs write JSON: other verifiers write it again before they hash it."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def key_id(key: Key) -> bytes:
    """A log's name: the hash of its key."""
    return hashlib.sha256(_spki(key)).digest()


def _spki(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _instance(key: Key) -> dict[str, Any]:
    return {
        "baseUrl": "https://log.example.com",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _base64(_spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": _START},
        },
        "logId": {"keyId": _base64(key_id(key))},
    }


def _chain(*certified: Certified) -> dict[str, Any]:
    return {
        "subject": {"organization": "example", "commonName": "example"},
        "uri": "https://ca.example.com",
        "certChain": {"certificates": [{"rawBytes": _base64(each.der)} for each in certified]},
        "validFor": {"start": _START},
    }


def _usage(**on: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: on.get(name, False) for name in names})


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
