"""How long a writer of the git ledger holds back."""

from itertools import accumulate, pairwise

from immutag.ledger.turns import Turns


def lost(turns: Turns, times: int, took_s: float = 0.3) -> list[float]:
    pauses = []
    for _ in range(times):
        turns.lost(took_s)
        pauses.append(turns.pause_s)
    return pauses


def test_alone_nobody_waits_but_for_a_gap_now_and_then() -> None:
    turns, pauses = Turns(), []
    for _ in range(100):
        turns.won()
        pauses.append(turns.pause_s)
    assert sum(pause > 0 for pause in pauses) == 3
    assert all(pause <= 1 for pause in pauses)


def test_who_loses_holds_back_twice_as_long_each_time_and_never_longer_than_some_seconds() -> None:
    pauses = lost(Turns(), 12)
    assert pauses[0] == 0.3
    assert all(after == min(2 * before, 8) for before, after in pairwise(pauses))
    assert pauses[-1] == 8


def test_where_an_attempt_takes_seconds_the_pauses_grow_with_it() -> None:
    assert lost(Turns(), 12, took_s=3)[-1] == 12


def test_who_wins_goes_on_at_once_and_still_knows_of_the_crowd() -> None:
    turns = Turns()
    before = lost(turns, 4)[-1]
    turns.won()
    assert turns.pause_s == 0
    turns.lost(0.3)
    assert turns.pause_s > before


def test_who_always_loses_has_tried_some_thirty_times_within_the_default_patience() -> None:
    tried = [total for total in accumulate(lost(Turns(), 100)) if total < 240]
    assert 30 < len(tried) < 40
