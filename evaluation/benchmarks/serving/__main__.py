"""`python -m evaluation.benchmarks.serving`: the serving benchmark, its table, and what is seen only over time.

People's text goes to stderr; the last line of stdout is one JSON object. Exit codes: 0 done, 1 a limit was not kept or
this server was not measured, 2 misuse.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data.dependencies import MissingGroupError, needs_group
from evaluation.marks import MarksError, put_between
from models.bundle import DEFAULT_BUNDLE, BundleError

DONE, FAILED, MISUSE = 0, 1, 2
OUT = Path("reports/benchmarks")
_PROGRAM = "python -m evaluation.benchmarks.serving"
Verb = Callable[[argparse.Namespace], tuple[dict[str, Any], bool]]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Measure this server and its peers in turn, each beside the bare model of its own minutes."""
    from evaluation.benchmarks.serving import comparison
    from evaluation.benchmarks.serving.figures import write_figure
    from models.bundle import load_bundle

    peers = comparison.chosen_peers(arguments.peers)
    if arguments.install_only:
        outcome = comparison.install_all(peers, _say)
        return {"installed": {name: reason or True for name, reason in outcome.items()}}, not any(outcome.values())
    request = comparison.Request(load_bundle(arguments.bundle), peers, arguments.quick, arguments.out)
    results = comparison.compare(request, _say)
    page, picture = write_figure(arguments.out, results)
    files = {"json": arguments.out / comparison.JSON_FILE, "html": page, "png": picture}
    _say(f"The results: {files['json']}\nThe figure: {picture or page}")
    answer = {"files": {name: path and str(path) for name, path in files.items()}}
    return answer | {"ratios": comparison.headline(results)}, comparison.was_measured(results)


