"""Work in a few threads: all of it, or nothing more after the first error."""

import threading
import time

import pytest

from immutag.oci.fanout import for_each

SOON_S = 20.0


def test_every_item_is_worked_on_once_and_by_several() -> None:
    done: list[int] = []
    both = threading.Barrier(2, timeout=SOON_S)

    def work(item: int, _: threading.Event) -> None:
        if item < 2:
            both.wait()
        done.append(item)

    for_each(work, range(100), workers=2)
    assert sorted(done) == list(range(100))


def test_nothing_is_nothing() -> None:
    for_each(lambda _, __: None, [], workers=4)


def test_after_an_error_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def work(item: int, stop: threading.Event) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("the first")
        assert stop.wait(SOON_S)

    with pytest.raises(ValueError, match="the first"):
        for_each(work, range(100), workers=2)
    assert sorted(begun) == [0, 1]


def test_work_that_does_not_look_delays_the_error_only_for_a_while() -> None:
    release = threading.Event()

    def work(item: int, _: threading.Event) -> None:
        if item == 1:
            raise ValueError("the first")
        release.wait(SOON_S)

    started = time.monotonic()
    with pytest.raises(ValueError, match="the first"):
        for_each(work, range(2), workers=2)
    assert time.monotonic() - started < SOON_S / 2
    release.set()


def test_work_that_waits_for_others_gets_all_the_threads() -> None:
    all_at_once = threading.Barrier(16, timeout=SOON_S)

    def work(_: int, __: threading.Event) -> None:
        all_at_once.wait()

    for_each(work, range(16), workers=16)


def test_work_that_keeps_the_processor_busy_gets_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "process_time", time.monotonic)  # on a shared machine ours may not get a core
    workers = set[int]()

    def work(_: int, __: threading.Event) -> None:
        workers.add(threading.get_ident())
        time.sleep(0.01)

    for_each(work, range(64), workers=16)
    assert len(workers) == 4
