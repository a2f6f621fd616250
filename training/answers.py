"""A file of what the members of a run say of the posts of another's recipe: a pupil then needs no teacher beside it.

The file is small and knows the posts by hashes alone; it is made once, kept with the recipe, and teaches in any clone.
"""

from pathlib import Path

from data.progress import Watch, unwatched
from training.errors import RecipeError
from training.examples import make_examples
from training.recipe import DistillationRecipe, Recipe
from training.runs import read_parts, read_unlabelled
from training.teaching import ask_teachers, find_teachers


def ask_run(recipe: Recipe, run: Path, out: Path, *, watch: Watch = unwatched) -> int:
    """How many posts the file `out` then has answers to: all that the run of `recipe` trains on.

    Raises:
        RecipeError: when `out` is there already, or `run` cannot teach these posts.
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
    ask_teachers(
        teachers,
        examples,
        out,
        intents=len(splits.taxonomy.intents),
        temperature=recipe.distillation.temperature,
        watch=watch,
    )
    return len(examples)
