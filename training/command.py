"""What `python -m training run` does: a bundle, a part of the work of one, or what would be done."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from data.progress import Say, progress_bar
from training.pipeline import assist_run, make_bundle
from training.plan import plan_run, render_plan
from training.ranks import Ranks, joined_ranks
from training.recipe import Recipe, read_recipe
from training.tracking.port import untracked
from training.tracking.run import MlflowTracker
from training.tracking.store import tracking_uri

Measured = Sequence[tuple[Path, str | None]]


def _plan(arguments: argparse.Namespace, recipe: Recipe, measured: Measured, say: Say) -> dict[str, object]:
    plan = plan_run(
        recipe,
        arguments.out,
        runs=arguments.runs,
        fresh=arguments.fresh,
        outside=measured,
        store=None if arguments.no_tracking else tracking_uri(),
    )
    say(render_plan(plan))
    return asdict(plan)


def _make(
    arguments: argparse.Namespace, recipe: Recipe, measured: Measured, say: Say, ranks: Ranks
) -> dict[str, object]:
    tracker = None if arguments.no_tracking else MlflowTracker(say)
    bundle = make_bundle(
        recipe,
        arguments.out,
        runs=arguments.runs,
        fresh=arguments.fresh,
        outside=measured,
        track=tracker or untracked,
        watch=progress_bar,
        say=say,
        ranks=ranks,
    )
    data = recipe.data  # the gate reads one file: where the posts are in several, one that nobody trained on is wanted
    given = "FILE" if data.more else f"{data.posts} --splits {data.splits} --part calibration"
    say(f"To put it into service: python -m training promote {bundle.directory} {given} --reason WHY --by NAME")
    held_out = bundle.metrics["held_out"]
    return {
        "bundle": str(bundle.directory),
        "model": bundle.manifest.model_version,
        "precision": bundle.manifest.precision,
        "macro_f1": held_out["route"]["macro_f1"]["value"],
        "accuracy": held_out["route"]["accuracy"]["value"],
        "certified": not bundle.policy.thresholds.answer_nothing,
        "untold": tracker and tracker.untold,
    }


def run(arguments: argparse.Namespace, measured: Measured, say: Say) -> dict[str, object] | None:
    """The command's answer; `None` for a rank that only helped the first one.

    Raises:
        TrainingError, SourceError, SplitsError: as `training.pipeline.make_bundle`.
    """
    recipe = read_recipe(arguments.recipe)
    with joined_ranks() as ranks:
        if ranks.is_first and arguments.dry_run:
            return _plan(arguments, recipe, measured, say)
        if ranks.is_first:
            return _make(arguments, recipe, measured, say, ranks)
        if not arguments.dry_run:
            assist_run(recipe, runs=arguments.runs, ranks=ranks)
        return None
