"""Where runs keep their state, and what they are made of.

A run has a directory of its own, named by recipe and data, so that a run that was cut off is found again.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.fingerprint import fingerprint
from data.output import holding_file
from data.post import Post
from data.rendering import RENDERING_VERSION
from data.sources import read_labelled, read_posts, read_taxonomy
from data.splits import Splits, load_splits
from data.taxonomy import BUILT_IN, Taxonomy
from models.bundle import sha256_of
from training.errors import PromotionError, RecipeError, TrainingError
from training.promotion.installation import Places, manifest_of
from training.recipe import Recipe, recipe_toml
from training.teaching import find_sources
from training.tracking.port import DIRECTORY

RUNS = Path("runs")
BUNDLE = "bundle"
"""Where in its directory a run puts its bundle, unless it is told another place."""
_LOCK_FILE = "training.lock"


def key_of(*made_of: str) -> str:
    """Ten hex digits by which a directory is found again that is made of just this."""
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:10]


def run_directory(recipe: Recipe, splits: Splits, runs: Path = RUNS) -> Path:
    """Where a run of this recipe on these posts keeps its state: another recipe, posts or splits, another directory.

    Raises:
        RecipeError: when the run that is to teach left no weights.
        SourceError: as `read_unlabelled`.
    """
    made_of = [recipe_toml(recipe), fingerprint(splits.posts), splits.file.sha256, RENDERING_VERSION]
    if splits.taxonomy != BUILT_IN:  # its path is in the recipe, and may lead to other intents now
        made_of.append(splits.taxonomy.model_dump_json())
    made_of += map(sha256_of, find_sources(recipe.distillation))  # likewise
    if unlabelled := read_unlabelled(recipe):
        made_of.append(fingerprint(unlabelled))
    return runs / f"{recipe.name}-{key_of(*made_of)}"


def bundle_place(directory: Path, wanted: Path | None) -> Path:
    """Where the bundle of the run in `directory` goes: the place that is `wanted`, or one in that directory.

    Raises:
        PromotionError: when a champion stands there; the gate alone replaces it (docs/decisions/0031).
    """
    place = wanted or directory / BUNDLE
    if manifest_of(place) and Places(place).ledger.exists():
        raise PromotionError(
            f"The bundle {place} is a champion: a ledger stands beside it, {Places(place).ledger}. A run may not "
            "replace it, wanted another place. Leave --out away, and let the gate judge what comes of the run: "
            "python -m training promote."
        )
    return place


def find_left(name: str, directory: Path, recipe: Recipe) -> Path:
    """The file of that name that a run left in its `directory`.

    Raises:
        TrainingError: when it is not there.
    """
    path = directory / name
    if not path.is_file():
        raise TrainingError(
            f"There is no file {path}. Wanted: what a run of the recipe {recipe.name!r} leaves. Make it: "
            "python -m training run. Or name another run: --run-dir DIR."
        )
    return path


def read_intents(recipe: Recipe) -> Taxonomy:
    """The taxonomy by which the posts of `recipe` are labelled.

    Raises:
        SourceError: when its file cannot be read.
    """
    return read_taxonomy(Path(recipe.data.taxonomy)) if recipe.data.taxonomy else BUILT_IN


def read_parts(recipe: Recipe) -> Splits:
    """The posts of `recipe` in their parts, labelled by its taxonomy.

    Raises:
        RecipeError: when it trains no routes, without which there is no bundle.
        SourceError, SplitsError: when the taxonomy, the posts or their splits cannot be read.
    """
    if not recipe.finetune.trains_routes:
        raise RecipeError(
            f"The recipe {recipe.name!r} trains no routes: finetune.route_loss_weight is 0. Wanted more than that, a "
            "bundle decides by routes. Raise it, or train its intents alone: python -m training intents."
        )
    taxonomy = read_intents(recipe)
    posts = read_labelled([recipe.data.posts, *recipe.data.more], taxonomy=taxonomy).posts
    return load_splits(Path(recipe.data.splits), posts, taxonomy)


def read_unlabelled(recipe: Recipe) -> tuple[Post, ...]:
    """The posts without labels of which teachers are asked.

    Raises:
        SourceError: when a file of them cannot be read.
    """
    files = recipe.distillation.unlabelled
    return read_posts(files).posts if files else ()


@contextmanager
def holding_run(directory: Path) -> Iterator[None]:
    """The right to train in the `directory` of a run; a second process is refused, a killed one lets go.

    Raises:
        TrainingError: when another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    refused = TrainingError(
        f"The run {directory} is being trained by another process. Wanted: one at a time, they would write over each "
        "other's state. Wait until it has ended, or end it; the same command then goes on."
    )
    with holding_file(directory / _LOCK_FILE, refused):
        yield


def forget(directory: Path) -> None:
    """Nothing; what earlier sittings left is gone, but for what is not theirs.

    The record of the run is the tracking's to end, and an earlier bundle stays until there is another.
    """
    for path in directory.glob("*"):
        if path.name in (DIRECTORY, BUNDLE, _LOCK_FILE):
            continue
        if path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)
