"""The commands of `evaluation`: score, predict, report and certify a bundle on labelled posts, try its
behaviour, and queue posts for labelling.

People's text and progress go to stderr; the last line of stdout is one JSON object; exit 0 done, 1 a risk is not
proven or a gate not passed, 2 misuse or a file that cannot be used.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.dependencies import MissingGroupError
from data.rejects import SourceError
from data.splits import SplitsError
from evaluation.behaviour.capabilities import DEFAULT_CASES, CasesError
from evaluation.comparison.settings import GateError
from evaluation.options import add_budget, add_bundle, add_pair, add_posts, add_queue
from models.bundle import BundleError

if TYPE_CHECKING:
    from evaluation.commands import Load

DONE, FAILED, MISUSE = 0, 1, 2
_ABOUT = {
    "score": "print all figures of a bundle on labelled posts",
    "report": "write the confusion report: one HTML file, report.json and errors.csv",
    "predict": "write what a bundle says of posts, for labelling tools and for the audit of labels",
    "queue": "choose the posts that people should label next: uncertain, unlike, disputed, and a random share",
    "compare": "hold a challenger against the champion on the same posts: JSON, page and flips; exit 1 where it fails",
    "behaviour": "run the behaviour cases on a bundle; exit 1 where a capability fails more often than it may",
    "certify": "say which risks of the bundle's policy the posts prove to be within a budget; exit 1 where one is not",
}
_EXAMPLES = {
    "score": "score models/default my-posts.jsonl --lang en",
    "report": "report models/default data/corpus --out reports",
    "predict": "predict models/default new-posts.jsonl --out said.jsonl",
    "queue": "queue models/default new-posts.jsonl --out queue.csv --size 200 --known my-posts.jsonl",
    "compare": "compare models/default build/mine data/corpus --part calibration --out reports/mine",
    "behaviour": "behaviour models/default\n  python -m evaluation behaviour build/mine --cases my-cases.toml",
    "certify": "certify models/default data/corpus --leak-sensitive 0.02 --confidence 0.95\n"
    "  python -m evaluation certify --wrong 0.05 --fit my-policy.json --version 4",
}
_BUNDLE = "BUNDLE is a directory written by `python -m training run`."
_FILES = "JSON Lines, .csv, .parquet or a directory of such files"
_LABELLED = (
    f"FILE is {_FILES}, with labels. Without --part, data/corpus\n"
    "is read by its calibration part, which took no part in making the model; every other file is read whole."
)
_NOTES = {
    **dict.fromkeys(("score", "report", "certify"), f"{_BUNDLE}\n{_LABELLED}"),
    "predict": f"{_BUNDLE}\nFILE is {_FILES}, labelled or not; all of it is read.",
    "queue": f"{_BUNDLE}\nPOSTS is {_FILES}, labelled or not; all of it is read.",
    "compare": f"CHAMPION and CHALLENGER are directories written by `python -m training run`.\n{_LABELLED}",
    "behaviour": _BUNDLE,
}
"""What the names in the help of a verb stand for."""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation", description="Measure a bundle on labelled posts.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    added = {
        name: verbs.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog=f"{_NOTES[name]}\n\nexample:\n  python -m evaluation {_EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, about in _ABOUT.items()
    }
    add_pair(added["compare"])
    add_queue(added["queue"])
    for name in ("score", "report", "predict", "certify", "behaviour"):
        add_bundle(added[name])
    for name in ("score", "report", "compare", "certify"):
        add_posts(added[name])
    predicting = added["predict"].add_argument
    predicting("file", metavar="FILE", help="posts with ids, labelled or not")
    predicting("--out", type=Path, required=True, metavar="OUT", help="the suggestions to write, as JSON Lines")
    out = Path("reports")
    added["report"].add_argument("--out", type=Path, default=out, metavar="DIR", help="default: %(default)s")
    added["behaviour"].add_argument(
        "--cases", type=Path, default=DEFAULT_CASES, metavar="IN", help="the cases (default: %(default)s)"
    )
    add_budget(added["certify"])
    return parser


def main(arguments: Sequence[str] | None = None, load: "Load | None" = None) -> int:
    """The exit code of the command: 0 done, 1 a gate is not passed, 2 misuse. `load` stands in for a real bundle."""
    parsed = _parser().parse_args(arguments)
    try:
        from evaluation.commands import UsageError, behaviour, certify_bundle, load_predictor, predict, report, score
        from evaluation.comparison.command import compare
        from evaluation.labelling import queue
    except MissingGroupError as error:
        _say(str(error))
        return MISUSE
    run = {
        "score": score,
        "report": report,
        "predict": predict,
        "queue": queue,
        "compare": compare,
        "behaviour": behaviour,
        "certify": certify_bundle,
    }[parsed.verb]
    try:
        answer = run(parsed, load or load_predictor, _say)
    except (BundleError, CasesError, GateError, SourceError, SplitsError, UsageError, MissingGroupError) as error:
        _say(str(error))
        return MISUSE
    except OSError as error:
        _say(f"The file {error.filename} could not be written: {error.strerror}. Check the path and its permissions.")
        return MISUSE
    print(json.dumps(answer.content, ensure_ascii=False, allow_nan=False))
    return DONE if answer.passed else FAILED


if __name__ == "__main__":
    sys.exit(main())
