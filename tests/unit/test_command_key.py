"""A program that signs: what it prints is a signature under its public key, or it did not sign."""

import base64
import shlex
from pathlib import Path

import pytest

from immutag.core.errors import ConfigInvalid, ImmutagError, SoftVerifyToolError
from immutag.trust.signing.command_key import CommandKey
from immutag.trust.signing.private_key import parse_private_key
from tests.parts.keys import a_key, private_pem

PAYLOAD = b"the bytes to sign"
KEY = parse_private_key(private_pem(a_key("Ed25519")), password=lambda: b"")
SIGNED = base64.b64encode(KEY.sign(PAYLOAD))


def by(program: str, *, timeout_s: float = 10.0) -> CommandKey:
    return CommandKey(["sh", "-c", program], KEY.public, timeout_s=timeout_s)


def printing(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return f"cat >/dev/null; cat {shlex.quote(str(path))}"


def test_the_program_gets_the_bytes_and_prints_the_signature(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    answer = printing(tmp_path / "out", SIGNED[:20] + b"\n" + SIGNED[20:] + b"\n")
    key = by(f"cat >{shlex.quote(str(seen))}; {answer}")
    assert key.public.verify(key.sign(PAYLOAD), PAYLOAD)
    assert seen.read_bytes() == PAYLOAD


def test_a_program_need_not_read_what_it_signs(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(SIGNED)
    assert CommandKey(["cat", str(tmp_path / "out")], KEY.public).sign(PAYLOAD)


@pytest.mark.parametrize(
    "found, printed",
    [
        ("does not verify", base64.b64encode(KEY.sign(b"other bytes"))),
        ("does not verify", b""),
        ("does not verify", b"AAAA"),
        ("else than base64", b"not base64!"),
        ("else than base64", SIGNED + b"="),
        ("bytes or more", b"A" * 20_000),
    ],
    ids=["other bytes", "nothing", "no signature", "no base64", "padding", "too much"],
)
def test_what_is_no_signature_is_refused(found: str, printed: bytes, tmp_path: Path) -> None:
    with pytest.raises(SoftVerifyToolError) as caught:
        by(printing(tmp_path / "out", printed)).sign(PAYLOAD)
    assert found in caught.value.found


def test_a_program_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(SoftVerifyToolError) as caught:
        by("echo first >&2; printf 'no \\033[31mcredentials\\n' >&2; exit 3").sign(PAYLOAD)
    assert caught.value.found == "exit status 3: no �[31mcredentials"


def test_a_program_has_so_much_time() -> None:
    with pytest.raises(SoftVerifyToolError) as caught:
        by("sleep 30", timeout_s=0.2).sign(PAYLOAD)
    assert "0.2 s" in caught.value.found


@pytest.mark.parametrize("argv", [["no-such-program-anywhere"], ["/dev/null"]])
def test_a_program_that_cannot_be_started_is_a_setting_to_correct(argv: list[str]) -> None:
    with pytest.raises(ConfigInvalid):
        CommandKey(argv, KEY.public).sign(PAYLOAD)


def test_the_arguments_are_not_shown() -> None:
    with pytest.raises(ImmutagError) as caught:
        CommandKey(["false", "--token=secret"], KEY.public).sign(PAYLOAD)
    assert "secret" not in f"{caught.value!r} {caught.value.as_json()}"
