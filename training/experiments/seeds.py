"""The same recipe with several seeds: what the seed alone moves, and so what a gain has to exceed to be one.

Seeds are one source of noise; which posts happen to be in the development part is another, which `evaluation compare`
has. Intervals are Student's t, so two seeds say very little and say so.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from data.progress import Say, Watch, unwatched
from data.splits import Splits
from evaluation.metrics import INTERVAL_CONFIDENCE
from training.encoder import find_encoder
from training.errors import TrainingError
from training.experiments.elsewhere import Elsewhere, measure_elsewhere
from training.experiments.fits import Fit, fit, fit_of
from training.finetune import BEST_FILE, is_trained
from training.history import read_history
from training.members import AVERAGE_FILE, homes_of
from training.outside import Outside
from training.recipe import MAX_SEED, Recipe
from training.runs import RUNS, find_left, read_intents, read_parts, run_directory

FIGURES = ("macro_f1", "accuracy", "intent_accuracy", "automatic_share")


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, standard deviation (n - 1), least and greatest of a figure over the seeds."""

    mean: float
    sd: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much one recipe is ahead of another, seed by seed, with the interval that covers it with 95 %."""

    mean: float
    low: float
    high: float

    @property
    def is_more_than_noise(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least two values."""
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)), min(values), max(values))


def _quantile(degrees: int) -> float:
    return float(student_t.ppf((1 + INTERVAL_CONFIDENCE) / 2, degrees))


def noise_floor(values: Sequence[float]) -> dict[str, float]:
    """How far another recipe of the same spread must be ahead to be more than noise at 95 %.

    `of_one_run`: one run of it against one of ours. `of_means`: its mean over as many seeds against our mean. Student's
    t, whose degrees of freedom are those of our spread: nothing is known of the other's.
    """
    n, reach = len(values), _quantile(len(values) - 1) * spread(values).sd
    return {"of_one_run": reach * np.sqrt(2).item(), "of_means": reach * np.sqrt(2 / n).item()}


def paired_gain(ours: Sequence[float], theirs: Sequence[float]) -> Gain:
    """How far `theirs` are ahead of `ours`, paired by seed, both `[n]` of at least two seeds."""
    ahead = spread([their - our for our, their in zip(ours, theirs, strict=True)])
    half = _quantile(len(ours) - 1) * ahead.sd / np.sqrt(len(ours)).item()
    return Gain(ahead.mean, ahead.mean - half, ahead.mean + half)


def reseeded(recipe: Recipe, count: int) -> list[Recipe]:
    """The recipe with its own seed and those that follow it, `count` in all.

    Raises:
        TrainingError: when fewer than two are wanted, or the seeds grow too large.
    """
    if count < 2:
        raise TrainingError(f"No spread can be had of {count} seeds. Wanted at least 2, better 3 to 5. Give --seeds 3.")
    if recipe.seed + count - 1 > MAX_SEED:
        raise TrainingError(
            f"The seeds {recipe.seed} to {recipe.seed + count - 1} are wanted, {MAX_SEED} is the largest. "
            "Lower `seed` in the recipe."
        )
    return [recipe.model_copy(update={"seed": recipe.seed + number}) for number in range(count)]


def fit_seeds(
    recipe: Recipe, count: int, *, runs: Path = RUNS, watch: Watch = unwatched, say: Say = lambda _: None
) -> list[Fit]:
    """What the recipe comes to with each of `count` seeds. Their directories are those of `run` with these seeds.

    So a seed that was trained is not trained again, here or there, and one that was cut off goes on.

    Raises:
        TrainingError: when a training cannot be done; its kind and message say why.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    recipes = reseeded(recipe, count)
    splits, encoder = read_parts(recipe), find_encoder(recipe.encoder)
    found = []
    for each in recipes:
        directory = run_directory(each, splits, runs)
        say(f"Recipe {each.name}, seed {each.seed} in {directory}")
        parts = splits.part("train"), splits.part("development")
        found.append(fit(each, encoder, *parts, directory, taxonomy=splits.taxonomy, watch=watch))
    return found


def weights_of_seeds(recipe: Recipe, count: int, *, runs: Path = RUNS) -> list[Path]:
    """Where the weights of the networks of `fit_seeds` are.

    Raises:
        TrainingError: when one of them is not trained.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    splits = read_parts(recipe)
    return [find_left(AVERAGE_FILE, run_directory(each, splits, runs), each) for each in reseeded(recipe, count)]


def _weights_of_members(recipe: Recipe, splits: Splits, runs: Path) -> list[Path]:
    """Where the weights of the members of the recipe's run are, two or more.

    They start from the same heads, which the networks of several seeds do not.

    Raises:
        TrainingError: when it has one member, or one is not trained.
    """
    if (count := recipe.finetune.members) < 2:
        raise TrainingError(
            f"No spread can be had of {count} member. Wanted at least 2, better 3 to 5. Raise finetune.members, or "
            "train several seeds: without --members."
        )
    homes = homes_of(recipe, run_directory(recipe, splits, runs))[:count]
    found = [find_left(BEST_FILE, home, recipe) for home in homes]
    if halfway := [str(home) for home in homes if not is_trained(home, recipe.finetune)]:
        raise TrainingError(
            f"The members of {recipe.name!r} cannot be measured yet: not trained to the end is {', '.join(halfway)}. "
            "Wanted: all of them. Give the command that trains them again, it goes on: python -m training run."
        )
    return found


