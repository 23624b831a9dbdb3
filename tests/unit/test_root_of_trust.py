"""The root of trust: a file needs nobody, the public one is kept for a day, and a broken one is none."""

import json
import os
import time
from pathlib import Path

import pytest

from immutag.core.errors import SoftVerifyToolError
from immutag.trust import root
from immutag.trust.root import (
    FRESH_S,
    LIMIT_BYTES,
    STALE_S,
    RootOfTrust,
    RootText,
    authorities_of,
    public_root,
)
from tests.parts.paper_sigstore import PaperSigstore


class Tuf:
    """The public root's repository, as often as it is asked; `away` while it cannot be."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False

    def fetch(self) -> bytes:
        self.asked += 1
        if self.away:
            raise SoftVerifyToolError("away", expected="an answer", found="none", remedy="wait")
        return b"root %d" % self.asked


def aged(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_the_public_root_is_fetched_once_a_day(tmp_path: Path) -> None:
    tuf, kept = Tuf(), tmp_path / "cache" / "root.json"
    assert public_root(kept, tuf.fetch).content == b"root 1"
    again = public_root(kept, tuf.fetch)
    assert (again.content, tuf.asked) == (b"root 1", 1)
    aged(kept, FRESH_S - 60)
    assert public_root(kept, tuf.fetch).age_s == pytest.approx(FRESH_S - 60, abs=5)
    aged(kept, FRESH_S + 60)
    renewed = public_root(kept, tuf.fetch)
    assert (renewed.content, renewed.age_s, tuf.asked) == (b"root 2", 0.0, 2)


def test_while_it_cannot_be_fetched_the_last_one_serves_for_a_week(tmp_path: Path) -> None:
    tuf, kept = Tuf(), tmp_path / "root.json"
    public_root(kept, tuf.fetch)
    tuf.away = True
    aged(kept, STALE_S - 60)
    assert public_root(kept, tuf.fetch).content == b"root 1"
    aged(kept, STALE_S + 60)
    with pytest.raises(SoftVerifyToolError):
        public_root(kept, tuf.fetch)


def test_one_from_the_future_is_fetched_again(tmp_path: Path) -> None:
    tuf, kept = Tuf(), tmp_path / "root.json"
    public_root(kept, tuf.fetch)
    aged(kept, -3600)
    assert public_root(kept, tuf.fetch).content == b"root 2"


@pytest.mark.parametrize("kept", [None, Path("/proc/none/root.json")])
def test_where_it_cannot_be_kept_it_is_fetched_each_time(kept: Path | None) -> None:
    tuf = Tuf()
    assert [public_root(kept, tuf.fetch).content for _ in range(2)] == [b"root 1", b"root 2"]


def test_with_a_file_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuf = Tuf()
    monkeypatch.setattr(root, "fetch_public", tuf.fetch)
    path = PaperSigstore().trusted_root(tmp_path)
    aged(path, 3600)
    trusted = RootOfTrust(path, {"HOME": str(tmp_path)})
    assert trusted.authorities() is trusted.authorities()
    about = trusted.text()
    assert about.origin == str(path)
    assert about.age_s == pytest.approx(3600, abs=5)
    assert tuf.asked == 0
    public = RootOfTrust(None, {"HOME": str(tmp_path)}).text()
    assert (public.origin, tuf.asked) == ("Sigstore's public root", 1)
    assert (tmp_path / ".cache" / "immutag" / "trusted_root.json").read_bytes() == b"root 1"


def test_a_root_like_githubs_has_neither_logs_nor_their_keys(tmp_path: Path) -> None:
    path = PaperSigstore().trusted_root(tmp_path, logs=False, tsa=PaperSigstore().timestamping())
    assert "tlogs" not in json.loads(path.read_text())
    assert RootOfTrust(path, {}).authorities() is not None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"null", b"{", b"\xff", b'{"a": 1, "a": 2}', b"{}\n[]", b"[" * 100_000,
        b" " * (LIMIT_BYTES + 1), b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=9"}',
    ],
    ids=lambda content: f"{content[:24]!r}",
)  # fmt: skip
def test_a_root_that_cannot_be_used_decides_nothing(content: bytes) -> None:
    with pytest.raises(SoftVerifyToolError) as error:
        authorities_of(RootText(content, "a file", 0.0))
    assert "a file" in error.value.found


@pytest.mark.parametrize("field", ["rawBytes", "keyDetails", "keyId", "validFor", "certificates"])
def test_a_damaged_root_decides_nothing(tmp_path: Path, field: str) -> None:
    text = PaperSigstore().trusted_root(tmp_path, tsa=PaperSigstore().timestamping()).read_text()
    for damaged in (
        text.replace(f'"{field}"', '"other"'),
        text.replace(f'"{field}": ', f'"{field}": [], "b": '),
    ):
        with pytest.raises(SoftVerifyToolError):
            authorities_of(RootText(damaged.encode(), "a file", 0.0))
