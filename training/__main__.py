"""`python -m training`: remake a bundle from labelled posts."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from data.dependencies import MissingGroupError, needs_group
from data.progress import progress_bar
from data.rejects import SourceError
from data.splits import SplitsError
from models.bundle import DEFAULT_BUNDLE, BundleError, load_bundle
from training.errors import TrainingError

_EXAMPLES = """examples:
  python -m training run
  python -m training run --recipe training/recipes/default.toml --out build/mine --no-tracking
  python -m training run --measure my-labelled-posts.jsonl:en

A run that was cut off, however hard, goes on where it stopped when the same command is given again; --fresh starts
anew. The run and its bundle are tracked in MLflow: `mlflow ui --backend-store-uri sqlite:///mlflow.db` shows them.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Make a bundle from labelled posts.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser(
        "run",
        help="fine-tune, export, prove and write a bundle",
        description="Fine-tune the encoder, export it to INT8 ONNX, calibrate, prove the thresholds, write the bundle.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "--recipe", type=Path, default=Path("training/recipes/default.toml"), help="TOML file (%(default)s)"
    )
    run.add_argument("--out", type=Path, default=DEFAULT_BUNDLE, help="where the bundle goes (%(default)s)")
    run.add_argument("--runs", type=Path, default=Path("runs"), help="where runs keep their state (%(default)s)")
    run.add_argument("--fresh", action="store_true", help="forget what an earlier sitting of this run left")
    run.add_argument("--no-tracking", action="store_true", help="keep nothing in MLflow")
    run.add_argument(
        "--measure",
        action="append",
        default=[],
        metavar="FILE[:LANG]",
        help="also measure the finished model on this labelled file; it takes no part in making it (repeatable)",
    )
    figures = verbs.add_parser(
        "figures",
        help="print the figures of a bundle, or put them into a page",
        description="The figures of a bundle's card as Markdown, taken from its metrics.json.",
        epilog="examples:\n  python -m training figures\n  python -m training figures --into README.md\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    figures.add_argument("bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE, help="bundle directory (%(default)s)")
    figures.add_argument("--into", type=Path, metavar="PAGE", help="replace what stands between the marks of this page")
    return parser


def _measured(argument: str) -> tuple[Path, str | None]:
    file, colon, language = argument.rpartition(":")
    return (Path(file), language) if colon else (Path(argument), None)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(arguments: argparse.Namespace) -> dict[str, object]:
    with needs_group("train", "Training"):
        from training.pipeline import make_bundle
        from training.recipe import read_recipe
        from training.tracking import track
    recipe = read_recipe(arguments.recipe)
    with nullcontext() if arguments.no_tracking else track(recipe.name) as tracking:
        bundle = make_bundle(
            recipe,
            arguments.out,
            runs=arguments.runs,
            fresh=arguments.fresh,
            outside=[_measured(each) for each in arguments.measure],
            tracking=tracking,
            watch=progress_bar,
            say=_say,
        )
    held_out = bundle.metrics["held_out"]
    return {
        "bundle": str(bundle.directory),
        "model": bundle.manifest.model_version,
        "precision": bundle.manifest.precision,
        "macro_f1": held_out["route"]["macro_f1"]["value"],
        "accuracy": held_out["route"]["accuracy"]["value"],
        "certified": not bundle.policy.thresholds.answer_nothing,
    }


def _figures(arguments: argparse.Namespace) -> dict[str, object]:
    with needs_group("train", "Writing figures"):
        from training.card import put_figures, render_figures
    bundle = load_bundle(arguments.bundle)
    figures = render_figures(bundle.policy, bundle.metrics)
    if arguments.into is None:
        _say(figures)
    else:
        page = put_figures(arguments.into.read_text(encoding="utf-8"), figures)
        arguments.into.write_text(page, encoding="utf-8")
    return {"bundle": str(bundle.directory), "into": arguments.into and str(arguments.into)}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 2 misuse or bad input."""
    arguments = _parser().parse_args(argv)
    work = {"run": _run, "figures": _figures}[arguments.verb]
    try:
        answer = work(arguments)
    except (MissingGroupError, SourceError, SplitsError, BundleError, TrainingError) as error:
        _say(str(error))
    except OSError as error:
        _say(f"The file {error.filename} could not be read or written: {error.strerror}. Check the path.")
    else:
        print(json.dumps(answer))
        return 0
    return 2


if __name__ == "__main__":
    sys.exit(main())