def fit_members(recipe: Recipe, *, runs: Path = RUNS, say: Say = lambda _: None) -> tuple[list[Fit], list[Path]]:
    """What each member of the recipe's run is alone on the development part, and its weights; none is trained.

    They are numbered as seeds are.

    Raises:
        TrainingError: when the run has one member, or one is not trained.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    splits, encoder = read_parts(recipe), find_encoder(recipe.encoder)
    files, found = _weights_of_members(recipe, splits, runs), []
    for seed, weights in enumerate(files, recipe.seed):
        say(f"Recipe {recipe.name}, {weights.parent}")
        seconds = read_history(weights.parent)[-1].seconds
        posts, taxonomy = splits.part("development"), splits.taxonomy
        found.append(fit_of(weights, recipe, encoder, posts, taxonomy=taxonomy, seed=seed, seconds=seconds))
    return found, files


def measure_networks(
    weights: Sequence[Path], recipe: Recipe, outside: Sequence[Outside], *, watch: Watch = unwatched
) -> list[list[Elsewhere]]:
    """What the networks of `recipe` with these `weights` make of each of the other sets of posts, one by one.

    Raises:
        SourceError: when the taxonomy cannot be read.
    """
    encoder, taxonomy = find_encoder(recipe.encoder), read_intents(recipe)
    return [
        [measure_elsewhere(each, recipe, encoder, posts, taxonomy, watch=watch) for each in weights]
        for posts in outside
    ]


def _figures(fits: Sequence[Fit]) -> dict[str, list[float]]:
    plain = {name: [float(getattr(each, name)) for each in fits] for name in FIGURES}
    return plain | {f"f1 {route}": [each.route_f1[route] for each in fits] for route in fits[0].route_f1}


def summarise(fits: Sequence[Fit], others: Sequence[Fit] = ()) -> dict[str, Any]:
    """Spread, noise floor and, where `others` are given (another recipe, the same seeds), the paired gain by figure.

    Raises:
        TrainingError: when the two were measured on other posts, or are not as many.
    """
    if others and len(others) != len(fits):
        raise TrainingError(
            f"The two recipes cannot be compared: they have {len(fits)} and {len(others)} members. Wanted as many. "
            "Give both the same finetune.members."
        )
    if others and others[0].development != fits[0].development:
        raise TrainingError(
            f"The two recipes cannot be compared: their development parts are {fits[0].development[:10]} and "
            f"{others[0].development[:10]}. Wanted the same posts. Give both the same data.posts and data.splits."
        )
    return _held(_figures(fits), _figures(others) if others else {})


def summarise_elsewhere(found: Sequence[Elsewhere], others: Sequence[Elsewhere] = ()) -> dict[str, Any]:
    """The same as `summarise` of figures on other posts, which are the same for both."""
    return _held(_figures_elsewhere(found), _figures_elsewhere(others) if others else {})


def _figures_elsewhere(found: Sequence[Elsewhere]) -> dict[str, list[float]]:
    return {each.name: [getattr(one, each.name) for one in found] for each in fields(Elsewhere)}


def _held(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> dict[str, Any]:
    """Spread and noise floor of each of `ours` and, where there are `theirs`, how far these are ahead."""
    summary: dict[str, Any] = {}
    for name, values in ours.items():
        summary[name] = {"spread": asdict(spread(values)), "more_than_noise": noise_floor(values)}
        if theirs:
            gain = paired_gain(values, theirs[name])
            summary[name] |= {
                "against": asdict(spread(theirs[name])),
                "gain": asdict(gain) | {"is_more_than_noise": gain.is_more_than_noise},
            }
    return summary


def as_text(name: str, other: str | None, networks: str, summary: dict[str, Any], where: str = "development") -> str:
    """The summary as a small table, in points (per cent), and what it says of macro-F1.

    `networks` are those that it is of, such as "3 seeds"; `where` they were measured.
    """
    head = f"{f'{where}, points'[:30]:<22}{'mean':>7}{'sd':>6}{'min':>7}{'max':>7}"
    lines = [f"{name}, {networks}", head + (f"{'gain':>8}  95 % interval" if other else "")]
    for figure, each in summary.items():
        of = each["spread"]
        line = f"{figure:<22}" + f"{100 * of['mean']:>7.2f}{100 * of['sd']:>6.2f}"
        line += f"{100 * of['min']:>7.2f}{100 * of['max']:>7.2f}"
        if other:
            gain = each["gain"]
            line += f"{100 * gain['mean']:>+8.2f}  {100 * gain['low']:+.2f} to {100 * gain['high']:+.2f}"
        lines.append(line)
    floor = summary["macro_f1"]["more_than_noise"]
    lines.append(
        f"In macro-F1 more than noise of the seed: over {100 * floor['of_one_run']:.2f} points between two runs, "
        f"over {100 * floor['of_means']:.2f} between the means of {networks} each."
    )
    if other:
        gain = summary["macro_f1"]["gain"]
        verdict = "more than" if gain["is_more_than_noise"] else "not told from"
        lines.append(f"{other} is {100 * gain['mean']:+.2f} points of macro-F1 ahead: {verdict} noise of the seed.")
    return "\n".join(lines)
