"""The checks of a signature, without a registry: what is accepted, and which check refuses the rest, why."""

import json
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import SignatureReason
from immutag.core.frozen import replace
from immutag.core.statement import COSIGN_SIGN, SLSA_PROVENANCE, SLSA_PROVENANCE_V02
from immutag.core.values import Digest, ImageRef, Repository
from immutag.core.verification import Place, Unverified, Verified
from immutag.oci import Descriptor
from immutag.trust.attached import Attached, Kind, Unread
from immutag.trust.checks import Authority, Case, attested_by, judge
from immutag.trust.formats.bundle import BUNDLE_V03, encode_bundle, parse_bundle
from immutag.trust.formats.dsse import Envelope, Signature, pae
from immutag.trust.formats.simple_signing import CERTIFICATE, LOG_BUNDLE, MEDIA_TYPE, SIGNATURE, encode_simple
from immutag.trust.judgement import Accepted, Check, Refused
from immutag.trust.places import Found
from immutag.trust.rule import TrustRule
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import PrivateKey, parse_private_key
from immutag.trust.verifier import Verdicts, combine
from tests.parts.keys import new_key, private_pem
from tests.parts.vouching import statement

IMAGE, OTHER_IMAGE = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
REPOSITORY = Repository.parse("ghcr.io/owner/api")
SPDX = "https://spdx.dev/Document"
MANIFEST = Descriptor("application/vnd.oci.image.manifest.v1+json", Digest("sha256:" + "c" * 64), 500)
INVALID, KEY_NOT_FOUND, MISSING = (
    SignatureReason.INVALID,
    SignatureReason.KEY_NOT_FOUND,
    SignatureReason.MISSING,
)


def key_of(kind: str = "P-256") -> PrivateKey:
    return parse_private_key(private_pem(new_key(kind)), password=lambda: b"")


def signer_of(kind: str = "P-256") -> KeySigner:
    return KeySigner(key_of(kind))


OUR_KEY = key_of()
OURS, THEIRS = KeySigner(OUR_KEY), signer_of()
RULE = TrustRule((OURS.public,))


def no_authority() -> NoReturn:
    raise AssertionError("no root of trust is asked where a key decides")


def case(rule: TrustRule = RULE, subject: Digest = IMAGE, repository: Repository = REPOSITORY) -> Case:
    return Case(subject, repository, rule, no_authority)


def attached(kind: Kind, content: bytes | None, annotations: dict[str, str] | None = None) -> Attached:
    media_type = MEDIA_TYPE if kind is Kind.LEGACY else BUNDLE_V03
    layer = Descriptor(media_type, Digest("sha256:" + "d" * 64), len(content or b""))
    return Attached("a place", MANIFEST, "", {}, kind, layer, annotations or {}, content)


def bundle(content: bytes) -> Attached:
    return attached(Kind.BUNDLE, content)


def signed(by: KeySigner = OURS, **fields: Any) -> Attached:
    return bundle(by.bundle(statement(IMAGE, **fields)))


def changed(by: KeySigner = OURS, **fields: Any) -> Attached:
    """A valid bundle whose outermost fields are others; `None` leaves one out."""
    document = json.loads(by.bundle(statement(IMAGE))) | fields
    return bundle(json.dumps({name: each for name, each in document.items() if each is not None}).encode())


def legacy(
    by: KeySigner = OURS, payload: bytes | None = None, annotations: dict[str, str] | None = None
) -> Attached:
    content = encode_simple(ImageRef(REPOSITORY, IMAGE), {}) if payload is None else payload
    return attached(Kind.LEGACY, content, dict(by.simple(content)) if annotations is None else annotations)


def payload(**critical: Any) -> bytes:
    """A legacy payload; `critical` are other fields of it."""
    document = json.loads(encode_simple(ImageRef(REPOSITORY, IMAGE), {}))
    document["critical"] |= critical
    return json.dumps(document).encode()


def refused(candidate: Attached, by: Case) -> tuple[Check, SignatureReason]:
    with pytest.raises(Refused) as error:
        judge(candidate, by)
    assert error.value.why
    return error.value.check, error.value.reason


# --- what is accepted


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "Ed25519", "RSA-2048"])
@pytest.mark.parametrize("form", [signed, legacy])
def test_a_signature_by_a_trusted_key_vouches(form: Callable[[KeySigner], Attached], kind: str) -> None:
    signer = signer_of(kind)
    rule = TrustRule((OURS.public, signer.public))
    assert judge(form(signer), case(rule)) == Accepted(signer.name)


