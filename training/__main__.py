"""`python -m training`: remake a bundle from labelled posts, and make it champion."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeAlias

from data.dependencies import MissingGroupError, needs_group
from data.progress import progress_bar
from data.rejects import SourceError
from data.splits import SplitsError
from evaluation.marks import MarksError, put_between
from models.bundle import DEFAULT_BUNDLE, MODEL_FILE, BundleError, load_bundle
from training.ask_command import ASK, add_ask, run_ask
from training.errors import TrainingError
from training.experiments.commands import EXPERIMENTS, add_ladder, file_and_language, run_ladder
from training.intent_command import INTENTS, add_intents, run_intents
from training.memory import bound_caches
from training.promotion.commands import (
    LEDGER_EXAMPLES,
    PROMOTE_EXAMPLES,
    ROLLBACK_EXAMPLES,
    add_ledger,
    add_promote,
    add_rollback,
    run_ledger,
    run_promote,
    run_rollback,
)

_RUN_EXAMPLES = """  python -m training run
  python -m training run --recipe training/recipes/default.toml --out build/mine --no-tracking
  python -m training run --measure my-labelled-posts.jsonl:en
  python -m training run --recipe my-recipe.toml --dry-run
  torchrun --standalone --nproc-per-node 2 -m training run --recipe my-recipe.toml

