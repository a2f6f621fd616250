"""`python -m evaluation.benchmarks.intents`: published intent sets, our trainer and its neighbours.

People's text goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 done, 1 something was not
measured, 2 misuse.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data.dependencies import MissingGroupError, needs_group
from data.rejects import SourceError
from evaluation.marks import MarksError, put_between

DONE, FAILED, MISUSE = 0, 1, 2
OUT = Path("reports/intents")
_PROGRAM = "python -m evaluation.benchmarks.intents"
Verb = Callable[[argparse.Namespace], tuple[dict[str, Any], bool]]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Measure the methods on the sets; what an earlier sitting measured is kept, and a training goes on."""
    from evaluation.benchmarks.intents.figures import write_figure
    from evaluation.benchmarks.intents.measurement import JSON_FILE, describe, plan
    from evaluation.benchmarks.intents.measurement import run as run_all
    from evaluation.benchmarks.intents.methods import METHODS
    from evaluation.benchmarks.intents.sets import SETS, read_sets
    from evaluation.benchmarks.intents.tables import render_tables

    sets = read_sets(arguments.sets.split(",") if arguments.sets else list(SETS), arguments.data)
    methods = arguments.methods.split(",") if arguments.methods else list(METHODS)
    planned = plan(sets, methods, arguments.seeds, arguments.out, _say)
    if arguments.kept:
        planned = [each for each in planned if each.done_s is not None]
    _say(describe(planned))
    if arguments.plan:
        return {"cells": len(planned), "left": sum(each.done_s is None for each in planned)}, True
    results = run_all(planned, arguments.out, _say)
    page, no_picture = write_figure(arguments.out, results)
    _say(render_tables(results))
    if no_picture:
        _say(no_picture)
    answer = {"json": str(arguments.out / JSON_FILE), "html": str(page), "cells": len(results.cells)}
    return answer | {"missing": len(results.missing)}, not results.missing


def table(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Put the tables of a run into a page, between its two marks."""
    from evaluation.benchmarks.intents.results import read_results
    from evaluation.benchmarks.intents.tables import MARKS, render_tables

    tables = render_tables(read_results(arguments.results))
    if arguments.into is None:
        _say(tables)
    else:
        page = put_between(arguments.into.read_text(encoding="utf-8"), MARKS, tables)
        arguments.into.write_text(page, encoding="utf-8")
    return {"from": str(arguments.results), "into": arguments.into and str(arguments.into)}, True


def _count(argument: str) -> int:
    if not argument.isdecimal() or not int(argument):
        raise argparse.ArgumentTypeError(f"{argument!r} is no number of seeds; wanted 1 or more")
    return int(argument)


def _add(verbs: Any, verb: Verb, what: str, *examples: str) -> argparse.ArgumentParser:
    shown = "".join(f"\n  {_PROGRAM} {verb.__name__}{example}" for example in examples)
    parser: argparse.ArgumentParser = verbs.add_parser(
        verb.__name__,
        help=what,
        description=verb.__doc__,
        epilog=f"examples:{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(verb=verb)
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Hold the trainer against published intent sets.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    running = _add(
        verbs,
        run,
        "measure the methods on the sets",
        " --data ../shared/benchmarks --plan",
        " --data ../shared/benchmarks --sets banking77-10shot --seeds 1 --methods tfidf-svc,frozen-lr",
        " --data hub --sets banking77,clinc150",
    )
    add = running.add_argument
    add("--data", required=True, metavar="DIR", help="holds banking77/, clinc150/ and hint3/; or the word hub")
    add("--sets", metavar="NAMES", help="separated by commas: banking77, banking77-10shot, clinc150, hint3 (all)")
    add("--methods", metavar="NAMES", help="separated by commas, in this order (all)")
    add("--seeds", type=_count, default=3, metavar="N", help="seeds 0 to N-1 (%(default)s)")
    add("--plan", action="store_true", help="say what is left and how long it takes, and do nothing")
    add("--kept", action="store_true", help="score what earlier sittings learnt, and learn nothing")
    add("--out", type=Path, default=OUT, metavar="DIR", help="where all of it is kept (%(default)s)")
    filling = _add(verbs, table, "put the tables of a run into a page", "", " docs/yardsticks.md")
    filling.add_argument("into", nargs="?", type=Path, metavar="INTO", help="page with the two marks; none prints them")
    filling.add_argument(
        "--from", dest="results", type=Path, default=OUT / "intents.json", metavar="FILE", help="(%(default)s)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 something was not measured, 2 misuse."""
    arguments = _parser().parse_args(argv)
    try:
        with needs_group("evaluate", "The intent benchmark"):
            from evaluation.benchmarks.intents.results import ResultsError
            from evaluation.benchmarks.intents.sets import SetError
    except MissingGroupError as error:
        _say(str(error))
        return MISUSE
    try:
        answer, whole = arguments.verb(arguments)
    except KeyboardInterrupt:
        _say("Stopped; the same command goes on.")
        return 130
    except (SetError, ResultsError, MarksError, SourceError, MissingGroupError) as error:
        _say(str(error))
        return MISUSE
    except OSError as error:
        _say(f"The file {error.filename} could not be read or written: {error.strerror}. Check the path.")
        return MISUSE
    print(json.dumps(answer, allow_nan=False))
    return DONE if whole else FAILED


if __name__ == "__main__":
    sys.exit(main())
