"""Whom a Fulcio certificate names (Fulcio, docs/certificate-specification.md, docs/oid-info.md).

What it says counts only for a certificate that was verified; here it is read, nothing more.
"""

from typing import TYPE_CHECKING

from immutag.core.frozen import frozen
from immutag.core.values import shown
from immutag.trust.formats.malformed import refuse

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, SubjectAlternativeName

_ISSUER = "1.3.6.1.4.1.57264.1.8"
_ISSUER_V1 = "1.3.6.1.4.1.57264.1.1"  # the bare text, from before the extensions were DER
_USERNAME = "1.3.6.1.4.1.57264.1.7"
_UTF8_STRING = 0x0C


@frozen()
class Identity:
    """Who signed, and who vouched for that when the certificate was made."""

    subject: str
    issuer: str

    def __str__(self) -> str:
        return f"{shown(self.subject)} ({shown(self.issuer)})"


def identity_of(certificate: bytes) -> Identity:
    """The one identity in a certificate (DER). Raises Malformed for one that is none of Fulcio's."""
    from cryptography.x509 import SubjectAlternativeName, load_der_x509_certificate

    try:
        read = load_der_x509_certificate(certificate)
        names = _texts(read.extensions.get_extension_for_class(SubjectAlternativeName).value)
        issuer = _issuer(read)
    except Exception as error:  # noqa: BLE001 - its parser has no error of its own for all that can be wrong
        refuse("certificate", "a certificate of Fulcio's", type(error).__name__)
    if len(names) != 1:  # a rule for one name must never be met by another
        refuse("certificate.subjectAlternativeName", "one identity", ", ".join(names))
    return Identity(names[0], issuer)


def _issuer(certificate: "Certificate") -> str:
    from cryptography.x509 import UnrecognizedExtension

    found = {
        each.oid.dotted_string: each.value.value
        for each in certificate.extensions
        if isinstance(each.value, UnrecognizedExtension)
    }
    return _utf8(found[_ISSUER]) if _ISSUER in found else found[_ISSUER_V1].decode()


def _texts(names: "SubjectAlternativeName") -> list[str]:
    from cryptography.x509 import OtherName, RFC822Name, UniformResourceIdentifier

    found = [*names.get_values_for_type(RFC822Name), *names.get_values_for_type(UniformResourceIdentifier)]
    others = names.get_values_for_type(OtherName)
    return found + [_utf8(each.value) for each in others if each.type_id.dotted_string == _USERNAME]


def _utf8(der: bytes) -> str:
    """A DER UTF8String, and nothing after it (X.690, section 8.1.3)."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start])
    if der[0] != _UTF8_STRING or start + length != len(der):
        raise ValueError("not a UTF8String")
    return der[start:].decode()