def bare(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Measure the bare model alone: its latency on one thread, its limit with a thread a core, the whole predictor."""
    from evaluation.benchmarks.serving.bare import measure_bare
    from evaluation.benchmarks.serving.workload import draw_items, read_items
    from models.bundle import load_bundle

    bundle = load_bundle(arguments.bundle)
    if arguments.items:
        items = read_items(arguments.items)
    else:
        items = draw_items(bundle.tokenizer_path, bundle.manifest.reading, bundle.policy)
    return measure_bare(bundle, items, arguments.seconds).model_dump(mode="json"), True


def table(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Put the tables of a run into a page, between its two marks."""
    from evaluation.benchmarks.serving.results import read_results
    from evaluation.benchmarks.serving.tables import MARKS, render_tables

    tables = render_tables(read_results(arguments.results))
    if arguments.into is None:
        _say(tables)
    else:
        page = put_between(arguments.into.read_text(encoding="utf-8"), MARKS, tables)
        arguments.into.write_text(page, encoding="utf-8")
    return {"from": str(arguments.results), "into": arguments.into and str(arguments.into)}, True


def soak(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Send many posts of mixed length and see whether the server's memory stays flat; exit 1 where it does not."""
    from evaluation.benchmarks.serving import endurance
    from evaluation.benchmarks.serving.comparison import LOAD_TOOL
    from evaluation.benchmarks.serving.contenders import own_contender
    from evaluation.benchmarks.serving.environments import CACHE, install, program_of
    from evaluation.benchmarks.serving.workload import draw_items
    from models.bundle import load_bundle

    bundle = load_bundle(arguments.bundle)
    install(LOAD_TOOL, _say)
    items = draw_items(bundle.tokenizer_path, bundle.manifest.reading, bundle.policy)
    tool = program_of(LOAD_TOOL, LOAD_TOOL)
    found = endurance.soak(
        own_contender(""), bundle.directory, items, tool=tool, cache=CACHE, posts=arguments.posts, say=_say
    )
    _write(arguments.out / "soak.json", found.model_dump_json(indent=2) + "\n")
    _say(f"RSS {found.settled_rss_mb:.0f} MB, at most {found.highest_rss_mb:.0f} MB: {found.growth:+.1%}")
    return found.model_dump(mode="json", exclude={"samples"}), found.passed


def idle(arguments: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Measure what an idle server costs and how long it takes to start; exit 1 where a limit is not kept."""
    from evaluation.benchmarks.serving import endurance
    from evaluation.benchmarks.serving.contenders import own_contender
    from evaluation.benchmarks.serving.environments import CACHE

    body = b'{"text": "where do I track my parcel?"}'
    found = endurance.idle(
        own_contender(""),
        arguments.bundle,
        body,
        cache=CACHE,
        seconds=arguments.seconds,
        starts=arguments.starts,
        say=_say,
    )
    _write(arguments.out / "idle.json", found.model_dump_json(indent=2) + "\n")
    _say(f"ready in {found.ready_s:.2f} s, {found.cpu_share:.2%} of a core while nobody asks")
    return found.model_dump(mode="json"), found.passed


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
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Measure the server beside the bare model and peers.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    running = _add(verbs, run, "measure this server and its peers", "", " --peers none --quick", " --install-only")
    running.add_argument(
        "--peers", default="all", metavar="NAMES", help="separated by commas, all or none (%(default)s)"
    )
    running.add_argument("--quick", action="store_true", help="2 s a load: to see that it works, not to be quoted")
    running.add_argument("--install-only", action="store_true", help="make the environments and measure nothing")
    alone = _add(verbs, bare, "measure the bare model alone", "", " --seconds 5")
    alone.add_argument("--seconds", type=float, default=3.0, help="for each measurement (%(default)s)")
    alone.add_argument("--items", type=Path, help="posts that a run has rendered, instead of the corpus")
    filling = _add(verbs, table, "put the tables of a run into a page", "", " docs/benchmarks.md")
    filling.add_argument("into", nargs="?", type=Path, metavar="INTO", help="page with the two marks; none prints them")
    filling.add_argument(
        "--from", dest="results", type=Path, default=OUT / "serving.json", metavar="FILE", help="(%(default)s)"
    )
    soaking = _add(verbs, soak, "see whether memory stays flat", "", " --posts 20000")
    soaking.add_argument("--posts", type=int, default=300_000, help="how many (%(default)s)")
    resting = _add(verbs, idle, "see what an idle server costs and how fast it starts", "", " --seconds 5 --starts 1")
    resting.add_argument("--seconds", type=float, default=20.0, help="for which nobody asks (%(default)s)")
    resting.add_argument("--starts", type=int, default=5, help="how often it is started (%(default)s)")
    for each in (running, alone, soaking, resting):
        each.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE, help="whose graph is served (%(default)s)")
    for each in (running, soaking, resting):
        each.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="where the results go (%(default)s)")
    return parser


def _end(number: int, _: object) -> None:
    """Ends as Ctrl-C does, so that everything started is ended too."""
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 a limit was not kept, 2 misuse."""
    arguments = _parser().parse_args(argv)
    try:
        with needs_group("bench", "The serving benchmark"):
            from data.rejects import SourceError
            from evaluation.benchmarks.serving.comparison import UnknownPeerError
            from evaluation.benchmarks.serving.environments import InstallError
            from evaluation.benchmarks.serving.load import LoadError
            from evaluation.benchmarks.serving.processes import NotStartedError
            from evaluation.benchmarks.serving.results import ResultsError
    except MissingGroupError as error:
        _say(str(error))
        return MISUSE
    previous = signal.signal(signal.SIGTERM, _end)
    try:
        answer, passed = arguments.verb(arguments)
    except KeyboardInterrupt:
        _say("Stopped; everything that was started has ended.")
        return 130
    except (InstallError, LoadError, NotStartedError) as error:
        _say(str(error))
        return FAILED
    except (BundleError, SourceError, ResultsError, MarksError, UnknownPeerError, MissingGroupError) as error:
        _say(str(error))
        return MISUSE
    except OSError as error:
        _say(f"The file {error.filename} could not be read or written: {error.strerror}. Check the path.")
        return MISUSE
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(json.dumps(answer, allow_nan=False))
    return DONE if passed else FAILED


if __name__ == "__main__":
    sys.exit(main())
