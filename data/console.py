"""What all commands of `data` share: the two streams, exit codes, the adding of verbs, the option of a taxonomy.

Text for people goes to stderr; one JSON object is the last line of stdout.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from data.sources import read_taxonomy
from data.taxonomy import BUILT_IN, Taxonomy

DONE, FAILED, MISUSE = 0, 1, 2


class UsageError(ValueError):
    """Arguments that cannot be done as asked."""


class AddVerb(Protocol):
    """Adds a verb to the command line."""

    def __call__(
        self,
        name: str,
        run: Callable[[argparse.Namespace], int],
        about: str,
        example: str,
        *,
        keeps_going: bool = True,
    ) -> argparse.ArgumentParser:
        """The parser of the new verb, for its options; `keeps_going` says whether bad rows can be put aside."""


def say(text: str) -> None:
    """Nothing; shows people a text."""
    sys.stderr.write(f"{text}\n")


def answer(content: Mapping[str, Any]) -> None:
    """Nothing; writes one JSON object as a line of stdout."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")


def refuse_existing(path: Path, why: str) -> None:
    """Nothing, when no file stands at `path`.

    Raises:
        UsageError: when one does, and says `why` it is kept.
    """
    if path.exists():
        raise UsageError(f"{path} was not written: there is such a file already, and {why}. Name another file.")


def add_taxonomy(verb: argparse.ArgumentParser) -> None:
    """Nothing; the verb has the option `--taxonomy` afterwards."""
    verb.add_argument("--taxonomy", type=Path, metavar="IN", help="your own intents (default: the built-in 21)")


def taxonomy_of(arguments: argparse.Namespace) -> Taxonomy:
    """The taxonomy of the file that `--taxonomy` names, or the built-in one.

    Raises:
        SourceError: when the file is no taxonomy.
    """
    return read_taxonomy(arguments.taxonomy) if arguments.taxonomy else BUILT_IN
