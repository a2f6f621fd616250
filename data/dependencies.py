"""What to type when a dependency group is not installed. Owns that one message for all folders."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

DependencyGroup = Literal[
    "client",
    "serve",
    "postgres",
    "tracing",
    "evaluate",
    "excel",
    "audit",
    "bench",
    "train",
    "search",
    "openvino",
    "workbench",
    "dev",
]
_OWN_PACKAGES = ("data", "models", "evaluation", "training", "serving")


class MissingGroupError(ImportError):
    """A library is not installed because its dependency group is not."""


@contextmanager
def needs_group(group: DependencyGroup, purpose: str) -> Iterator[None]:
    """Nothing; an import that fails inside the block is answered with the command that installs `group`.

    `purpose` says what needs it, as the start of a sentence: "Reading Parquet".

    Raises:
        MissingGroupError: when a third-party module is not found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OWN_PACKAGES:
            raise
        raise MissingGroupError(
            f"{purpose} needs `{error.name}`, which is not installed here. It belongs to the group `{group}`. "
            f"Install it: pip install --group {group} -c constraints.txt",
            name=error.name,
        ) from error