@pytest.mark.parametrize("kind", [COSIGN_SIGN, SLSA_PROVENANCE, SLSA_PROVENANCE_V02])
def test_signatures_and_provenance_vouch(kind: str) -> None:
    assert judge(signed(predicate_type=kind), case()) == Accepted(OURS.name)


def test_one_of_several_subjects_is_enough() -> None:
    content = OURS.bundle(statement(OTHER_IMAGE, IMAGE))
    assert judge(bundle(content), case()) == Accepted(OURS.name)


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("", "ghcr.io/owner/api"),
        ("ghcr.io/owner/api:1.0", "ghcr.io/owner/api"),
        (f"ghcr.io/owner/api@{IMAGE}", "ghcr.io/owner/api"),
        ("127.0.0.1:5000/api", "127.0.0.1:5000/api"),
        ("127.0.0.1:5000/api:tag", "127.0.0.1:5000/api"),
        ("index.docker.io/library/api", "docker.io/api"),
    ],
)
def test_a_legacy_payload_may_name_the_repository_in_full_or_not_at_all(
    reference: str, repository: str
) -> None:
    content = payload(identity={"docker-reference": reference})
    by = case(repository=Repository.parse(repository))
    assert judge(legacy(payload=content), by) == Accepted(OURS.name)


def test_an_sbom_by_a_trusted_key_is_known_and_vouches_for_nothing() -> None:
    sbom = signed(predicate_type=SPDX)
    assert sbom.content is not None
    name, said = attested_by(sbom.content, case())
    assert (name, said.predicate_type) == (OURS.name, SPDX)
    assert refused(sbom, case()) == (Check.STATEMENT, MISSING)


# --- what is refused, by which check first, and as what

ELSEWHERE = encode_simple(ImageRef(Repository.parse("ghcr.io/owner/other"), IMAGE), {})
SWAPPED = dict(OURS.simple(payload(type="another")))


def of_another_type() -> Attached:
    content = statement(IMAGE)
    signature = Signature("", OUR_KEY.sign(pae("text/plain", content)))
    envelope = Envelope(content, "text/plain", (signature,))
    return bundle(encode_bundle(envelope, hint=OURS.public.hint))


def named_as_ours() -> Attached:
    content = THEIRS.bundle(statement(IMAGE))
    return bundle(content.replace(THEIRS.public.hint.encode(), OURS.public.hint.encode()))


def unread(why: Unread) -> Attached:
    return replace(signed(), content=None, unread=why)


def without(at: Attached, annotation: str) -> Attached:
    return replace(at, layer_annotations={k: v for k, v in at.layer_annotations.items() if k != annotation})


@pytest.mark.parametrize(
    ("candidate", "check", "reason"),
    [
        (unread(Unread.TOO_LARGE), Check.CONTENT, INVALID),
        (unread(Unread.GONE), Check.CONTENT, INVALID),
        (unread(Unread.DAMAGED), Check.CONTENT, INVALID),
        (bundle(b""), Check.FORM, INVALID),
        (bundle(OURS.bundle(statement(IMAGE))[:-40]), Check.FORM, INVALID),
        (bundle(b'{"mediaType": 1, ' + OURS.bundle(statement(IMAGE))[1:]), Check.FORM, INVALID),
        (changed(mediaType="application/vnd.dev.sigstore.bundle.v9+json"), Check.FORM, INVALID),
        (changed(verificationMaterial=None), Check.FORM, INVALID),
        (changed(dsseEnvelope=None), Check.FORM, INVALID),
        (
            changed(
                dsseEnvelope=None,
                messageSignature={
                    "messageDigest": {"algorithm": "SHA2_256", "digest": "YQ=="},
                    "signature": "YQ==",
                },
            ),
            Check.FORM,
            INVALID,
        ),
        (signed(subject=[]), Check.FORM, INVALID),
        (signed(subject=None), Check.FORM, INVALID),
        (signed(_type="https://example.com"), Check.FORM, INVALID),
        (of_another_type(), Check.FORM, INVALID),
        (signed(predicate_type=SPDX), Check.STATEMENT, MISSING),
        (signed(THEIRS, predicate_type=SPDX), Check.STATEMENT, MISSING),
        (signed(THEIRS), Check.SIGNER, KEY_NOT_FOUND),
        (
            named_as_ours(),
            Check.SIGNATURE,
            INVALID,
        ),
        (bundle(OURS.bundle(statement(OTHER_IMAGE))), Check.SUBJECT, INVALID),
        (legacy(annotations={}), Check.FORM, INVALID),
        (legacy(annotations={SIGNATURE: "not base64"}), Check.FORM, INVALID),
        (legacy(annotations={SIGNATURE: ""}), Check.FORM, INVALID),
        (legacy(payload=b"{}"), Check.FORM, INVALID),
        (legacy(payload=b'{"critical": {}, ' + payload()[1:]), Check.FORM, INVALID),
        (legacy(THEIRS), Check.SIGNER, KEY_NOT_FOUND),
        (legacy(annotations=SWAPPED), Check.SIGNER, KEY_NOT_FOUND),
        (legacy(payload=payload(type="another")), Check.SUBJECT, INVALID),
        (legacy(payload=encode_simple(ImageRef(REPOSITORY, OTHER_IMAGE), {})), Check.SUBJECT, INVALID),
        (legacy(payload=ELSEWHERE), Check.REPOSITORY, INVALID),
        (
            legacy(payload=payload(identity={"docker-reference": "ghcr.io/owner/api/more"})),
            Check.REPOSITORY,
            INVALID,
        ),
        (attached(Kind.OTHER_SIGNATURE, b"notation"), Check.SIGNER, KEY_NOT_FOUND),
    ],
)  # fmt: skip
def test_the_first_check_that_refuses(candidate: Attached, check: Check, reason: SignatureReason) -> None:
    assert refused(candidate, case()) == (check, reason)


