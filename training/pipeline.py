"""From a recipe to a verified bundle: the stages in order. Each stage stands in its own module; this one joins them.

A run has a directory of its own, named by recipe and data, so that a run that was cut off is found again and goes
on; the bundle is written at the very end, or not at all.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from data.fingerprint import fingerprint
from data.progress import Say, Watch, unwatched
from data.splits import PARTS, Splits
from evaluation.summary import Summary, summarise
from models.bundle import (
    Bundle,
    BundleParts,
    Manifest,
    model_version,
    sha256_of,
    write_bundle,
)
from models.guards import Guards, LanguageDetector
from training.baseline import Baseline, train_baseline
from training.candidates import Candidate, Proven, measure_candidate, prove
from training.card import render_card
from training.encoder import find_encoder
from training.environment import git_commit
from training.errors import ExportError
from training.export import difference, export_fp32
from training.gates import Comparison, compare
from training.golden import record_golden
from training.members import Finetuned, assist, finetune
from training.network import load_network
from training.outside import read_outside, score_outside
from training.quantize import EXCLUSIONS, quantize_int8
from training.ranks import ALONE, Ranks
from training.recipe import Recipe, recipe_toml
from training.record import begin, finish, follow, tell_epoch
from training.runs import RUNS, bundle_place, forget, holding_run, read_parts, read_unlabelled, run_directory
from training.tracking.port import Track, untracked

INT8_FILE = "int8.onnx"
_PARITY_POSTS = 200
MEMBERS_AT_A_TIME = 4
"""More than two cores need: three on two cores end together, where two and then one would leave a core idle. Each
takes 1.2 GB here."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The graph that will serve, and how it came to be chosen. `comparison` is `None` for fp32."""

    proven: Proven
    comparison: Comparison | None
    excluded: str | None
    fp32_difference: float
    refused: tuple[tuple[str, Comparison], ...]


def export(recipe: Recipe, encoder: Path, weights: Path, *, splits: Splits, directory: Path, say: Say) -> Exported:
    """The graph to serve: INT8 with as few layers left out as pass the gates, fp32 as the last resort.

    Raises:
        ExportError: when even the fp32 graph does not compute what torch computes.
    """
    network, tokenizer = load_network(encoder, weights), encoder / "tokenizer.json"
    say("Exporting to ONNX and fusing")
    fp32 = export_fp32(network, directory)
    off = difference(network, fp32, tokenizer, recipe.reading, splits.part("development")[:_PARITY_POSTS])
    if off > recipe.gates.max_fp32_difference:
        raise ExportError(
            f"The graph {fp32} differs from torch by {off:.1e} in a logit, allowed are "
            f"{recipe.gates.max_fp32_difference:.1e}. Use the pinned versions (constraints.txt)."
        )
    guards = Guards(LanguageDetector())
    prove_one = partial(prove, splits=splits, withstand_injections=recipe.withstand_injections)
    say("Measuring fp32")
    reference = measure_candidate(fp32, tokenizer, "fp32", recipe=recipe, splits=splits, guards=guards)
    refused: list[tuple[str, Comparison]] = []
    for excluded in EXCLUSIONS if recipe.precision == "int8" else ():
        say(f"Quantising to INT8, left in fp32: {excluded or 'nothing'}")
        int8 = quantize_int8(fp32, directory / INT8_FILE, excluded)
        candidate = measure_candidate(int8, tokenizer, "int8", recipe=recipe, splits=splits, guards=guards)
        comparison = compare(reference, candidate, recipe.gates, calibration_posts=len(splits.part("calibration")))
        if comparison.passed:
            return Exported(prove_one(candidate), comparison, excluded, off, tuple(refused))
        say("Refused: " + "; ".join(comparison.failures))
        refused.append((excluded, comparison))
    return Exported(prove_one(reference), None, None, off, tuple(refused))


def _export_figures(exported: Exported) -> dict[str, Any]:
    return {
        "precision": exported.proven.candidate.bundle.manifest.precision,
        "size_bytes": exported.proven.candidate.graph.stat().st_size,
        "fp32_difference": exported.fp32_difference,
        "left_in_fp32": exported.excluded,
        "comparison": asdict(exported.comparison) if exported.comparison else None,
        "refused": [{"left_in_fp32": name, **asdict(comparison)} for name, comparison in exported.refused],
    }


def _metrics(
    splits: Splits, finetuned: Finetuned, baseline: Baseline, exported: Exported, outside: Sequence[Summary]
) -> dict[str, Any]:
    proven = exported.proven
    policy = proven.fitted.policy
    return {
        "format": "1",
        "data": {"posts": len(splits.posts), **{f"{name}_posts": len(splits.part(name)) for name in PARTS}},
        "training": {
            "seconds": finetuned.seconds,
            "development_macro_f1": finetuned.macro_f1,
            "members": [asdict(member) for member in finetuned.members],
        },
        "baseline": asdict(baseline),
        "export": _export_figures(exported),
        "temperatures": proven.candidate.bundle.calibration.model_dump(),
        "path": {
            "steps": len(proven.fitted.path),
            "tested": len(proven.fitted.steps),
            "certified": proven.fitted.certified,
            "held_back": proven.fitted.held_back,
        },
        "development": summarise(proven.candidate.development, policy),
        "held_out": summarise(proven.held_out, policy),
        "outside": list(outside),
    }


