"""The learning curve: the same recipe on growing parts of the training posts, and whether more labels would help.

Parts are drawn by group, never tearing one, and each seed has its own draw in which every part holds the smaller
ones. All are measured on the whole development part.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.post import LabelledPost
from data.progress import Say, Watch, unwatched
from data.splits import Splits
from data.taxonomy import ROUTES
from training.encoder import find_encoder
from training.errors import TrainingError
from training.experiments.fits import Fit, fit, forget_weights
from training.experiments.powerlaw import MIN_SIZES, Estimate, PowerLaw, fit_power_law, interval_of
from training.experiments.seeds import reseeded
from training.recipe import Recipe
from training.runs import RUNS, read_parts, run_directory

MORE_LABELS = 500
MIN_DEVELOPMENT_POSTS = 30
"""With fewer of a class one post moves its F1 by some three points, more than labels are likely to."""


@dataclass(frozen=True, slots=True)
class Point:
    """One training: the share of the posts, how many that were of each route, and what it came to."""

    share: float
    posts: int
    labels: dict[str, int]
    fit: Fit


@dataclass(frozen=True, slots=True)
class Curve:
    """All trainings, and how many development posts have each route."""

    recipe: str
    points: tuple[Point, ...]
    development: dict[str, int]

    @property
    def largest(self) -> dict[str, int]:
        """Labels of each route in the whole training part."""
        return max(self.points, key=lambda point: point.posts).labels

    def series(self, route: str) -> list[tuple[int, float]]:
        """Labels of the route in each training, and its F1."""
        return [(point.labels[route], point.fit.route_f1[route]) for point in self.points if point.labels.get(route)]


def nested_part(splits: Splits, share: float, seed: int) -> list[LabelledPost]:
    """So large a share of the training posts: whole groups in an order drawn by `seed`, a larger share holds this one.

    In the order of the training part, so that the share 1 is exactly that. The last group may exceed the share.
    """
    groups, posts = splits.groups("train"), splits.part("train")
    numbers = sorted(set(groups))
    random.Random(f"{seed}/curve").shuffle(numbers)
    size, kept, held = Counter(groups), set(), 0
    for number in numbers:
        if held >= share * len(posts):
            break
        kept.add(number)
        held += size[number]
    return [post for post, number in zip(posts, groups, strict=True) if number in kept]


def _check_shares(shares: Sequence[float]) -> None:
    if not shares or min(shares) <= 0 or max(shares) != 1 or len(set(shares)) < len(shares):
        raise TrainingError(
            f"No curve can be drawn of the shares {', '.join(f'{share:g}' for share in shares) or '(none)'}. Wanted "
            "different ones above 0, the largest 1, at least three for a law. Give --shares 0.25,0.5,0.75,1."
        )


def measure_curve(
    recipe: Recipe,
    shares: Sequence[float],
    seeds: int,
    *,
    runs: Path = RUNS,
    watch: Watch = unwatched,
    say: Say = lambda _: None,
) -> Curve:
    """The curve of `recipe` over `shares` of its training posts with each of `seeds` seeds. Goes on where it stopped.

    The share 1 is the run of that seed, trained once for all commands.

    Raises:
        TrainingError: when the shares are none, or a training cannot be done.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    _check_shares(shares)
    recipes = reseeded(recipe, seeds)
    splits, encoder = read_parts(recipe), find_encoder(recipe.encoder)
    development, points = splits.part("development"), []
    for each in recipes:
        run = run_directory(each, splits, runs)
        for share in sorted(shares):
            part = nested_part(splits, share, each.seed)
            home = run if share == 1 else run.with_name(f"{run.name}-curve") / f"{share:g}"
            say(f"Recipe {each.name}, seed {each.seed}, {len(part)} posts in {home}")
            made = fit(each, encoder, part, development, home, taxonomy=splits.taxonomy, watch=watch)
            if share != 1:
                forget_weights(home)
            points.append(Point(share, len(part), dict(Counter(post.route for post in part)), made))
    held = Counter(post.route for post in development)
    return Curve(recipe.name, tuple(points), {route: held[route] for route in ROUTES if held[route]})


