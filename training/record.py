"""What a run tells of itself to the tracking: what it is made of, each epoch, its members, its bundle."""

from dataclasses import asdict
from pathlib import Path

from data.fingerprint import fingerprint
from data.splits import PARTS, Splits
from evaluation.predictions import Predictions
from evaluation.report.page import Origin, write_report
from models.bundle import MANIFEST_FILE, Bundle, sha256_of
from training.baseline import Baseline
from training.environment import git_commit, installed, machine
from training.figures import learning_curve
from training.history import Epoch
from training.members import Finetuned
from training.recipe import Recipe, recipe_toml
from training.tracking.port import Tracking, UsedPosts, flatten


def begin(tracking: Tracking, recipe: Recipe, splits: Splits) -> None:
    """Nothing; `tracking` was told what the run is made of."""
    tracking.params(flatten(recipe.model_dump(mode="json")))
    tracking.tags({"git_commit": git_commit(), "data_fingerprint": fingerprint(splits.posts), **machine()})
    tracking.text(installed(), "requirements.txt")
    tracking.text(recipe_toml(recipe), "recipe.toml")
    parts = {name: splits.part(name) for name in PARTS}
    tracking.datasets(
        [UsedPosts(recipe.data.posts, name, fingerprint(posts), len(posts)) for name, posts in parts.items()]
    )


def tell_epoch(tracking: Tracking, number: int, epoch: Epoch) -> None:
    """Nothing; `tracking` has the figures of an epoch of a member, counted from 0."""
    figures = {f"member_{number}_{name}": value for name, value in asdict(epoch).items() if name != "epoch"}
    tracking.metrics(figures, step=epoch.epoch)


def follow(tracking: Tracking, finetuned: Finetuned, baseline: Baseline) -> None:
    """Nothing; `tracking` has the learning curves of all members, and what they and the baseline came to."""
    for number, member in enumerate(finetuned.members):
        tracking.figure(learning_curve(member.history), f"learning_curve_member_{number}")
    tracking.metrics({"development_macro_f1": finetuned.macro_f1, "training_seconds": finetuned.seconds})
    tracking.metrics({f"baseline_{name}": value for name, value in asdict(baseline).items()})


def finish(tracking: Tracking, bundle: Bundle, held_out: Predictions, recipe: Recipe, directory: Path) -> None:
    """Nothing; `tracking` has the figures of the bundle, the report on the posts `held_out` by it, and the bundle."""
    figures = bundle.metrics["held_out"]
    tracking.metrics(
        {
            "held_out_macro_f1": figures["route"]["macro_f1"]["value"],
            "held_out_accuracy": figures["route"]["accuracy"]["value"],
            "held_out_intent_accuracy": figures["intent"]["accuracy"]["value"],
            "held_out_automatic_share": figures["decisions"]["automatic_share"]["value"],
            "size_bytes": float(bundle.metrics["export"]["size_bytes"]),
        }
    )
    origin = Origin(
        model_version=bundle.manifest.model_version,
        precision=bundle.manifest.precision,
        file=recipe.data.posts,
        part="calibration",
        languages=(),
        created_at=bundle.manifest.created_at,
    )
    write_report(directory / "report", origin, held_out, bundle.policy)
    tracking.directory(directory / "report", "report")
    tracking.directory(bundle.directory, "bundle")
    tracking.tags(
        {
            "model_version": bundle.manifest.model_version,
            "manifest_sha256": sha256_of(bundle.directory / MANIFEST_FILE),
            "precision": bundle.manifest.precision,
            "certified": str(not bundle.policy.thresholds.answer_nothing).lower(),
        }
    )
