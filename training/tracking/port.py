"""What a run tells while it goes, and the null object for whoever wants nothing kept. Knows no MLflow."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

DIRECTORY = "tracking"
"""In a run's directory: what tracking keeps of its own there, and alone may delete."""


@dataclass(frozen=True, slots=True)
class UsedPosts:
    """Posts that a run used: where they are, what for, their fingerprint (64 hex digits) and how many."""

    source: str
    context: str
    fingerprint: str
    posts: int


class Tracking(Protocol):
    """What a run tells while it goes. Nothing that is told may end the run."""

    def params(self, values: Mapping[str, object]) -> None:
        """Keeps what the run was told: flat names to values."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Keeps what the run is known by."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Keeps figures, of an epoch where `step` is given."""

    def datasets(self, used: Sequence[UsedPosts]) -> None:
        """Keeps which posts were used."""

    def text(self, text: str, name: str) -> None:
        """Keeps a text as a file of that name."""

    def figure(self, figure: Any, name: str) -> None:
        """Keeps a Plotly figure as a page."""

    def directory(self, path: Path, name: str) -> None:
        """Keeps all files of a directory under `name`."""


class Track(Protocol):
    """Begins to keep what a run tells."""

    def __call__(self, name: str, directory: Path, *, fresh: bool) -> AbstractContextManager[Tracking]:
        """Tracking of the run called `name` that lives in `directory`, going on with its record unless `fresh`."""


class Untracked:
    """Keeps nothing."""

    def params(self, values: Mapping[str, object]) -> None:
        """Nothing is kept."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Nothing is kept."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Nothing is kept."""

    def datasets(self, used: Sequence[UsedPosts]) -> None:
        """Nothing is kept."""

    def text(self, text: str, name: str) -> None:
        """Nothing is kept."""

    def figure(self, figure: Any, name: str) -> None:
        """Nothing is kept."""

    def directory(self, path: Path, name: str) -> None:
        """Nothing is kept."""


@contextmanager
def untracked(name: str, directory: Path, *, fresh: bool) -> Iterator[Tracking]:  # noqa: ARG001 (a port)
    """Tracking that keeps nothing."""
    yield Untracked()


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one level of dotted names, the form that MLflow's params take."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat
