"""A few texts of two intents, for the tests of the intent benchmark."""

from evaluation.benchmarks.intents.sets import Text

HELD_OUT = (
    Text("development", "pay a bill", "pay"),
    Text("development", "zebra", None),
    Text("test", "play the song", "play"),
    Text("test", "pay bills", "pay"),
    Text("test", "giraffe", None),
)
BILLS = tuple(Text("train", f"pay the bill {n}", "pay") for n in range(6))


def quiet(text: str) -> None:
    """Nobody listens."""
