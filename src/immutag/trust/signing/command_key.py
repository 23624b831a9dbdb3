"""A key that a program of the team's keeps: a KMS, an HSM, a token (DR-018).

The program gets the bytes to sign on standard input and prints the signature in base64. What it hashes and
how it signs is what its public key says (`trust.public_key`): for a key on P-256, an ASN.1 ECDSA signature
over the SHA-256 of its input.
"""

import base64
import binascii
from collections.abc import Sequence

from immutag.core.errors import ConfigInvalid, SoftVerifyToolError
from immutag.core.values import shown
from immutag.process import Finished, run
from immutag.trust.public_key import PublicKey

_OUTPUT_LIMIT_BYTES = 16 * 1024


class CommandKey:
    """Signs by a program. What does not verify under its public key is never a signature."""

    __slots__ = ("_argv", "_timeout_s", "public")

    def __init__(self, argv: Sequence[str], public: PublicKey, *, timeout_s: float = 60.0) -> None:
        self._argv = tuple(argv)
        self._timeout_s = timeout_s
        self.public = public

    def sign(self, payload: bytes) -> bytes:
        """The program's signature over the payload. Raises ConfigInvalid if there is no such program,
        SoftVerifyToolError for everything else that it does wrong."""
        ended = self._run(payload)
        if ended.timed_out:
            raise self._wrong(f"nothing within {self._timeout_s:g} s")
        if ended.status:
            raise self._wrong(f"exit status {ended.status}: {ended.tail(1)}")
        if len(ended.stdout) > _OUTPUT_LIMIT_BYTES:
            raise self._wrong(f"{len(ended.stdout)} bytes or more")
        try:
            signature = base64.b64decode(b"".join(ended.stdout.split()), validate=True)
        except binascii.Error:
            raise self._wrong("something else than base64") from None
        if not self.public.verify(signature, payload):
            raise self._wrong(f"a signature that does not verify under {self.public.name}")
        return signature

    def _run(self, payload: bytes) -> Finished:
        try:
            return run(self._argv, timeout_s=self._timeout_s, stdin=payload)
        except OSError as error:
            raise ConfigInvalid(
                "the program that signs cannot be started",
                expected=f"a program: {shown(self._argv[0])}",
                found=error.strerror or "an error of the system",
                remedy="correct [trust] signer in immutag.toml",
            ) from error

    def _wrong(self, found: str) -> SoftVerifyToolError:
        return SoftVerifyToolError(
            f"{shown(self._argv[0])} did not sign",
            expected=f"a signature by {self.public.name}, in base64, on its standard output",
            found=shown(found),
            remedy="run it by hand, and look at [trust] signer and signer_key in immutag.toml",
        )
