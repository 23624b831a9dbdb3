"""Certificates, logs and timestamps against a root of trust: what is accepted, and which check refuses."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immutag.core.facts import SignatureReason
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Digest, ImageRef, Repository
from immutag.oci import Descriptor
from immutag.trust.attached import Attached, Kind
from immutag.trust.authority import Authorities
from immutag.trust.checks import Case, judge
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.formats.dsse import Envelope, Signature, pae
from immutag.trust.formats.simple_signing import (
    CERTIFICATE,
    LOG_BUNDLE,
    MEDIA_TYPE,
    SIGNATURE,
    TIMESTAMP,
    encode_simple,
)
from immutag.trust.judgement import Check, Refused
from immutag.trust.root import authorities_of, from_file
from immutag.trust.rule import TrustRule
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import parse_private_key
from tests.parts.keys import new_key as any_key
from tests.parts.keys import private_pem
from tests.parts.paper_sigstore import (
    ISSUER,
    PERSON,
    Certified,
    PaperSigstore,
    entry_body,
    hashedrekord,
    legacy_timestamp,
    new_key,
    timestamp,
    with_timestamps,
)
from tests.parts.vouching import statement

IMAGE = Digest("sha256:" + "a" * 64)
OTHER_IMAGE = Digest("sha256:" + "b" * 64)
REPOSITORY = Repository.parse("ghcr.io/owner/api")
STATEMENT = statement(IMAGE)
PAYLOAD = encode_simple(ImageRef(REPOSITORY, IMAGE), {})
MANIFEST = Descriptor("application/vnd.oci.image.manifest.v1+json", Digest("sha256:" + "c" * 64), 500)
SIGSTORE, ANOTHER = PaperSigstore(), PaperSigstore()
SIGNER = SIGSTORE.certify(lasts=timedelta(days=1))  # the run may come to its tests an hour later
TIMESTAMPING = SIGSTORE.timestamping()
EARLIER = datetime.now(UTC) - timedelta(hours=1)
INVALID = SignatureReason.INVALID

RULE = TrustRule(identities=(IdentityRule(Pattern(ISSUER), Pattern(PERSON)),))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    folder = tmp_path_factory.mktemp("logged")
    return authorities_of(from_file(SIGSTORE.trusted_root(folder, tsa=TIMESTAMPING)))


@pytest.fixture(scope="module")
def unlogged(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """As GitHub's for private repositories: an authority and timestamps."""
    folder = tmp_path_factory.mktemp("unlogged")
    return authorities_of(from_file(SIGSTORE.trusted_root(folder, logs=False, tsa=TIMESTAMPING)))


def attached(content: bytes, annotations: dict[str, str] | None = None) -> Attached:
    kind = Kind.BUNDLE if annotations is None else Kind.LEGACY
    media_type = BUNDLE_V03 if annotations is None else MEDIA_TYPE
    layer = Descriptor(media_type, Digest("sha256:" + "d" * 64), len(content))
    return Attached("a place", MANIFEST, "", {}, kind, layer, annotations or {}, content)


def bundled(document: dict[str, Any]) -> Attached:
    return attached(json.dumps(document).encode())


def signer_of(candidate: Attached, authorities: Authorities, rule: TrustRule = RULE) -> str:
    return judge(candidate, Case(IMAGE, REPOSITORY, rule, lambda: authorities)).signer


def refused(
    candidate: Attached, authorities: Authorities, rule: TrustRule = RULE
) -> tuple[Check, SignatureReason]:
    with pytest.raises(Refused) as error:
        signer_of(candidate, authorities, rule)
    assert error.value.why
    return error.value.check, error.value.reason


def material(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**document, "verificationMaterial": {**document["verificationMaterial"], **fields}}