def _manifest(candidate: Candidate, data_fingerprint: str) -> Manifest:
    created_at = datetime.now(UTC).replace(microsecond=0)
    return candidate.bundle.manifest.model_copy(
        update={
            "model_version": model_version(created_at, sha256_of(candidate.graph)),
            "created_at": created_at,
            "git_commit": git_commit(),
            "data_fingerprint": data_fingerprint,
        }
    )


def _parts(
    recipe: Recipe, encoder: Path, exported: Exported, *, splits: Splits, metrics: dict[str, Any]
) -> BundleParts:
    candidate, policy = exported.proven.candidate, exported.proven.fitted.policy
    manifest = _manifest(candidate, fingerprint(splits.posts))
    return BundleParts(
        manifest=manifest,
        model=candidate.graph,
        tokenizer=encoder / "tokenizer.json",
        calibration=candidate.bundle.calibration,
        policy=policy,
        metrics=metrics,
        recipe=recipe_toml(recipe),
        card=render_card(manifest, recipe, policy, metrics),
        golden=record_golden(candidate.predictor(policy), splits.part("development")),
        taxonomy=splits.taxonomy,
    )


def make_bundle(
    recipe: Recipe,
    out: Path | None = None,
    *,
    runs: Path = RUNS,
    fresh: bool = False,
    outside: Sequence[tuple[Path, str | None]] = (),
    track: Track = untracked,
    watch: Watch = unwatched,
    say: Say = lambda _: None,
    ranks: Ranks = ALONE,
) -> Bundle:
    """The bundle that `recipe` makes, written to `out`, or else into the run's directory, and verified.

    An earlier sitting of the same run goes on unless it is to be made `fresh`. `outside` are files (with a language,
    or all) that the finished model is measured on, and nothing more. `track` keeps a record of the run. Of several
    `ranks` this is for the first; the others `assist_run`.

    Raises:
        PromotionError: when `out` is a champion.
        TrainingError: when a stage cannot be done; its kind and message say why.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    splits = read_parts(recipe)
    measuring = [
        read_outside(file, language, splits.taxonomy) for file, language in outside
    ]  # now, not after the training
    unlabelled = read_unlabelled(recipe)
    directory = run_directory(recipe, splits, runs)
    place = bundle_place(directory, out)
    encoder = find_encoder(recipe.encoder)
    with holding_run(directory), track(recipe.name, directory, fresh=fresh) as tracking:
        if fresh:  # only now: a store that does not answer costs nothing that was trained
            forget(directory)
        begin(tracking, recipe, splits)
        say(f"Fine-tuning {recipe.encoder.name} on {len(splits.part('train'))} posts in {directory}")
        finetuned = finetune(
            recipe,
            encoder,
            splits.part("train"),
            splits.part("development"),
            directory,
            unlabelled=unlabelled,
            taxonomy=splits.taxonomy,
            watch=watch,
            processes=MEMBERS_AT_A_TIME if torch.get_num_threads() > 1 else 1,
            tell=partial(tell_epoch, tracking),
            ranks=ranks,
        )
        say("Training the TF-IDF baseline")
        parts = (splits.part("train"), splits.part("development"), splits.part("calibration"))
        baseline = train_baseline(*parts, recipe.seed)
        follow(tracking, finetuned, baseline)
        exported = export(recipe, encoder, finetuned.weights, splits=splits, directory=directory, say=say)
        if held_back := exported.proven.fitted.held_back:
            say(f"{held_back} bolder policies are proven and not taken: prompt injections would be answered")
        predictor = exported.proven.candidate.predictor(exported.proven.fitted.policy)
        measured = [score_outside(predictor, each) for each in measuring]
        metrics = _metrics(splits, finetuned, baseline, exported, measured)
        bundle = write_bundle(place, _parts(recipe, encoder, exported, splits=splits, metrics=metrics))
        say(f"Wrote and verified {place}")
        finish(tracking, bundle, exported.proven.held_out, recipe, directory)
    return bundle


def assist_run(recipe: Recipe, *, runs: Path = RUNS, ranks: Ranks) -> None:
    """Nothing; this rank did its part of the fine-tuning of a run whose first rank makes the bundle.

    Raises:
        TrainingError, SourceError, SplitsError: as `make_bundle` before and during the fine-tuning.
    """
    splits = read_parts(recipe)
    directory = run_directory(recipe, splits, runs)
    encoder = find_encoder(recipe.encoder)
    parts = splits.part("train"), splits.part("development")
    unlabelled = read_unlabelled(recipe)
    assist(recipe, encoder, *parts, directory, unlabelled=unlabelled, taxonomy=splits.taxonomy, ranks=ranks)
