"""The commands of the server: `python -m serving VERB`.

People's text goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 done, 1 a check failed or the
model did not start, 2 misuse.
"""

import argparse
import sys
from collections.abc import Sequence

from data.dependencies import MissingGroupError, needs_group
from serving.commands import checking, forbidding, keeping, keys, running
from serving.commands.verbs import MISUSE, SETTINGS_HINT, say


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serves a bundle over HTTP.",
        epilog=f"example: python -m serving run --port 8000 (run is the verb when none is given)\n\n{SETTINGS_HINT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for family in (running, checking, keeping, forbidding, keys):
        family.add(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command in `argv` (by default the process's)."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "run")
    arguments = _parser().parse_args(given)
    try:
        with needs_group("serve", "Serving"):
            from serving.settings import SettingsError
        try:
            with needs_group("serve", "Serving"):
                code: int = arguments.function(arguments)
        except SettingsError as error:
            say(str(error))
            return MISUSE
    except MissingGroupError as error:
        say(str(error))
        return MISUSE
    return code


if __name__ == "__main__":
    sys.exit(main())
