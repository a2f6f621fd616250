"""A plain intent task: one head learns, the route head stays as it was drawn, and a run that was cut off goes on."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

from evaluation.benchmarks.intents.methods import RECIPES
from evaluation.benchmarks.intents.sets import SETS
from tests.training.tiny_texts import rows, write_texts
from training.__main__ import main
from training.errors import RecipeError, TextsError
from training.intents import LOGITS_FILE, embed, read_task, task_directory, train_intents
from training.members import AVERAGE_FILE
from training.network import build_network
from training.recipe import Recipe, read_recipe, recipe_toml
from training.runs import read_parts

Item = TypeVar("Item")


class CutOffError(Exception):
    """Stands for a power cut."""


def cut_off_at(step: int) -> Any:
    def watch(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        for place, item in enumerate(items):
            if place == step:
                raise CutOffError
            yield item

    return watch


def refuse_to_work(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    raise AssertionError(f"{what} was done again")


@pytest.fixture(scope="module")
def plain(recipe: Recipe) -> Recipe:
    """The tiny recipe for intents alone."""
    changes = {"members": 1, "epochs": 8, "route_loss_weight": 0.0, "intent_loss_weight": 1.0, "noise": 0.0}
    settings = recipe.finetune.model_copy(update=changes)
    return recipe.model_copy(update={"finetune": settings})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.jsonl", rows())


@pytest.fixture(scope="module")
def run(plain: Recipe, file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("runs") / "whole"
    return directory, train_intents(plain, read_task(file), directory)


def test_one_head_learns_texts_without_author_or_route(run: tuple[Path, dict[str, Any]]) -> None:
    _, figures = run
    assert figures["test"]["accuracy"] > 0.8
    assert (figures["test"]["out_of_scope"], figures["intents"]) == (2, 7)


def test_the_route_head_is_left_as_it_was_drawn(run: tuple[Path, dict[str, Any]], plain: Recipe, encoder: Path) -> None:
    drawn = build_network(encoder, 7, dropout=0.0, seed=plain.seed).state_dict()
    left = torch.load(run[0] / AVERAGE_FILE, weights_only=True)
    assert torch.equal(left["route.weight"], drawn["route.weight"])
    assert not torch.equal(left["intent.weight"], drawn["intent.weight"])


def test_logits_lie_in_the_order_of_the_file_and_give_the_figures(run: tuple[Path, dict[str, Any]], file: Path) -> None:
    directory, figures = run
    task = read_task(file)
    with np.load(directory / LOGITS_FILE, allow_pickle=False) as logits:
        for part in ("development", "test"):
            true = task.places(task.part(part))
            assert logits[part].shape == (len(true), len(task.intents))
            right = (logits[part].argmax(1) == true)[true >= 0]
            assert right.mean() == figures[part]["accuracy"]


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    run: tuple[Path, dict[str, Any]], plain: Recipe, file: Path, tmp_path: Path
) -> None:
    task = read_task(file)
    with pytest.raises(CutOffError):
        train_intents(plain, task, tmp_path / "run", watch=cut_off_at(40))
    train_intents(plain, task, tmp_path / "run")
    left, whole = (torch.load(place / AVERAGE_FILE, weights_only=True) for place in (tmp_path / "run", run[0]))
    assert all(torch.equal(left[name], whole[name]) for name in whole)


def test_a_run_that_is_over_says_its_figures_and_keeps_no_checkpoint(
    run: tuple[Path, dict[str, Any]], plain: Recipe, file: Path
) -> None:
    directory, figures = run
    assert train_intents(plain, read_task(file), directory, watch=refuse_to_work) == figures
    assert not list(directory.rglob("checkpoint*"))


def test_where_nothing_is_held_out_the_last_epoch_counts(plain: Recipe, tmp_path: Path) -> None:
    task = read_task(write_texts(tmp_path / "texts.jsonl", rows(development=False)))
    short = plain.model_copy(update={"finetune": plain.finetune.model_copy(update={"epochs": 2, "patience_epochs": 1})})
    figures = train_intents(short, task, tmp_path / "run")
    assert figures["epochs"] == [2]
    assert figures["development"]["texts"] == 0


def test_a_recipe_that_trains_routes_is_refused(recipe: Recipe, file: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"finetune\.route_loss_weight is 1\.0.*Wanted 0"):
        train_intents(recipe, read_task(file), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_bundle_is_made_by_a_recipe_that_trains_no_routes(plain: Recipe) -> None:
    with pytest.raises(RecipeError, match=r"trains no routes.*python -m training intents"):
        read_parts(plain)


def test_another_seed_and_other_texts_are_other_runs(plain: Recipe, file: Path, tmp_path: Path) -> None:
    other = read_task(write_texts(tmp_path / "texts.jsonl", rows(development=False)))
    homes = {
        task_directory(plain, read_task(file), tmp_path),
        task_directory(plain.model_copy(update={"seed": 9}), read_task(file), tmp_path),
        task_directory(plain, other, tmp_path),
    }
    assert len(homes) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: the line does not fit"),
        ('{"part": "valid", "text": "a", "intent": "b"}', "line 1: part does not fit"),
        ('{"part": "train", "text": "a", "intent": "B?"}', "line 1: intent does not fit"),
        ('{"part": "train", "text": "a", "intent": null}', "line 1: its part is train and its intent null"),
        ('{"part": "test", "text": "a", "intent": "unheard_of"}', "line 1: intent is 'unheard_of'"),
    ],
)
def test_a_line_that_does_not_fit_is_named_with_what_was_wanted(tmp_path: Path, line: str, said: str) -> None:
    path = write_texts(tmp_path / "texts.jsonl", rows())
    path.write_text(f"{line}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    with pytest.raises(TextsError, match=said) as caught:
        read_task(path)
    assert "anted" in str(caught.value)


def test_a_file_that_is_not_text_is_refused_and_a_text_may_hold_strange_ends_of_lines(tmp_path: Path) -> None:
    strange = [{"part": "train", "text": f"pay\u2028{n}", "intent": name} for n, name in enumerate(("pay", "play"))]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in strange), encoding="utf-8")
    assert len(read_task(path).texts) == 2
    path.write_bytes(b"\xff")
    with pytest.raises(TextsError, match="is not UTF-8"):
        read_task(path)


def test_embeddings_are_those_of_the_encoder_nobody_trained(plain: Recipe, file: Path, tmp_path: Path) -> None:
    task = read_task(file)
    answer = embed(plain, task, tmp_path / "rows.npy")
    pooled = np.load(tmp_path / "rows.npy", allow_pickle=False)
    assert pooled.shape == (answer["texts"], answer["dimensions"]) == (len(task.texts), 32)
    assert np.isfinite(pooled).all()


@pytest.fixture
def short(plain: Recipe) -> Recipe:
    return plain.model_copy(update={"finetune": plain.finetune.model_copy(update={"epochs": 1})})


@pytest.fixture
def given(short: Recipe, file: Path, tmp_path: Path) -> list[str]:
    """What the command is given to train by the short recipe."""
    written = tmp_path / "plain.toml"
    written.write_text(recipe_toml(short), encoding="utf-8")
    return ["intents", str(file), "--recipe", str(written), "--runs", str(tmp_path / "runs")]


def test_the_command_trains_with_another_seed_and_says_where(
    short: Recipe, given: list[str], file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*given, "--seed", "5"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Path(answer["logits"]).is_file()
    reseeded = short.model_copy(update={"seed": 5})
    assert Path(answer["run"]) == task_directory(reseeded, read_task(file), tmp_path / "runs")


def test_the_command_has_another_run_teach_and_refuses_one_that_is_none(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given) == 0
    teacher = json.loads(capsys.readouterr().out.splitlines()[-1])["run"]
    assert main([*given, "--teacher", teacher]) == 0
    pupil = json.loads(capsys.readouterr().out.splitlines()[-1])["run"]
    assert pupil != teacher
    assert read_recipe(Path(pupil) / "recipe.toml").distillation.teacher == teacher
    assert main([*given, "--teacher", str(tmp_path / "nobody")]) == 2
    assert "cannot teach" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(SETS))
def test_every_published_set_has_a_recipe_that_trains_intents_alone(name: str) -> None:
    written = read_recipe(RECIPES / f"{name}.toml")
    assert (written.name, written.finetune.route_loss_weight) == (name, 0.0)


def test_a_number_that_is_no_seed_is_misuse(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["intents", str(file), "--recipe", "any.toml", "--seed", "-1"])
    assert ended.value.code == 2
    assert "wanted a whole number" in capsys.readouterr().err