@pytest.mark.parametrize("candidate", [signed(), legacy(), signed(predicate_type=SLSA_PROVENANCE)])
def test_an_empty_rule_trusts_nobody(candidate: Attached) -> None:
    assert refused(candidate, case(TrustRule())) == (Check.SIGNER, KEY_NOT_FOUND)


def with_certificate(form: Attached) -> Attached:
    """The same, but with a certificate beside it: it is not looked at where no identity is trusted."""
    if form.kind is Kind.LEGACY:
        pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
        return replace(form, layer_annotations={**form.layer_annotations, CERTIFICATE: pem})
    return changed(verificationMaterial={"certificate": {"rawBytes": "YWJj"}})


@pytest.mark.parametrize("form", [signed(), legacy()])
def test_a_certificate_counts_only_where_identities_are_trusted(form: Attached) -> None:
    assert refused(with_certificate(form), case()) == (Check.SIGNER, KEY_NOT_FOUND)


class NoLog(Authority):
    """A root of trust whose logs hold nothing."""

    def check_bundle_log(self, *_: object) -> None:
        raise Refused(Check.LOG, INVALID, "not there")

    def check_legacy_log(self, *_: object) -> None:
        raise Refused(Check.LOG, INVALID, "not there")


@pytest.mark.parametrize("candidate", [signed(), legacy()])
def test_where_the_rule_wants_a_log_a_key_alone_is_not_enough(candidate: Attached) -> None:
    wanting = Case(IMAGE, REPOSITORY, replace(RULE, transparency_log=True), NoLog)
    assert refused(candidate, wanting) == (Check.LOG, INVALID)


# --- what was not signed is never accepted


def outcome(candidate: Attached, by: Case) -> str | None:
    try:
        return judge(candidate, by).signer
    except Refused:
        return None


VALID = OURS.bundle(statement(IMAGE))
VALID_LEGACY = legacy()


def covered(content: bytes) -> tuple[bytes, str, bytes]:
    """The part of a bundle that the signature is about, and the signature."""
    envelope = parse_bundle(content).content
    assert isinstance(envelope, Envelope)
    return envelope.payload, envelope.payload_type, envelope.signatures[0].value


@given(at=st.integers(0, len(VALID) - 1), byte=st.integers(0, 255))
def test_no_byte_of_what_is_signed_can_be_changed_in_a_bundle(at: int, byte: int) -> None:
    """Not covered: the hint, the version in the media type, and which alphabet of base64 is used."""
    other = VALID[:at] + bytes([byte]) + VALID[at + 1 :]
    if outcome(bundle(other), case()):
        assert covered(other) == covered(VALID)


