"""How long a request that was read waits for its turn on the event loop, where all that was read before it goes first.

Each takes the loop for as long as its first step lasts: for a post that is known already that is all of its answer.
Under a load that the loop cannot keep up with this wait grows without end, while no worker has anything to do.
"""

_LEARNT = 0.1
"""How much of a new measurement goes into what a turn takes."""


class Turns:
    """The requests that were read and have not begun. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._waiting = 0
        self._turn_s = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds that a request which is read now will wait, going by what waits before it; 0 where nothing does."""
        return self._waiting * self._turn_s

    def queue(self) -> int:
        """The place in the line of a request that comes in now, from 1."""
        self._waiting += 1
        return self._waiting

    def begin(self, place: int, waited_s: float) -> None:
        """Nothing; a request that had a `place` in the line begins."""
        self._waiting -= 1
        self._turn_s += _LEARNT * (waited_s / place - self._turn_s)
