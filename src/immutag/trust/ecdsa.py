"""ECDSA as cryptography wants it described, to verify with.

Its own constructor asks what this OpenSSL can sign, and for that loads all of its ciphers: 8 ms, as long as
everything else that one verification by key needs of it.
"""

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import HashAlgorithm


class VerifyingEcdsa(ECDSA):
    """ECDSA over this hash."""

    def __init__(self, algorithm: HashAlgorithm) -> None:
        self._hash = algorithm

    @property
    def algorithm(self) -> HashAlgorithm:
        return self._hash

    @property
    def deterministic_signing(self) -> bool:
        return False