A run that was cut off, however hard, goes on where it stopped when the same command is given again; --fresh starts
anew. The bundle waits in the run's directory: `python -m training promote` makes a champion of it, or refuses to.
The run and its bundle are tracked in MLflow: `mlflow ui --backend-store-uri sqlite:///mlflow.db` shows them.
"""


_Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_recipe(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--recipe", type=Path, default=Path("training/recipes/default.toml"), help="TOML file (%(default)s)"
    )
    verb.add_argument("--runs", type=Path, default=Path("runs"), help="where runs keep their state (%(default)s)")


def _add_run_directory(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--run-dir", type=Path, metavar="DIR", help="a run's directory, instead of the recipe's own")


def _verb(verbs: _Verbs, name: str, what: str, description: str, examples: str) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=what,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_run(verbs: _Verbs) -> None:
    run = _verb(
        verbs,
        "run",
        "fine-tune, export, prove and write a bundle",
        "Fine-tune the encoder, export it to INT8 ONNX, calibrate, prove the thresholds, write the bundle.",
        _RUN_EXAMPLES,
    )
    _add_recipe(run)
    run.add_argument(
        "--out", type=Path, metavar="DIR", help="where the bundle goes, never over a champion (RUNS/NAME-KEY/bundle)"
    )
    run.add_argument("--fresh", action="store_true", help="forget what an earlier sitting of this run left")
    run.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    run.add_argument("--no-tracking", action="store_true", help="keep nothing in MLflow")
    run.add_argument(
        "--measure",
        type=file_and_language,
        action="append",
        default=[],
        metavar="FILE[:LANG]",
        help="also measure the finished model on this labelled file; it takes no part in making it (repeatable)",
    )


def _add_experiments(verbs: _Verbs) -> None:
    for name, experiment in EXPERIMENTS.items():
        verb = _verb(verbs, name, experiment.what, experiment.description, experiment.examples)
        _add_recipe(verb)
        experiment.add(verb)


def _add_ladder(verbs: _Verbs) -> None:
    add_ladder(
        _verb(
            verbs,
            "ladder",
            "draw what each step gained over the one before, over seeds",
            "Read what `seeds` wrote of several recipes, lowest rung first; write a page, a picture and a table of\n"
            "what each gained over the one below, with the interval over the seeds that both have. Trains nothing.",
            "  python -m training ladder build/one/seeds.json build/more/seeds.json build/taught/seeds.json\n",
        )
    )


def _add_figures(verbs: _Verbs) -> None:
    figures = _verb(
        verbs,
        "figures",
        "print the figures of a bundle, or put them into a page",
        "The figures of a bundle's card as Markdown, taken from its metrics.json.",
        "  python -m training figures\n  python -m training figures --into README.md\n",
    )
    figures.add_argument("bundle", nargs="?", type=Path, default=DEFAULT_BUNDLE, help="bundle directory (%(default)s)")
    figures.add_argument("--into", type=Path, metavar="PAGE", help="replace what stands between the marks of this page")


def _add_ask(verbs: _Verbs) -> None:
    add_ask(_verb(verbs, "ask", *ASK))


def _add_distill(verbs: _Verbs) -> None:
    student = _verb(
        verbs,
        "distill",
        "teach a network of fewer layers what a run's network says",
        "Make a student of the network that a run left: some of its layers, taught by its logits and the labels.\n"
        "For `plane --student`; no bundle is made. A student that was cut off goes on, --fresh starts anew.",
        "  python -m training distill\n  python -m training distill --run-dir runs/default-0123456789 --fresh\n",
    )
    _add_recipe(student)
    _add_run_directory(student)
    student.add_argument(
        "--student-recipe",
        type=Path,
        default=Path("training/recipes/student.toml"),
        help="TOML file (%(default)s)",
    )
    student.add_argument("--fresh", action="store_true", help="forget what an earlier sitting left")


def _add_intents(verbs: _Verbs) -> None:
    add_intents(_verb(verbs, "intents", *INTENTS))


def _add_plane(verbs: _Verbs) -> None:
    plane = _verb(
        verbs,
        "plane",
        "make and measure every way to a faster model, and draw them",
        "Make every graph that was considered of the weights that a run left, and measure latency and quality of each\n"
        "on the development split: the figures of docs/model-speed.md and docs/decisions/0002.",
        "  python -m training plane\n  python -m training plane --openvino --into docs/model-speed.md\n"
        "  python -m training plane --read build/plane/plane.json --into docs/model-speed.md\n",
    )
    _add_recipe(plane)
    _add_run_directory(plane)
    plane.add_argument("--out", type=Path, default=Path("build/plane"), help="where the figures go (%(default)s)")
    plane.add_argument("--into", type=Path, metavar="PAGE", help="put tables and picture into this page as well")
    plane.add_argument("--student", type=Path, metavar="WEIGHTS", help="measure this student, made by `distill`, too")
    plane.add_argument("--openvino", action="store_true", help="measure OpenVINO too (group openvino)")
    plane.add_argument(
        "--bundle", type=Path, default=DEFAULT_BUNDLE, help="whose graph is marked as the one that ships (%(default)s)"
    )
    plane.add_argument("--read", type=Path, metavar="FILE", help="measure nothing, draw this plane.json again")


def _add_register(verbs: _Verbs) -> None:
    register = _verb(
        verbs,
        "register",
        "put a bundle into MLflow's registry of models",
        "Make the bundle a version of MLflow's registered model `signalbox`: verified, with the code that runs it.\n"
        "A bundle that is registered already keeps its version. MLFLOW_TRACKING_URI names the store.",
        "  python -m training register build/mine\n  python -m training register build/mine --alias challenger\n",
    )
    register.add_argument("bundle", type=Path, help="bundle directory")
    register.add_argument(
        "--alias", choices=("challenger",), help="what the version is to be called besides; a champion is promoted"
    )


def _add_tell(verbs: _Verbs) -> None:
    told = _verb(
        verbs,
        "tell",
        "tell MLflow what a run could not tell it",
        "A run goes on when MLflow does not answer, and keeps what it had to tell. This tells it, in order.",
        "  python -m training tell runs/default-0123456789\n",
    )
    told.add_argument("run", type=Path, help="the run's directory")


def _add_promotion(verbs: _Verbs) -> None:
    add_promote(
        _verb(
            verbs,
            "promote",
            "make a challenger champion where the gate lets it, and write it into the ledger",
            "Hold CHALLENGER against the champion on the labelled posts of FILE and, where the gate is passed, put it\n"
            "in the champion's place in one step. The earlier bundle is kept. Exit 1 where the gate refuses.",
            PROMOTE_EXAMPLES,
        )
    )
    add_rollback(
        _verb(
            verbs,
            "rollback",
            "make the champion before this one champion again",
            "Undo the newest promotion that still stands; once more goes one further back.",
            ROLLBACK_EXAMPLES,
        )
    )
    add_ledger(
        _verb(
            verbs,
            "ledger",
            "show who made what champion, and check that no line was changed",
            "Show every line of the ledger and check the chain of their hashes; end what an interrupted command left.",
            LEDGER_EXAMPLES,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Make a bundle from labelled posts.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (
        _add_run,
        _add_experiments,
        _add_ladder,
        _add_figures,
        _add_ask,
        _add_distill,
        _add_intents,
        _add_plane,
        _add_register,
        _add_tell,
        _add_promotion,
    ):
        add(verbs)
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _run(arguments: argparse.Namespace) -> dict[str, object] | None:
    with needs_group("train", "Training"):
        from training.command import run
    return run(arguments, arguments.measure, _say)


def _figures(arguments: argparse.Namespace) -> dict[str, object]:
    with needs_group("train", "Writing figures"):
        from training.card import MARKS, render_figures
    bundle = load_bundle(arguments.bundle)
    figures = render_figures(bundle.policy, bundle.metrics)
    if arguments.into is None:
        _say(figures)
    else:
        page = put_between(arguments.into.read_text(encoding="utf-8"), MARKS, figures)
        arguments.into.write_text(page, encoding="utf-8")
    return {"bundle": str(bundle.directory), "into": arguments.into and str(arguments.into)}


def _distill(arguments: argparse.Namespace) -> dict[str, object]:
    with needs_group("train", "Distilling a student"):
        from training.recipe import read_recipe, read_student_recipe
        from training.student import distill_run
    student = distill_run(
        read_recipe(arguments.recipe),
        read_student_recipe(arguments.student_recipe),
        runs=arguments.runs,
        run=arguments.run_dir,
        fresh=arguments.fresh,
        watch=progress_bar,
    )
    return {"weights": str(student.weights), **asdict(student.history[student.best_epoch - 1])}


def _plane(arguments: argparse.Namespace) -> dict[str, object]:
    with needs_group("train", "Measuring the plane"):
        from training.plane import plane_of_run
        from training.plane_page import put_plane, read_plane, render_tables, write_plane
        from training.recipe import read_recipe
    if arguments.read:
        plane = read_plane(arguments.read)
    else:
        plane = plane_of_run(
            read_recipe(arguments.recipe),
            runs=arguments.runs,
            run=arguments.run_dir,
            student=arguments.student,
            shipped=arguments.bundle / MODEL_FILE,
            openvino=arguments.openvino,
            watch=progress_bar,
        )
    lacking = write_plane(plane, arguments.out)
    _say(render_tables(plane))
    if lacking:
        _say(lacking)
    if arguments.into:
        put_plane(plane, arguments.out, arguments.into)
    return {"out": str(arguments.out), "into": arguments.into and str(arguments.into), **asdict(plane)}


def _register(arguments: argparse.Namespace) -> dict[str, object]:
    from training.tracking.registry import MODEL, register

    version = register(arguments.bundle, arguments.alias)
    return {"model": MODEL, "version": version.number, "bundle": version.bundle, "aliases": version.aliases}


def _tell(arguments: argparse.Namespace) -> dict[str, object]:
    from training.tracking.run import tell

    run, told = tell(arguments.run, _say)
    return {"run": run, "told": told}


def _promote(arguments: argparse.Namespace) -> dict[str, object]:
    return run_promote(arguments, _say)


def _rollback(arguments: argparse.Namespace) -> dict[str, object]:
    return run_rollback(arguments, _say)


def _ledger(arguments: argparse.Namespace) -> dict[str, object]:
    return run_ledger(arguments, _say)


_WORK: dict[str, Callable[[argparse.Namespace], dict[str, object] | None]] = {
    "run": _run,
    **{name: partial(experiment.run, say=_say) for name, experiment in EXPERIMENTS.items()},
    "ladder": partial(run_ladder, say=_say),
    "figures": _figures,
    "ask": run_ask,
    "distill": _distill,
    "intents": run_intents,
    "plane": _plane,
    "register": _register,
    "tell": _tell,
    "promote": _promote,
    "rollback": _rollback,
    "ledger": _ledger,
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 the gate refuses, 2 misuse or bad input."""
    arguments = _parser().parse_args(argv)
    bound_caches()
    try:
        answer = _WORK[arguments.verb](arguments)
    except (MissingGroupError, SourceError, SplitsError, BundleError, MarksError, TrainingError) as error:
        _say(str(error))
    except OSError as error:
        _say(f"The file {error.filename} could not be read or written: {error.strerror}. Check the path.")
    else:
        if answer is None:  # a rank that only helped: the first one answers
            return 0
        print(json.dumps(answer))
        return 1 if answer.get("refused") else 0
    return 2


if __name__ == "__main__":
    sys.exit(main())
