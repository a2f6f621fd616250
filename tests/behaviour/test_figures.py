"""The figures that people read are the measured ones: README, model card and metrics.json say the same."""

from pathlib import Path

from evaluation.marks import put_between
from models.bundle import CARD_FILE, DEFAULT_BUNDLE, RECIPE_FILE, load_bundle
from training.card import MARKS, render_card, render_figures
from training.recipe import read_recipe

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_figures_of_the_shipped_bundle() -> None:
    bundle = load_bundle(ROOT / DEFAULT_BUNDLE)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert put_between(page, MARKS, render_figures(bundle.policy, bundle.metrics)) == page


def test_the_card_shows_the_figures_of_its_own_bundle() -> None:
    bundle = load_bundle(ROOT / DEFAULT_BUNDLE)
    card = (bundle.directory / CARD_FILE).read_text(encoding="utf-8")
    recipe = read_recipe(bundle.directory / RECIPE_FILE)
    assert card == render_card(bundle.manifest, recipe, bundle.policy, bundle.metrics)


def test_the_shipped_bundle_was_made_by_the_recipe_that_ships() -> None:
    bundle = load_bundle(ROOT / DEFAULT_BUNDLE)
    assert read_recipe(bundle.directory / RECIPE_FILE) == read_recipe(ROOT / "training/recipes/default.toml")
