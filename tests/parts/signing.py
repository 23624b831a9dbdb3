"""A site that signs: a key made for the test, and what configures it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts.keys import new_key, private_pem, public_pem


@dataclass(frozen=True)
class SigningKey:
    """A private key in a file, and its public half beside it."""

    private: Path
    public: Path

    @property
    def env(self) -> Mapping[str, str]:
        """Sign with it, and trust it."""
        return {"IMMUTAG_TRUST_KEY": str(self.private), "IMMUTAG_TRUST_PUBLIC_KEYS": str(self.public)}


def signing_key(folder: Path, name: str) -> SigningKey:
    """Another key each time."""
    key = new_key("P-256")
    made = SigningKey(folder / f"{name}.key", folder / f"{name}.pub")
    made.private.write_bytes(private_pem(key))
    made.public.write_bytes(public_pem(key))
    return made


@pytest.fixture
def ours(tmp_path: Path) -> SigningKey:
    return signing_key(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> SigningKey:
    return signing_key(tmp_path, "theirs")
