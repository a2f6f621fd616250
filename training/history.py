"""How a member's training went, epoch by epoch: a file in its directory, and whoever wants to hear of it as it grows.

Members train in processes of their own; what they write is read here, so that a run can tell each epoch when it ends.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from data.output import whole_file
from data.progress import Watch

HISTORY_FILE = "history.json"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to: mean loss, figures of the averaged weights on the development split, seconds so far."""

    epoch: int
    loss: float
    macro_f1: float
    accuracy: float
    intent_accuracy: float
    seconds: float


TellEpoch = Callable[[int, Epoch], None]
"""Told the number of a member, counted from 0, and an epoch that it has ended; each once in a sitting."""


def untold(number: int, epoch: Epoch) -> None:
    """Nobody wants to hear of an epoch."""


def write_history(history: Sequence[Epoch], directory: Path) -> None:
    """Nothing; the file in `directory` holds these epochs, or what it held before, never a part of them."""
    with whole_file(directory / HISTORY_FILE) as file:
        json.dump([asdict(epoch) for epoch in history], file)


def read_history(directory: Path) -> tuple[Epoch, ...]:
    """The epochs in the file in `directory`, none where there is no file."""
    try:
        return tuple(Epoch(**epoch) for epoch in json.loads((directory / HISTORY_FILE).read_bytes()))
    except FileNotFoundError:
        return ()


class Follower:
    """Tells of every epoch that the members write into their directories, soon after it was written."""

    def __init__(self, directories: Sequence[Path], tell: TellEpoch) -> None:
        self._directories, self._tell = directories, tell
        self._read_ns = [0] * len(directories)
        self._told = [0] * len(directories)

    def look(self) -> None:
        """Tells what is new."""
        for number, directory in enumerate(self._directories):
            try:
                written_ns = (directory / HISTORY_FILE).stat().st_mtime_ns
            except FileNotFoundError:
                continue
            if written_ns == self._read_ns[number]:
                continue
            self._read_ns[number] = written_ns
            history = read_history(directory)
            for epoch in history[self._told[number] :]:
                self._tell(number, epoch)
            self._told[number] = len(history)

    def watching(self, watch: Watch) -> Watch:
        """`watch`, looking before each of its items."""

        def look_between(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
            for item in watch(items, what, total):
                self.look()
                yield item

        return look_between
