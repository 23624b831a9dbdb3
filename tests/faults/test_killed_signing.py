"""Killed while it signs, and then run again: one signature, and every fact once (law 8, DR-018)."""

import signal
from typing import Literal

import pytest

from tests.parts.signing import SigningKey
from tests.parts.site import Site
from tests.real.test_signed_release import SIGNED, cosign_accepts

pytestmark = pytest.mark.slow

WHEN: list[Literal["before", "after"]] = ["before", "after"]


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("fact", ["claimed", "signed", "attested", "signature_checked"])
def test_a_release_killed_while_it_signs_is_completed_by_the_next(
    fact: str, when: Literal["before", "after"], site: Site, ours: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ours.env.items():
        monkeypatch.setenv(name, value)
    assert site.run_killed("release", when=when, fact=fact).returncode == -signal.SIGKILL
    record = site.json("release")
    assert site.facts("release:") == SIGNED
    assert record["signature_status"] == "verified"
    assert cosign_accepts(f"{site.repository}@{record['image_digest']}", ours)
