"""How a long piece of work is watched: it takes a `Watch` and a `Say`, which a command shows, and nobody else."""

import sys
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from data.dependencies import needs_group

Item = TypeVar("Item")
Say = Callable[[str], None]
"""Is told in a sentence what is being done."""


class Watch(Protocol):
    """Gives back the items as they are, and may show how far they are."""

    def __call__(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
        """The same items in the same order; `what` names the work, `total` its size where it is known."""


def unwatched(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:  # noqa: ARG001 (a port)
    """The items, and nothing is shown."""
    return items


def progress_bar(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
    """The items, with a bar and the time left on stderr.

    Raises:
        MissingGroupError: when tqdm is not installed.
    """
    with needs_group("evaluate", "Showing progress"):
        from tqdm import tqdm
    return tqdm(items, desc=what, total=total, file=sys.stderr, unit=" rows", leave=False, mininterval=0.5)
