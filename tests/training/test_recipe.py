"""Recipes: what is read, what comes back, and what a person is told of one that cannot be followed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.taxonomy import ROUTES
from training.errors import RecipeError
from training.recipe import (
    DEFAULT_RECIPE,
    MAX_MEMBERS,
    MAX_SEED,
    DistillationRecipe,
    EncoderRecipe,
    FinetuneRecipe,
    Gates,
    Recipe,
    read_recipe,
    recipe_toml,
)

WRITTEN = f"""
name = "mine"
seed = 0

[encoder]
sha256 = "{"0" * 64}"

[reading]
overlap_tokens = 48

[finetune]
epochs = 3
patience_epochs = 2
batch_posts = 16
learning_rate = 1e-4
head_learning_rate_factor = 10.0
weight_decay = 0.01
warmup_share = 0.1
gradient_norm = 1.0
dropout = 0.1
intent_loss_weight = 0.5
average_decay = 0.99
author_dropout = 0.3
noise = 0.0
"""
shares = st.floats(0, 1)
positive = st.floats(0, 1e6, exclude_min=True)
counts = st.integers(1, 1_000)
recipes = st.builds(
    Recipe,
    name=st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
    seed=st.integers(0, MAX_SEED),
    precision=st.sampled_from(["fp32", "int8"]),
    encoder=st.builds(
        EncoderRecipe,
        name=st.text(min_size=1),
        sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        directory=st.none() | st.text(min_size=1),
    ),
    finetune=st.builds(
        FinetuneRecipe,
        members=st.integers(1, MAX_MEMBERS),
        epochs=counts,
        patience_epochs=counts,
        batch_posts=counts,
        learning_rate=positive,
        head_learning_rate_factor=positive,
        weight_decay=shares,
        warmup_share=shares,
        gradient_norm=positive,
        dropout=shares,
        intent_loss_weight=shares,
        average_decay=st.floats(0, 1, exclude_max=True),
        author_dropout=shares,
        noise=shares,
        bf16=st.booleans(),
        vocabulary=st.sampled_from(["trained", "frozen"]),
        heads=st.sampled_from(["drawn", "probe"]),
        class_weights=st.sampled_from(["none", "balanced"]) | st.dictionaries(st.sampled_from(ROUTES), positive),
        r_drop=shares,
    ),
    distillation=st.builds(DistillationRecipe, teacher=st.text(min_size=1), temperature=positive, label_share=shares),
    gates=st.builds(Gates, max_route_flips_share=shares, max_augrc_loss_points=shares),
)


def refused(path: Path, text: str) -> str:
    """What is said of a recipe with that text."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    return str(caught.value)


def test_a_recipe_that_fits_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(WRITTEN, encoding="utf-8")
    recipe = read_recipe(path)
    assert (recipe.name, recipe.finetune.epochs, recipe.finetune.members) == ("mine", 3, 1)


def test_the_default_recipe_is_read_and_quantises() -> None:
    recipe = read_recipe(DEFAULT_RECIPE)
    assert (recipe.name, recipe.precision) == ("default", "int8")
    assert recipe.encoder.name == "sentence-transformers/all-MiniLM-L6-v2"


def test_the_gates_of_a_recipe_that_names_none_are_those_of_the_design() -> None:
    assert read_recipe(DEFAULT_RECIPE).gates == Gates(
        max_fp32_difference=1e-4,
        max_macro_f1_loss_points=0.3,
        max_augrc_loss_points=0.3,
        max_route_flips_share=0.02,
    )


