"""Between immutag and cosign, both ways and both versions: what docs/reference/interop.md says, row by row.

The page is the table of these tests: its commands are run as they stand there, and each of its cells is held
against what happens. Every reader is also asked with another key or for another identity, and must refuse.
"""

import pytest

from immutag.core.values import ImageRef
from tests.parts.bench import NOBODY, PERSON, Bench
from tests.parts.interop_page import table

pytestmark = pytest.mark.slow

OURS, THEIRS = table("What immutag writes"), table("What cosign writes")
READERS = ("cosign 3", "cosign 2", "immutag")
READING = {read: command.strip("`") for read, command in table("The commands that read")}


@pytest.mark.parametrize("row", OURS, ids=lambda row: row[0])
def test_others_accept_what_immutag_writes(bench: Bench, row: list[str]) -> None:
    settings, _, read, *expected = row
    image = bench.release(values(settings), {"SIGSTORE_ID_TOKEN": bench.sigstore.token(PERSON)})
    assert [answer(bench, reader, read, image) for reader in READERS] == [*expected, "yes"]


@pytest.mark.parametrize("row", THEIRS, ids=lambda row: f"{row[0]}: {row[1]}"[:150])
def test_immutag_accepts_what_others_write(bench: Bench, row: list[str]) -> None:
    version, command, read, *expected = row
    image = bench.image()
    if not bench.cosign(version, command.strip("`"), image):
        assert expected == ["cannot", "be", "written"]
        return
    assert [answer(bench, reader, read, image) for reader in READERS] == expected


def values(settings: str) -> dict[str, str]:
    """The page's keys, with what they need here."""
    found: dict[str, str] = {}
    for key, _, value in (each.strip(" `").partition(" = ") for each in settings.split(",")):
        found[key] = value or ("cosign.key" if key == "trust.key" else "true")
    if "trust.keyless" in found:
        found |= {"trust.signing_config": "signing_config.json", "trust.trusted_root": "trusted_root.json"}
    return found


def answer(bench: Bench, reader: str, read: str, image: ImageRef) -> str:
    """The page's word for whether this reader accepts the image."""
    assert not accepts(bench, reader, read, image, subject=NOBODY, key="other.pub")
    return "yes" if accepts(bench, reader, read, image, subject=PERSON, key="cosign.pub") else "no"


def accepts(bench: Bench, reader: str, read: str, image: ImageRef, *, subject: str, key: str) -> bool:
    if reader != "immutag":
        return bench.cosign(reader, READING[read], image, **{"SUBJECT": subject, "cosign.pub": key})
    if read.endswith("by key"):
        return bench.verifies(image, {"trust.public_keys": key})
    identity = f'[{{ issuer = "{bench.sigstore.issuer}", subject = "{subject}" }}]'
    return bench.verifies(image, {"trust.identities": identity})
