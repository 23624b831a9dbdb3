"""Running a program: what is read, what is ended, and what is waited for."""

import io
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from immutag import process

SOON_S = 20.0


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _gone(pid: int) -> bool:
    """Whether the process ends within a second."""
    deadline = time.monotonic() + 1
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not _alive(pid)


def test_both_outputs_and_the_status_are_returned() -> None:
    done = process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=SOON_S)
    assert (done.stdout, done.stderr, done.status) == (b"out\n", b"err\n", 3)
    assert not done.ok
    assert not done.timed_out
    assert done.complete


def test_a_signal_is_a_negative_status() -> None:
    assert process.run(["sh", "-c", "kill -KILL $$"], timeout_s=SOON_S).status == -signal.SIGKILL


def test_a_program_that_does_not_exist_is_said_so() -> None:
    with pytest.raises(FileNotFoundError):
        process.run(["no-such-program-here"], timeout_s=SOON_S)


def test_a_program_reads_what_it_is_given_and_may_leave_the_rest() -> None:
    much = b"x" * 1_000_000
    assert process.run(["cat"], stdin=much, timeout_s=SOON_S).stdout == much
    assert process.run(["head", "-c", "5"], stdin=much, timeout_s=SOON_S).stdout == b"xxxxx"
    assert process.run(["cat"], timeout_s=SOON_S).stdout == b""


def test_environment_is_added_to_ours(tmp_path: Path) -> None:
    done = process.run(
        ["sh", "-c", "echo $HOME/$MORE; pwd"], env={"MORE": "m"}, cwd=tmp_path, timeout_s=SOON_S
    )
    assert done.text.splitlines() == [f"{os.environ['HOME']}/m", str(tmp_path)]


def test_a_variable_may_be_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    assert (
        process.run(["sh", "-c", "echo ${GIT_DIR-none}"], without={"GIT_DIR"}, timeout_s=SOON_S).text
        == "none"
    )


@pytest.mark.parametrize("interruption", [None, KeyboardInterrupt])
def test_a_program_that_answers_is_ended_with_the_block(interruption: type[BaseException] | None) -> None:
    with (
        pytest.raises(interruption) if interruption else nullcontext(),
        process.talk(["sh", "-c", "echo $$; while read word; do echo got $word; done; sleep 60"]) as (
            ask,
            answer,
        ),
    ):
        pid = int(answer.readline())
        for word in (b"one", b"two"):
            ask.write(word + b"\n")
            ask.flush()
            assert answer.readline() == b"got " + word + b"\n"
        if interruption:
            raise interruption
    assert _gone(pid)


def test_lines_of_the_two_outputs_are_never_mixed() -> None:
    seen: list[str] = []
    code = (
        "printf ou; sleep 0.1; printf er >&2; sleep 0.1; printf 't\\n'; sleep 0.1; printf 'r\\r\\nlast' >&2"
    )
    process.run(["sh", "-c", code], line=seen.append, timeout_s=SOON_S)
    assert seen == ["out", "err", "last"]


def test_a_line_without_end_is_passed_on_in_parts() -> None:
    seen: list[str] = []
    process.run(_python("print('x' * 300_000, end='')"), line=seen.append, timeout_s=SOON_S)
    assert "".join(seen) == "x" * 300_000
    assert max(map(len, seen)) < 200_000


def test_the_log_gets_everything_and_memory_a_bounded_part() -> None:
    log = io.BytesIO()
    code = "import sys\nfor i in range(20):\n for s in sys.stdout, sys.stderr: s.write(chr(97 + i) * 2**20)"
    done = process.run(_python(code), log=log, timeout_s=SOON_S)
    assert len(log.getvalue()) == 40 * 2**20
    assert len(done.stdout) <= 16 * 2**20
    assert done.stdout.startswith(b"a")
    assert done.stdout == b"".join(bytes([97 + i]) * 2**20 for i in range(20))[: len(done.stdout)]
    assert done.stderr.endswith(b"t" * 2**20)
    assert not done.complete


def test_time_up_ends_the_program_and_its_children(tmp_path: Path) -> None:
    start = time.monotonic()
    done = process.run(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/child; echo said; wait"], timeout_s=0.5)
    assert done.timed_out
    assert not done.ok
    assert done.stdout == b"said\n"
    assert time.monotonic() - start < 4
    assert _gone(int((tmp_path / "child").read_text()))


def test_a_program_that_ignores_the_polite_signal_is_ended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_S", 0.2)
    code = f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done"
    assert process.run(["sh", "-c", code], timeout_s=0.3).timed_out
    assert _gone(int((tmp_path / "pid").read_text()))


def test_a_program_may_clean_up_when_it_is_ended(tmp_path: Path) -> None:
    code = f"trap 'sleep 0.2; echo clean > {tmp_path}/done; exit 0' TERM; sleep 60 & wait"
    process.run(["sh", "-c", code], timeout_s=0.3)
    assert (tmp_path / "done").read_text() == "clean\n"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interruption_ends_the_whole_group(tmp_path: Path, interruption: type[BaseException]) -> None:
    def interrupt(line: str) -> None:
        raise interruption

    code = f"sleep 60 & echo $$ $! > {tmp_path}/pids; echo ready; wait"
    with pytest.raises(interruption):
        process.run(["sh", "-c", code], line=interrupt, timeout_s=SOON_S)
    assert all(_gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_ctrl_c_while_waiting_ends_the_whole_group(tmp_path: Path) -> None:
    """A real SIGINT to ourselves, while nothing comes through the pipes."""
    ready = threading.Thread(target=_interrupt_when, args=(tmp_path / "pids",))
    ready.start()
    with pytest.raises(KeyboardInterrupt):
        process.run(["sh", "-c", f"sleep 60 & echo $$ $! > {tmp_path}/pids; wait"], timeout_s=SOON_S)
    ready.join()
    assert all(_gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def _interrupt_when(file: Path) -> None:
    deadline = time.monotonic() + SOON_S
    while not (file.exists() and len(file.read_text().split()) == 2) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


def test_what_a_program_leaves_behind_is_neither_waited_for_nor_ended(tmp_path: Path) -> None:
    """`deploy.sh` may start a service, which then holds our pipes for as long as it lives."""
    start = time.monotonic()
    done = process.run(["sh", "-c", f"sleep 30 & echo $! > {tmp_path}/child; echo done"], timeout_s=SOON_S)
    child = int((tmp_path / "child").read_text())
    try:
        assert done.ok
        assert done.stdout == b"done\n"
        assert time.monotonic() - start < 5
        assert _alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_program_that_closes_its_outputs_is_still_waited_for() -> None:
    start = time.monotonic()
    done = process.run(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 4"], timeout_s=SOON_S)
    assert done.status == 4
    assert time.monotonic() - start >= 0.3


def test_the_tail_is_of_standard_error_or_else_of_standard_output() -> None:
    assert process.run(["sh", "-c", "seq 100 >&2; echo out"], timeout_s=SOON_S).tail(2) == "99\n100"
    assert process.run(["sh", "-c", "seq 100"], timeout_s=SOON_S).tail(2) == "99\n100"