@given(recipe=recipes)
def test_a_recipe_written_out_reads_back_as_the_same(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    path.write_text(recipe_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_a_recipe_written_out_names_every_field_that_has_a_value() -> None:
    text = recipe_toml(read_recipe(DEFAULT_RECIPE))
    for field in (*FinetuneRecipe.model_fields, *Gates.model_fields, "window_tokens", "leak_sensitive", "posts"):
        assert f"\n{field} = " in text


def test_an_unknown_field_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert refused(path, WRITTEN.replace("noise = 0.0", "noise = 0.0\nmomentum = 0.9")) == (
        f"The recipe {path} does not fit: finetune.momentum is 0.9, extra inputs are not permitted. "
        "Compare it with training/recipes/default.toml."
    )


def test_all_values_out_of_range_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = WRITTEN.replace("average_decay = 0.99", "average_decay = 1.0").replace("seed = 0", "seed = -1")
    assert refused(path, text) == (
        f"The recipe {path} does not fit: seed is -1, input should be greater than or equal to 0; "
        "finetune.average_decay is 1.0, input should be less than 1. "
        "Compare it with training/recipes/default.toml."
    )


def test_a_missing_field_is_called_missing(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert refused(path, WRITTEN.replace("batch_posts = 16\n", "")) == (
        f"The recipe {path} does not fit: finetune.batch_posts is missing. "
        "Compare it with training/recipes/default.toml."
    )


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_rate_that_is_no_finite_number_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "mine.toml"
    assert refused(path, WRITTEN.replace("learning_rate = 1e-4", f"learning_rate = {value}")) == (
        f"The recipe {path} does not fit: finetune.learning_rate is {value}, input should be a finite number. "
        "Compare it with training/recipes/default.toml."
    )


def test_a_seed_that_the_libraries_cannot_take_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert refused(path, WRITTEN.replace("seed = 0", f"seed = {MAX_SEED + 1}")) == (
        f"The recipe {path} does not fit: seed is 4294967296, input should be less than or equal to 4294967295. "
        "Compare it with training/recipes/default.toml."
    )


def test_windows_that_would_never_read_on_are_refused(tmp_path: Path) -> None:
    text = WRITTEN.replace("overlap_tokens = 48", "overlap_tokens = 200")
    assert (
        "does not fit: reading is {'overlap_tokens': 200}, value error, an overlap under the 173 tokens of text that "
        "fit beside the context, got 200; widen window_tokens or lower overlap_tokens or context_tokens. "
    ) in refused(tmp_path / "mine.toml", text)


def test_what_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert refused(path, 'name = "mine"\nseed = \n') == (
        f"The recipe {path} is not TOML: Invalid value (at line 2, column 8). Wanted: TOML in UTF-8. "
        "Correct that place."
    )


def test_a_recipe_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes('name = "caf\u00e9"\n'.encode("latin-1"))
    with pytest.raises(RecipeError, match=r"mine\.toml is not TOML: 'utf-8' codec .* Wanted: TOML in UTF-8"):
        read_recipe(path)


def test_a_missing_recipe_is_answered_with_one_that_there_is(tmp_path: Path) -> None:
    path = tmp_path / "gone.toml"
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert str(caught.value) == (
        f"The recipe {path} could not be read: No such file or directory. Wanted a TOML file. "
        "Give one with --recipe, for example training/recipes/default.toml."
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_extends_another_field_by_field(tmp_path: Path) -> None:
    base = write(tmp_path / "base.toml", WRITTEN)
    own = write(tmp_path / "own" / "mine.toml", 'extends = "../base.toml"\nseed = 7\n[finetune]\nepochs = 5\n')
    under, over = read_recipe(base), read_recipe(own)
    assert (over.seed, over.finetune.epochs) == (7, 5)
    assert over == under.model_copy(
        update={"seed": 7, "finetune": under.finetune.model_copy(update={"epochs": 5})},
    )


def test_lists_are_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", WRITTEN + '[data]\norigin = "ours"\nlimits = ["One.", "Two."]\n')
    own = write(tmp_path / "mine.toml", 'extends = "base.toml"\n[data]\nlimits = ["Three."]\n')
    assert (read_recipe(own).data.origin, read_recipe(own).data.limits) == ("ours", ("Three.",))


def test_a_chain_of_recipes_is_followed_to_its_end_and_the_nearest_counts(tmp_path: Path) -> None:
    write(tmp_path / "base.toml", WRITTEN)
    write(tmp_path / "middle.toml", 'extends = "base.toml"\nseed = 1\nname = "middle"\n')
    own = write(tmp_path / "mine.toml", 'extends = "middle.toml"\nseed = 2\n')
    assert (read_recipe(own).name, read_recipe(own).seed) == ("middle", 2)


@given(recipe=recipes, seed=st.integers(0, MAX_SEED))
def test_the_resolved_copy_of_a_recipe_that_extends_another_stands_alone(
    recipe: Recipe, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.getbasetemp()
    write(home / "under.toml", recipe_toml(recipe))
    own = read_recipe(write(home / "over.toml", f'extends = "under.toml"\nseed = {seed}\n'))
    assert own == recipe.model_copy(update={"seed": seed})
    assert read_recipe(write(home / "alone" / "recipe.toml", recipe_toml(own))) == own


def test_a_recipe_that_extends_itself_by_others_is_refused_with_the_way(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    write(two, 'extends = "one.toml"\n')
    assert refused(one, 'extends = "two.toml"\n') == (
        f"The recipe {one} extends itself: {one} -> {two} -> {one}. Wanted a chain that ends. "
        f"Correct `extends` in {two}: the path of a recipe, from the directory of that file."
    )


def test_a_recipe_that_extends_a_missing_one_is_refused_with_who_asked_for_it(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    assert refused(own, 'extends = "gone.toml"\n') == (
        f"The recipe {tmp_path / 'gone.toml'}, which {own} extends, could not be read: No such file or directory. "
        f"Wanted a TOML file. Correct `extends` in {own}: the path of a recipe, from the directory of that file."
    )


def test_a_recipe_that_extends_no_path_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    assert refused(own, "extends = 3\n") == (
        f"The recipe {own} extends 3. Wanted the path of a TOML file. "
        f"Correct `extends` in {own}: the path of a recipe, from the directory of that file."
    )


def test_what_does_not_fit_is_told_with_the_recipe_that_it_may_come_from(tmp_path: Path) -> None:
    base = write(tmp_path / "base.toml", WRITTEN.replace("epochs = 3", "epochs = 0", 1))
    own = tmp_path / "mine.toml"
    assert refused(own, 'extends = "base.toml"\n') == (
        f"The recipe {own}, which extends {base}, does not fit: finetune.epochs is 0, input should be greater than "
        "or equal to 1. Compare it with training/recipes/default.toml."
    )
