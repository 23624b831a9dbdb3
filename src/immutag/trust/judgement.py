"""What the checks say of something attached: who vouches by it, or which check refused it first."""

from enum import Enum

from immutag.core.facts import SignatureReason
from immutag.core.frozen import frozen


class Check(Enum):
    """The checks, in their order. Not every form needs all of them; none is ever passed over."""

    CONTENT = "1 content"
    FORM = "2 form"
    STATEMENT = "3 statement"
    SIGNER = "4 signer"
    SIGNATURE = "5 signature"
    CERTIFICATE = "6 certificate"
    IDENTITY = "7 identity"
    LOG = "8 transparency log"
    SUBJECT = "9 subject"
    REPOSITORY = "10 repository"


@frozen()
class Accepted:
    """It passed every check, so its signer vouches for the image."""

    signer: str


class Refused(Exception):
    """The first check that it did not pass. `reason` is MISSING for what is no signature at all."""

    def __init__(self, check: Check, reason: SignatureReason, why: str) -> None:
        super().__init__(why)
        self.check = check
        self.reason = reason
        self.why = why


def invalid(check: Check, why: str) -> Refused:
    """A refusal of what a signer whom we know is not supposed to have made."""
    return Refused(check, SignatureReason.INVALID, why)


def unknown(why: str) -> Refused:
    """A refusal of a signer whom we do not know."""
    return Refused(Check.SIGNER, SignatureReason.KEY_NOT_FOUND, why)
