"""What all commands share: how they are added, what they say and answer, and how they end.

People's text goes to stderr; the last line of stdout is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SETTINGS_HINT = "All settings are SIGNALBOX_ variables; they stand in docs/operations.md."
DONE, FAILED, MISUSE = 0, 1, 2
"""Exit codes: done, a check failed or the model did not start, misuse."""
Verbs = Any
"""What argparse adds commands to; its class has no public name."""
Verb = Callable[[argparse.Namespace], int]


def say(text: str) -> None:
    """Nothing; people read it."""
    print(text, file=sys.stderr, flush=True)


def reply(answer: dict[str, object] | str) -> None:
    """Nothing; programs read it: an object, or a line that is JSON already."""
    print(answer if isinstance(answer, str) else json.dumps(answer), flush=True)


def add_verb(verbs: Verbs, name: str, function: Verb, what: str, *examples: str) -> argparse.ArgumentParser:
    """The parser of a new command that is run by `function`, whose docstring describes it."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=what,
        description=function.__doc__,
        epilog="\n".join(["examples:", *(f"  python -m serving {example}" for example in examples), "", SETTINGS_HINT]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(function=function)
    return parser


def add_bundle(*parsers: argparse.ArgumentParser) -> None:
    """Nothing; each takes a bundle."""
    for parser in parsers:
        parser.add_argument("--bundle", type=Path, help="directory of the bundle (SIGNALBOX_BUNDLE)")


def add_journal(*parsers: argparse.ArgumentParser) -> None:
    """Nothing; each takes a journal."""
    for parser in parsers:
        parser.add_argument("--journal", help="database to use; its password can be seen by `ps` (SIGNALBOX_JOURNAL)")
