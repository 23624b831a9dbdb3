"""Whose turn it is, among writers who cannot see each other: only that an attempt was lost (DR-019).

Who won goes on at once: it has seen the newest state, and needs half the time of one who must look first. Who
lost holds back, twice as long each time. After many wins in a row a writer leaves a gap for the others. Pure.
"""

_LONGEST_S = 8.0
_LONGEST_ATTEMPTS = 4  # of one attempt, where that takes longer
_ROW = 32
_GAP_S = 1.0
_FORGET = 0.9  # what a win leaves of what was seen of the crowd


class Turns:
    """What one writer has seen of the others. `pause_s` is how long to hold back now, at most."""

    def __init__(self) -> None:
        self.pause_s = 0.0
        self._crowd_s = 0.0
        self._won = 0

    def lost(self, took_s: float) -> None:
        """Somebody was faster than an attempt that took so many seconds."""
        self._won = 0
        longest = max(_LONGEST_S, _LONGEST_ATTEMPTS * took_s)
        self._crowd_s = min(max(2 * self._crowd_s, took_s), longest)
        self.pause_s = self._crowd_s

    def won(self) -> None:
        """An attempt succeeded."""
        self._won += 1
        self._crowd_s *= _FORGET
        self.pause_s = 0.0
        if self._won % _ROW == 0:
            self.pause_s = _GAP_S
