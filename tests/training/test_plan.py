"""`python -m training run --dry-run`: it says what a run would do, refuses what a run would refuse, changes nothing."""

import json
from pathlib import Path

import pytest

from data.splits import PARTS, Splits
from tests.training.test_finetune import CutOffError, Watcher
from training.__main__ import main
from training.errors import EncoderError
from training.members import finetune
from training.plan import Plan, plan_run, render_plan
from training.recipe import DistillationRecipe, Recipe, recipe_toml
from training.runs import run_directory
from training.tracking.port import flatten


def planned(recipe: Recipe, directory: Path, *, fresh: bool = False, store: str | None = None) -> Plan:
    return plan_run(recipe, directory / "out", runs=directory / "runs", fresh=fresh, store=store)


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing_behind(
    recipe: Recipe, splits: Splits, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    (tmp_path / "mine.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    words = ["run", "--dry-run", "--recipe", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out")]
    code = main([*words, "--runs", str(tmp_path / "runs"), "--measure", f"{recipe.data.posts}:en"])
    captured = capsys.readouterr()
    plan = json.loads(captured.out.splitlines()[-1])
    assert code == 0
    assert [each.name for each in tmp_path.iterdir()] == ["mine.toml"]
    assert plan["run_directory"] == str(run_directory(recipe, splits, tmp_path / "runs"))
    assert {part: sum(routes.values()) for part, routes in plan["posts"].items()} == {
        part: len(splits.part(part)) for part in PARTS
    }
    assert plan["measured_on"] == {"posts.jsonl": len(splits.posts)}
    assert plan["tracking"]["store"] == store
    assert plan["steps"]["done"] == [0, 0]
    assert plan["steps"]["left_seconds"] == pytest.approx(
        plan["steps"]["step_seconds"] * 2 * plan["steps"]["a_network"]
    )
    assert "Nothing was done or changed." in captured.err


def test_without_another_place_the_bundle_goes_into_the_runs_directory(recipe: Recipe, tmp_path: Path) -> None:
    plan = plan_run(recipe, runs=tmp_path / "runs")
    assert (plan.bundle, plan.replaces_bundle) == (f"{plan.run_directory}/bundle", False)


def test_the_steps_are_those_that_a_run_takes(recipe: Recipe, encoder: Path, splits: Splits, tmp_path: Path) -> None:
    steps, watcher = planned(recipe, tmp_path).steps, Watcher()
    finetune(recipe, encoder, splits.part("train"), splits.part("development"), tmp_path / "done", watch=watcher)
    assert steps.left == watcher.steps == len(steps.done) * steps.a_network


def test_a_run_that_was_cut_off_goes_on_where_it_stopped_unless_it_is_made_fresh(
    recipe: Recipe, encoder: Path, splits: Splits, tmp_path: Path
) -> None:
    home = run_directory(recipe, splits, tmp_path / "runs")
    parts = splits.part("train"), splits.part("development")
    with pytest.raises(CutOffError):
        finetune(recipe, encoder, *parts, home, watch=Watcher(5), checkpoint_every_s=0.0)
    plan = planned(recipe, tmp_path)
    assert plan.steps.done == (5, 0)
    assert f"{home}, goes on" in render_plan(plan)
    assert planned(recipe, tmp_path, fresh=True).steps.done == (0, 0)
    finetune(recipe, encoder, *parts, home)
    over = planned(recipe, tmp_path).steps
    assert (over.left, over.left_seconds, over.step_seconds) == (0, 0.0, None)


def test_tracking_would_be_told_every_field_of_the_recipe(recipe: Recipe, splits: Splits, tmp_path: Path) -> None:
    told = planned(recipe, tmp_path, store="sqlite:///somewhere.db").tracking
    assert told is not None
    assert (told.store, told.goes_on) == ("sqlite:///somewhere.db", False)
    assert told.params == flatten(recipe.model_dump(mode="json"))
    assert told.datasets == {part: len(splits.part(part)) for part in PARTS}
    assert "data_fingerprint" in told.tags


def test_a_network_whose_teachers_are_not_there_yet_takes_as_long_as_the_others(recipe: Recipe, tmp_path: Path) -> None:
    taught = recipe.model_copy(update={"distillation": DistillationRecipe(teacher="members")})
    plan = planned(taught, tmp_path)
    assert len(plan.steps.done) == 3
    assert plan.steps.left_seconds == pytest.approx((plan.steps.step_seconds or 0) * plan.steps.a_network * 3)


def test_an_encoder_that_is_not_on_this_machine_is_not_fetched(recipe: Recipe, tmp_path: Path) -> None:
    elsewhere = recipe.encoder.model_copy(update={"directory": None, "name": "signalbox-tests/there-is-none"})
    plan = planned(recipe.model_copy(update={"encoder": elsewhere}), tmp_path)
    assert (plan.encoder, plan.steps.left_seconds) == (None, None)
    assert "nobody knows how long" in render_plan(plan)
    assert "not on this machine, would be fetched from the hub" in render_plan(plan)


def test_an_encoder_directory_that_is_not_there_is_refused_as_by_a_run(recipe: Recipe, tmp_path: Path) -> None:
    moved = recipe.encoder.model_copy(update={"directory": str(tmp_path / "gone")})
    with pytest.raises(EncoderError, match=r"gone: lacks config\.json"):
        planned(recipe.model_copy(update={"encoder": moved}), tmp_path)
