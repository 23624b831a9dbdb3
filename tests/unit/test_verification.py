"""A finding about a signature: nobody is verified without a name, nor unverified without a reason."""

import pytest

from immutag.core.errors import SoftVerifyToolError
from immutag.core.facts import SignatureReason, SignatureStatus
from immutag.core.values import Digest
from immutag.core.verification import Unverified, Verified, signature_of

SUBJECT = Digest("sha256:" + "a" * 64)


@pytest.mark.parametrize("signer", ["", " \n"])
def test_nobody_cannot_vouch(signer: str) -> None:
    with pytest.raises(SoftVerifyToolError):
        Verified(SUBJECT, signer)


def test_unverified_says_why() -> None:
    with pytest.raises(SoftVerifyToolError):
        Unverified(SUBJECT, SignatureReason.NOT_APPLICABLE)


def test_a_finding_in_the_contracts_words() -> None:
    assert signature_of(Verified(SUBJECT, "a key")) == (
        SignatureStatus.VERIFIED,
        SignatureReason.NOT_APPLICABLE,
        "a key",
    )
    assert signature_of(Unverified(SUBJECT, SignatureReason.MISSING)) == (
        SignatureStatus.UNVERIFIED,
        SignatureReason.MISSING,
        None,
    )