@given(at=st.integers(0, len(VALID_LEGACY.content or b"") - 1), byte=st.integers(0, 255))
def test_no_byte_of_a_legacy_payload_can_be_changed(at: int, byte: int) -> None:
    content = VALID_LEGACY.content or b""
    other = content[:at] + bytes([byte]) + content[at + 1 :]
    assert (outcome(replace(VALID_LEGACY, content=other), case()) is not None) == (other == content)


@given(at=st.integers(0, 95), char=st.characters(codec="ascii"))
def test_no_character_of_a_legacy_signature_can_be_changed(at: int, char: str) -> None:
    given_ = VALID_LEGACY.layer_annotations[SIGNATURE]
    other = given_[:at] + char + given_[at + 1 :]
    candidate = replace(VALID_LEGACY, layer_annotations={SIGNATURE: other})
    assert (outcome(candidate, case()) is not None) == (other == given_)


@given(cut=st.integers(0, len(VALID) - 1))
def test_a_truncated_bundle_is_none(cut: int) -> None:
    assert outcome(bundle(VALID[:cut]), case()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(fields=st.dictionaries(st.sampled_from(["_type", "subject", "predicateType"]), JSON, min_size=1))
def test_a_signed_statement_about_nothing_that_we_asked_for_never_vouches(fields: dict[str, Any]) -> None:
    document = json.loads(statement(IMAGE))
    content = json.dumps(document | fields).encode()
    assert outcome(bundle(OURS.bundle(content)), case()) is None or document == document | fields


@given(content=st.binary(max_size=200), annotations=st.dictionaries(
    st.sampled_from([SIGNATURE, CERTIFICATE, LOG_BUNDLE, "other"]), st.text(max_size=40)))  # fmt: skip
def test_bytes_of_anybody_are_refused_and_nothing_worse(content: bytes, annotations: dict[str, str]) -> None:
    for kind in (Kind.BUNDLE, Kind.LEGACY, Kind.OTHER_SIGNATURE):
        assert outcome(attached(kind, content, annotations), case()) is None


# --- many candidates, one finding


def finding(*candidates: Attached, complete: bool = True, rule: TrustRule = RULE) -> Verified | Unverified:
    verdicts = Verdicts(case(rule))
    for each in candidates:
        verdicts.accepts(each)
    return combine(IMAGE, Found(candidates, (Place("a place", "an answer"),), complete), verdicts)


def test_nothing_at_all_is_missing() -> None:
    assert finding() == Unverified(IMAGE, MISSING, (Place("a place", "an answer"),))


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ([signed(predicate_type=SPDX)], MISSING),
        ([signed(predicate_type=SPDX), signed(THEIRS)], KEY_NOT_FOUND),
        ([signed(THEIRS), legacy(THEIRS)], KEY_NOT_FOUND),
        ([bundle(b"{}"), signed(THEIRS), signed(predicate_type=SPDX)], INVALID),
        ([signed(THEIRS), bundle(OURS.bundle(statement(OTHER_IMAGE)))], INVALID),
    ],
)
def test_the_gravest_refusal_is_the_reason(candidates: list[Attached], reason: SignatureReason) -> None:
    found = finding(*candidates)
    assert isinstance(found, Unverified)
    assert found.reason is reason
    assert len(found.candidates) == len(candidates)
    assert all(each.refused_by and each.why for each in found.candidates)


CANDIDATES = [signed(), signed(THEIRS), legacy(), legacy(THEIRS), signed(predicate_type=SPDX), bundle(b"{}")]
VOUCHING = {0, 2}


@given(st.lists(st.sampled_from(range(len(CANDIDATES))), max_size=8), st.booleans())
def test_verified_means_that_at_least_one_was_accepted(chosen: list[int], trusting: bool) -> None:
    found = finding(*(CANDIDATES[each] for each in chosen), rule=RULE if trusting else TrustRule())
    assert isinstance(found, Verified) == (trusting and bool(VOUCHING & set(chosen)))
    accepted = [each for each in found.candidates if each.refused_by is None]
    assert isinstance(found, Verified) == bool(accepted)


def test_what_was_not_read_to_its_end_is_no_verdict() -> None:
    with pytest.raises(SoftVerifyToolError):
        finding(signed(THEIRS), complete=False)


def test_a_broken_root_is_no_verdict() -> None:
    def broken() -> Authority:
        raise SoftVerifyToolError("broken", expected="a", found="b", remedy="c")

    wanting = Case(IMAGE, REPOSITORY, replace(RULE, transparency_log=True), broken)
    with pytest.raises(SoftVerifyToolError):
        judge(signed(), wanting)