def entry(document: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The bundle with other fields in its log entry."""
    entries = document["verificationMaterial"]["tlogEntries"]
    return material(document, tlogEntries=[{**entries[0], **fields}])


# --- bundles


@pytest.mark.parametrize("kind", ["dsse", "intoto"])
def test_a_certificates_signature_in_a_log_vouches(kind: str, logged: Authorities) -> None:
    candidate = bundled(SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind))
    assert signer_of(candidate, logged) == f"{PERSON} ({ISSUER})"


def unsigned(kind: str) -> dict[str, Any]:
    """The certificate is right, and its key has signed something else."""
    document = SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind)
    other = SIGSTORE.bundle(statement(IMAGE, predicate={"a": 1}), SIGNER, kind=kind)
    signatures = other["dsseEnvelope"]["signatures"]
    return {**document, "dsseEnvelope": {**document["dsseEnvelope"], "signatures": signatures}}


def about_another(kind: str) -> dict[str, Any]:
    """A valid entry of the log, of another signature by the same certificate (CVE-2022-36056)."""
    document = SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind)
    other = SIGSTORE.bundle(statement(OTHER_IMAGE), SIGNER, kind=kind)
    return material(document, tlogEntries=other["verificationMaterial"]["tlogEntries"])


EXPIRED = SIGSTORE.certify(at=EARLIER)


def another_time(kind: str) -> dict[str, Any]:
    """An entry that says it was logged a second after what the log promised."""
    at = datetime.now(UTC)
    said = str(int(at.timestamp()) + 1)
    return entry(SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind, at=at), integratedTime=said)


BUNDLES: list[tuple[str, Callable[[str], dict[str, Any]], Check, SignatureReason]] = [
    ("signature", unsigned, Check.SIGNATURE, INVALID),
    ("another authority", lambda kind: ANOTHER.bundle(STATEMENT, ANOTHER.certify(), kind=kind),
     Check.SIGNER, SignatureReason.KEY_NOT_FOUND),
    ("expired when used", lambda kind: SIGSTORE.bundle(STATEMENT, EXPIRED, kind=kind),
     Check.CERTIFICATE, INVALID),
    ("used before its time", lambda kind: SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind, at=EARLIER),
     Check.CERTIFICATE, INVALID),
    ("another log of certificates",
     lambda kind: SIGSTORE.bundle(STATEMENT, SIGSTORE.certify(ct_log=new_key()), kind=kind),
     Check.CERTIFICATE, INVALID),
    ("not for signing code",
     lambda kind: SIGSTORE.bundle(
         STATEMENT, SIGSTORE.certify(purpose=ExtendedKeyUsageOID.CLIENT_AUTH), kind=kind),
     Check.CERTIFICATE, INVALID),
    ("somebody else", lambda kind: SIGSTORE.bundle(
        STATEMENT, SIGSTORE.certify("eve@example.com"), kind=kind),
     Check.IDENTITY, SignatureReason.IDENTITY_MISMATCH),
    ("vouched for by somebody else", lambda kind: SIGSTORE.bundle(
        STATEMENT, SIGSTORE.certify(issuer="https://other.example.com"), kind=kind),
     Check.IDENTITY, SignatureReason.IDENTITY_MISMATCH),
    ("another image", lambda kind: SIGSTORE.bundle(statement(OTHER_IMAGE), SIGNER, kind=kind),
     Check.SUBJECT, INVALID),
    ("another signature's entry", about_another, Check.LOG, INVALID),
    ("another log", lambda kind: SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind, log=new_key()),
     Check.LOG, INVALID),
    ("another tree", lambda kind: SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind, tree=b"other"),
     Check.LOG, INVALID),
    ("no promise and no time", lambda kind: entry(
        SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind), inclusionPromise=None), Check.CERTIFICATE, INVALID),
    ("another time than promised", another_time, Check.LOG, INVALID),
    ("no entry", lambda kind: material(SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind), tlogEntries=[]),
     Check.CERTIFICATE, INVALID),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["dsse", "intoto"])
@pytest.mark.parametrize(
    ("make", "check", "reason"), [each[1:] for each in BUNDLES], ids=[b[0] for b in BUNDLES]
)
def test_what_refuses_a_bundle(
    make: Callable[[str], dict[str, Any]],
    kind: str,
    check: Check,
    reason: SignatureReason,
    logged: Authorities,
) -> None:
    """The library tells of its log by the same name as of the certificate."""
    found, because = refused(bundled(make(kind)), logged)
    assert because is reason
    assert found is check or (check is Check.LOG and kind == "dsse" and found is Check.CERTIFICATE)


def test_a_forged_certificate_is_to_blame_and_not_unknown(logged: Authorities) -> None:
    """It names the authority's key, which did not sign it."""
    forged = SIGNER.der[:-20] + bytes(byte ^ 1 for byte in SIGNER.der[-20:])
    document = material(SIGSTORE.bundle(STATEMENT, SIGNER), certificate={"rawBytes": _base64(forged)})
    check, reason = refused(bundled(document), logged)
    assert (check in (Check.CERTIFICATE, Check.FORM), reason) == (True, INVALID)


def test_one_signature_may_be_held_by_several_roots(logged: Authorities, tmp_path: Path) -> None:
    """A file with a root a line, as gh prints them: each answers for its own."""
    (tmp_path / "one").mkdir()
    lines = [ANOTHER.trusted_root(tmp_path / "one"), SIGSTORE.trusted_root(tmp_path)]
    both = tmp_path / "both.jsonl"
    both.write_text("\n".join(each.read_text() for each in lines))
    authorities = authorities_of(from_file(both))
    assert signer_of(bundled(SIGSTORE.bundle(STATEMENT, SIGNER)), authorities)
    assert signer_of(bundled(ANOTHER.bundle(STATEMENT, ANOTHER.certify())), authorities)


# --- what was in use, and when

CURRENT = PaperSigstore()


def retired(
    folder: Path, name: str, end: datetime, *, logs: bool = True, replaced: bool = False
) -> Authorities:
    """The root, where one of its parts ended; `replaced`: with another beside it, which is in use."""
    path = SIGSTORE.trusted_root(folder, logs=logs, tsa=TIMESTAMPING)
    root = json.loads(path.read_text())
    for part in root[name]:
        part.get("publicKey", part)["validFor"]["end"] = end.isoformat()
    if replaced:
        root[name] += json.loads(CURRENT.trusted_root(folder).read_text())[name]
    path.write_text(json.dumps(root))
    return authorities_of(from_file(path))


RETIRED = ("certificateAuthorities", "tlogs", "ctlogs")


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("name", RETIRED)
@pytest.mark.parametrize("kind", ["dsse", "intoto", "legacy"])
def test_who_was_retired_before_does_not_vouch_any_more(
    kind: str, name: str, replaced: bool, tmp_path: Path
) -> None:
    """Of the time before, it does: what was signed then stays signed."""
    legacy = attached(PAYLOAD, SIGSTORE.legacy(PAYLOAD, SIGNER))
    candidate = legacy if kind == "legacy" else bundled(SIGSTORE.bundle(STATEMENT, SIGNER, kind=kind))
    found, because = refused(candidate, retired(tmp_path, name, EARLIER, replaced=replaced))
    assert because is INVALID
    assert found in (Check.LOG, Check.CERTIFICATE)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert signer_of(candidate, retired(tmp_path, name, later, replaced=replaced))


@pytest.mark.parametrize("time", ["junk", " 1", "+1", "1.0", "9" * 5000, True, 1e300])
def test_no_spelling_of_a_time_brings_a_retired_log_back(time: Any, tmp_path: Path) -> None:
    changed = entry(SIGSTORE.bundle(STATEMENT, SIGNER), integratedTime=time)
    assert refused(bundled(changed), retired(tmp_path, "tlogs", EARLIER))[1] is INVALID


def test_without_a_log_the_timestamp_says_whether_the_authority_was_in_use(tmp_path: Path) -> None:
    candidate = bundled(stamped(TIMESTAMPING, tmp_path))
    ended = retired(tmp_path, "certificateAuthorities", EARLIER, logs=False)
    assert refused(candidate, ended) == (Check.CERTIFICATE, INVALID)


# --- without a log


def stamped(
    by: Certified, folder: Path, *, over: bytes | None = None, signer: Certified = SIGNER
) -> dict[str, Any]:
    document = SIGSTORE.bundle(STATEMENT, signer, kind="none")
    signature = _unbase64(document["dsseEnvelope"]["signatures"][0]["sig"])
    return with_timestamps(document, timestamp(signature if over is None else over, by, folder))


def test_where_the_root_names_no_log_a_timestamp_is_enough(unlogged: Authorities, tmp_path: Path) -> None:
    candidate = bundled(stamped(TIMESTAMPING, tmp_path))
    assert signer_of(candidate, unlogged) == f"{PERSON} ({ISSUER})"


def test_where_it_names_one_a_timestamp_is_not(logged: Authorities, tmp_path: Path) -> None:
    assert refused(bundled(stamped(TIMESTAMPING, tmp_path)), logged) == (Check.CERTIFICATE, INVALID)


def test_without_a_log_the_time_must_be_signed(unlogged: Authorities, tmp_path: Path) -> None:
    expected = (Check.CERTIFICATE, INVALID)
    plain = SIGSTORE.bundle(STATEMENT, SIGNER, kind="none")
    assert refused(bundled(plain), unlogged) == expected
    assert refused(bundled(SIGSTORE.bundle(STATEMENT, SIGNER)), unlogged) == expected
    strange = with_timestamps(plain, b"no timestamp at all")
    assert refused(bundled(strange), unlogged) == expected
    forged = stamped(ANOTHER.timestamping(), tmp_path / "forged")
    assert refused(bundled(forged), unlogged) == expected
    of_another = stamped(TIMESTAMPING, tmp_path / "other", over=b"another signature")
    assert refused(bundled(of_another), unlogged) == expected
    expired = stamped(TIMESTAMPING, tmp_path / "expired", signer=EXPIRED)
    assert refused(bundled(expired), unlogged) == expected
    eve = stamped(TIMESTAMPING, tmp_path / "eve", signer=SIGSTORE.certify("eve@example.com"))
    assert refused(bundled(eve), unlogged) == (Check.IDENTITY, SignatureReason.IDENTITY_MISMATCH)


# --- cosign's legacy form


def test_a_legacy_signature_that_the_log_promised_to_hold_vouches(logged: Authorities) -> None:
    candidate = attached(PAYLOAD, SIGSTORE.legacy(PAYLOAD, SIGNER))
    assert signer_of(candidate, logged) == f"{PERSON} ({ISSUER})"


def without(annotations: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if key != name}


def with_promise(annotations: dict[str, str], **fields: Any) -> dict[str, str]:
    promise = json.loads(annotations[LOG_BUNDLE])
    return {**annotations, LOG_BUNDLE: json.dumps({**promise, "Payload": {**promise["Payload"], **fields}})}


OTHER_PAYLOAD = encode_simple(ImageRef(REPOSITORY, OTHER_IMAGE), {})
GOOD = SIGSTORE.legacy(PAYLOAD, SIGNER)


@pytest.mark.parametrize(
    ("annotations", "check", "reason"),
    [
        (without(GOOD, LOG_BUNDLE), Check.LOG, INVALID),
        ({**GOOD, LOG_BUNDLE: "{}"}, Check.FORM, INVALID),
        ({**GOOD, LOG_BUNDLE: SIGSTORE.legacy(OTHER_PAYLOAD, SIGNER)[LOG_BUNDLE]}, Check.LOG, INVALID),
        (with_promise(GOOD, integratedTime=1), Check.LOG, INVALID),
        (with_promise(GOOD, body="AA=="), Check.LOG, INVALID),
        (with_promise(GOOD, integratedTime=True), Check.FORM, INVALID),
        (SIGSTORE.legacy(PAYLOAD, SIGNER, log=new_key()), Check.LOG, INVALID),
        (SIGSTORE.legacy(PAYLOAD, SIGNER, at=EARLIER), Check.CERTIFICATE, INVALID),
        (SIGSTORE.legacy(PAYLOAD, EXPIRED), Check.CERTIFICATE, INVALID),
        (SIGSTORE.legacy(PAYLOAD, SIGSTORE.certify(ct_log=new_key())), Check.CERTIFICATE, INVALID),
        ({**GOOD, SIGNATURE: SIGSTORE.legacy(OTHER_PAYLOAD, SIGNER)[SIGNATURE]}, Check.SIGNATURE, INVALID),
        ({**GOOD, CERTIFICATE: "no certificate"}, Check.FORM, INVALID),
        (ANOTHER.legacy(PAYLOAD, ANOTHER.certify()), Check.SIGNER, SignatureReason.KEY_NOT_FOUND),
        (
            SIGSTORE.legacy(PAYLOAD, SIGSTORE.certify("eve@example.com")),
            Check.IDENTITY,
            SignatureReason.IDENTITY_MISMATCH,
        ),
        ({**GOOD, TIMESTAMP: '{"SignedRFC3161Timestamp": "AAAA"}'}, Check.CERTIFICATE, INVALID),
    ],
)
def test_what_refuses_a_legacy_signature(
    annotations: dict[str, str], check: Check, reason: SignatureReason, logged: Authorities
) -> None:
    assert refused(attached(PAYLOAD, annotations), logged) == (check, reason)


def test_a_legacy_signature_of_another_image_is_invalid(logged: Authorities) -> None:
    candidate = attached(OTHER_PAYLOAD, SIGSTORE.legacy(OTHER_PAYLOAD, SIGNER))
    assert refused(candidate, logged) == (Check.SUBJECT, INVALID)


def test_a_legacy_signature_by_timestamp_where_there_is_no_log(unlogged: Authorities, tmp_path: Path) -> None:
    annotations = without(GOOD, LOG_BUNDLE)
    stamp = timestamp(_unbase64(annotations[SIGNATURE]), TIMESTAMPING, tmp_path)
    candidate = attached(PAYLOAD, {**annotations, **legacy_timestamp(stamp)})
    assert signer_of(candidate, unlogged) == f"{PERSON} ({ISSUER})"
    assert refused(attached(PAYLOAD, annotations), unlogged) == (Check.CERTIFICATE, INVALID)


# --- keys in a log

KEY = parse_private_key(private_pem(any_key("P-256")), password=lambda: b"")
BY_KEY = TrustRule((KEY.public,), transparency_log=True)


def key_bundle(kind: str, **log: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(KeySigner(KEY).bundle(STATEMENT))
    signature = Signature("", _unbase64(document["dsseEnvelope"]["signatures"][0]["sig"]))
    envelope = Envelope(STATEMENT, "application/vnd.in-toto+json", (signature,))
    now = datetime.now(UTC)
    if kind == "hashedrekord":
        content = pae(envelope.payload_type, envelope.payload)
        body = hashedrekord(content, signature.value, KEY.public.pem())
    else:
        body = entry_body(kind, envelope, KEY.public.pem())
    version = "0.0.2" if kind == "intoto" else "0.0.1"
    return material(document, tlogEntries=[SIGSTORE.log_entry(body, (kind, version), at=now, **log)])


@pytest.mark.parametrize("kind", ["dsse", "intoto", "hashedrekord"])
def test_a_key_whose_signature_is_in_the_log_vouches(kind: str, logged: Authorities) -> None:
    assert signer_of(bundled(key_bundle(kind)), logged, BY_KEY) == KEY.public.name
    other = SIGSTORE.bundle(STATEMENT, SIGNER, kind="dsse")["verificationMaterial"]["tlogEntries"]
    for wrong in (
        key_bundle(kind, log=new_key()),
        key_bundle(kind, tree=b"other"),
        material(key_bundle(kind), tlogEntries=other),
        material(key_bundle(kind), tlogEntries=[*other, *other]),
        material(key_bundle(kind), tlogEntries=[]),
    ):
        assert refused(bundled(wrong), logged, BY_KEY) == (Check.LOG, INVALID)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_retired_log_says_nothing_of_a_key_either(replaced: bool, tmp_path: Path) -> None:
    root = retired(tmp_path, "tlogs", EARLIER, replaced=replaced)
    assert refused(bundled(key_bundle("dsse")), root, BY_KEY) == (Check.LOG, INVALID)


def test_where_no_log_is_known_none_can_hold_it(unlogged: Authorities) -> None:
    assert refused(bundled(key_bundle("dsse")), unlogged, BY_KEY) == (Check.LOG, INVALID)


def test_a_legacy_key_signature_needs_the_logs_promise_too(logged: Authorities) -> None:
    signature = KEY.sign(PAYLOAD)
    body = hashedrekord(PAYLOAD, signature, KEY.public.pem())
    promise = SIGSTORE.promise(body, at=datetime.now(UTC))
    annotations = {SIGNATURE: _base64(signature), LOG_BUNDLE: json.dumps(promise)}
    assert signer_of(attached(PAYLOAD, annotations), logged, BY_KEY) == KEY.public.name
    expected = (Check.LOG, INVALID)
    assert refused(attached(PAYLOAD, without(annotations, LOG_BUNDLE)), logged, BY_KEY) == expected
    assert refused(attached(PAYLOAD, with_promise(annotations, logIndex=1)), logged, BY_KEY) == expected


# --- no byte of it

VALID = json.dumps(SIGSTORE.bundle(STATEMENT, SIGNER, kind="intoto")).encode()
VALID_BY_LIBRARY = json.dumps(SIGSTORE.bundle(STATEMENT, SIGNER)).encode()
_SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@_SLOW
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), valid=st.sampled_from([VALID, VALID_BY_LIBRARY]))
def test_bytes_changed_in_a_valid_bundle_change_no_verdict_but_to_no(
    at: int, byte: int, valid: bytes, logged: Authorities
) -> None:
    """Nothing but Refused is raised. What is not covered: base64's alphabet, the media type's version, and
    what the library does not read."""
    at %= len(valid)
    other = valid[:at] + bytes([byte]) + valid[at + 1 :]
    try:
        signer_of(attached(other), logged)
    except Refused:
        return
    before, after = json.loads(valid), json.loads(other)
    payloads = [each["dsseEnvelope"]["payload"].translate(_STANDARD) for each in (before, after)]
    assert payloads[0] == payloads[1]
    assert before["dsseEnvelope"]["payloadType"] == after["dsseEnvelope"]["payloadType"]
    certificate = [each["verificationMaterial"]["certificate"] for each in (before, after)]
    assert certificate[0] == certificate[1]


_STANDARD = str.maketrans("-_", "+/")


@_SLOW
@given(
    name=st.sampled_from([SIGNATURE, CERTIFICATE, LOG_BUNDLE]),
    at=st.integers(0, 10_000),
    char=st.characters(codec="utf-8"),
)
def test_characters_changed_in_a_legacy_signature(name: str, at: int, char: str, logged: Authorities) -> None:
    """White space in the PEM and JSON is nobody's."""
    text = GOOD[name]
    at %= len(text)
    other = text[:at] + char + text[at + 1 :]
    try:
        signer_of(attached(PAYLOAD, {**GOOD, name: other}), logged)
    except Refused:
        return
    assert "".join(other.split()) == "".join(text.split())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _unbase64(content: str) -> bytes:
    return base64.b64decode(content)
