"""A file of what the members of a run say of the posts of another's recipe: a pupil then needs no teacher beside it.

The file is small and knows the posts by hashes alone; it is made once, kept with the recipe, and teaches in any clone.
"""

from dataclasses import dataclass
from pathlib import Path

from data.progress import Watch, unwatched
from training.errors import RecipeError
from training.examples import make_examples
from training.recipe import DistillationRecipe, Recipe
from training.runs import read_parts, read_unlabelled
from training.teaching import ask_teachers, find_teachers


@dataclass(frozen=True, slots=True)
class Asked:
    """A file has answers to so many `posts`, of whose readings so many `texts` were asked about for it."""

    posts: int
    texts: int


def ask_run(recipe: Recipe, run: Path, out: Path, *, keep: Path | None = None, watch: Watch = unwatched) -> Asked:
    """What the file `out` then has answers to: all posts that the run of `recipe` trains on.

    What the file `keep` says already is taken over, so that of a grown corpus only the new posts are asked about. A
    sitting that was cut off goes on.

    Raises:
        RecipeError: when `out` is there already, `run` cannot teach these posts, or `keep` is not for this recipe.
        EncoderError: when the encoder of `run` is nowhere.
        SourceError, SplitsError: when the posts or their splits cannot be read.
    """
    if out.exists():
        raise RecipeError(
            f"The answers {out} are there already. Wanted a new file: a run may rest on them. Name another."
        )
    teachers = find_teachers(DistillationRecipe(teacher=str(run)))
    if not teachers:
        raise RecipeError(
            f"{run} cannot be asked. Wanted the directory of a run whose members are trained (runs/NAME-KEY)."
        )
    splits = read_parts(recipe)
    examples = make_examples(splits.part("train"), splits.taxonomy, unlabelled=read_unlabelled(recipe), watch=watch)
    texts = ask_teachers(
        teachers,
        examples,
        out,
        intents=len(splits.taxonomy.intents),
        temperature=recipe.distillation.temperature,
        keep=keep,
        watch=watch,
    )
    return Asked(len(examples), texts)