@dataclass(frozen=True, slots=True)
class Outlook:
    """What more labels of one route would do for its F1, and in words why that is known or not."""

    route: str
    labels: int
    law: PowerLaw | None
    gain: Estimate | None
    """Of `MORE_LABELS` more of this route; `None` where the fit cannot tell."""
    says: str


def _points_of(estimate: Estimate) -> str:
    return f"{100 * estimate.value:+.1f} points ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"


def look_ahead(curve: Curve, route: str) -> Outlook:
    """What `MORE_LABELS` more labels of `route` would do for its F1 by the power law through its points."""
    labels, held = curve.largest.get(route, 0), curve.development[route]
    smallest = 0.5 / held  # half a post: an error of none has no logarithm
    series = curve.series(route)
    shares = {point.share for point in curve.points}  # labels tell no sizes: each seed draws others for a share
    enough = len(shares) >= MIN_SIZES
    law = fit_power_law([n for n, _ in series], [max(1 - f1, smallest) for _, f1 in series]) if enough else None
    if law is None:
        return Outlook(route, labels, None, None, "cannot tell: fewer than three sizes. Give more --shares.")
    gain = law.gain(labels, labels + MORE_LABELS)
    if held < MIN_DEVELOPMENT_POSTS:
        says = f"cannot tell: only {held} development posts have it, wanted {MIN_DEVELOPMENT_POSTS}."
        return Outlook(route, labels, law, None, says)
    if not law.exponent.is_above_zero:
        at = law.exponent
        says = (
            f"cannot tell: the exponent is {at.value:.2f} ({at.low:.2f} to {at.high:.2f}), "
            "which may be none. More seeds would narrow it."
        )
        return Outlook(route, labels, law, None, says)
    return Outlook(route, labels, law, gain, f"{_points_of(gain)} of F1 for {MORE_LABELS} more labels of it.")


def gain_as_they_come(curve: Curve, outlooks: Sequence[Outlook]) -> Estimate | None:
    """What `MORE_LABELS` more labels in today's mix would do for macro-F1; `None` where one class cannot tell."""
    total, value, draws = sum(curve.largest.values()), 0.0, None
    for each in outlooks:
        if each.law is None or each.gain is None:
            return None
        later = each.labels * (1 + MORE_LABELS / total)
        value += (each.law.error(each.labels) - each.law.error(later)) / len(outlooks)
        gained = each.law.drawn_gain(each.labels, later) / len(outlooks)
        # Draws of two classes are paired by place, as if one seed shook both: the widest they can be.
        draws = np.sort(gained) if draws is None else draws + np.sort(gained)
    return None if draws is None else interval_of(value, draws)


def answer(curve: Curve) -> tuple[str, list[Outlook]]:
    """The answer to "would 500 more labels help, and of which class?" in words, and what it rests on."""
    outlooks = [look_ahead(curve, route) for route in curve.development]
    mixed = gain_as_they_come(curve, outlooks)
    told = sorted((each for each in outlooks if each.gain), key=lambda each: -(each.gain.value if each.gain else 0))
    if mixed is None:
        lines = [f"Whether {MORE_LABELS} more labels as they come would help: this curve cannot tell."]
    else:
        lines = [f"{MORE_LABELS} more labels as they come: {_points_of(mixed)} of macro-F1."]
    if told:
        lines.append(f"Of one class alone, {told[0].route} gains most.")
    lines += [f"  {each.route} ({each.labels} labels now): {each.says}" for each in outlooks]
    lines.append(
        "At best: a power law knows no floor of the error, and all classes grew together here, so a class alone may "
        "gain less."
    )
    return "\n".join(lines), outlooks


def as_json(curve: Curve, outlooks: Sequence[Outlook], words: str) -> dict[str, Any]:
    """The curve, the laws and the answer as JSON values."""
    mixed = gain_as_they_come(curve, outlooks)
    return {
        "recipe": curve.recipe,
        "more_labels": MORE_LABELS,
        "points": [asdict(point) for point in curve.points],
        "development": curve.development,
        "classes": [
            {
                "route": each.route,
                "labels": each.labels,
                "exponent": asdict(each.law.exponent) if each.law else None,
                "gain": asdict(each.gain) if each.gain else None,
                "says": each.says,
            }
            for each in outlooks
        ],
        "gain_as_they_come": asdict(mixed) if mixed else None,
        "answer": words,
    }
