"""Asking for a key's password at a real terminal."""

import os
import pty
import select
import sys

import pytest

_ASK = """
from immutag.core.errors import ConfigInvalid
from immutag.trust.signing.password import ask_password
try:
    print("got", ask_password())
except ConfigInvalid as error:
    print("refused:", error.found)
"""


@pytest.mark.parametrize(
    ("typed", "said"),
    [(b"sesam\n", "got b'sesam'"), (b"\n", "got b''"), (b"\x04", "refused: a terminal that was closed")],
)
def test_what_is_typed_is_the_password_and_the_end_of_input_is_none(typed: bytes, said: str) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        environ = {name: value for name, value in os.environ.items() if name != "COSIGN_PASSWORD"}
        os.execve(sys.executable, [sys.executable, "-c", _ASK], environ)
    shown = b""
    while b": " not in shown:
        shown += _read(terminal)
    os.write(terminal, typed)
    while more := _read(terminal):
        shown += more
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert said in shown.decode()
    assert b"sesam\r\n" not in shown.replace(b"got b'sesam'", b"")


def _read(terminal: int) -> bytes:
    """What it shows next; nothing at its end."""
    assert select.select([terminal], [], [], 20)[0], "nothing more is shown"
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's word for the end
        return b""
