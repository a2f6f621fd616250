"""Long work that lets others have their turn: a generator that gives way after each piece and returns what it made."""

from collections.abc import Generator
from typing import TypeAlias, TypeVar

Made = TypeVar("Made")
Steps: TypeAlias = Generator[None, None, Made]
"""Some milliseconds of work a step."""


def finish(steps: Steps[Made]) -> Made:
    """What all steps together make, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: Made = end.value
            return made
