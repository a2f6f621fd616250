"""How a graph is chosen: INT8 with as little left out as the gates allow, fp32 last, and nothing that is not right."""

import re
import subprocess
from pathlib import Path

import pytest

from data.splits import Splits
from models.bundle import DEFAULT_BUNDLE, load_bundle
from tests.models.tiny_bundle import write_tiny_bundle
from tests.training.test_finetune import with_settings
from training.environment import git_commit
from training.errors import DivergedError, ExportError, PromotionError
from training.gates import Comparison, compare
from training.members import Finetuned
from training.pipeline import export, make_bundle
from training.plan import plan_run
from training.quantize import EXCLUSIONS
from training.recipe import Gates, Recipe
from training.runs import bundle_place, run_directory


def gated(recipe: Recipe, **gates: float) -> Recipe:
    """The recipe with gates that are not checked, so that some can be impossible."""
    return recipe.model_copy(update={"gates": Gates.model_construct(**{**Gates().model_dump(), **gates})})


def test_int8_with_nothing_left_out_is_taken_where_it_passes(
    recipe: Recipe, encoder: Path, finetuned: Finetuned, splits: Splits, tmp_path: Path
) -> None:
    told: list[str] = []
    exported = export(recipe, encoder, finetuned.weights, splits=splits, directory=tmp_path, say=told.append)
    assert exported.proven.candidate.bundle.manifest.precision == "int8"
    assert (exported.excluded, exported.refused) == ("", ())
    assert exported.comparison is not None
    assert exported.comparison.passed
    assert told == [
        "Exporting to ONNX and fusing",
        "Measuring fp32",
        "Quantising to INT8, left in fp32: nothing",
    ]


def test_gates_that_nothing_passes_leave_out_more_and_more_and_end_in_fp32(
    recipe: Recipe, encoder: Path, finetuned: Finetuned, splits: Splits, tmp_path: Path
) -> None:
    impossible, told = gated(recipe, max_route_flips_share=-1.0), list[str]()
    exported = export(impossible, encoder, finetuned.weights, splits=splits, directory=tmp_path, say=told.append)
    candidate = exported.proven.candidate
    assert (candidate.bundle.manifest.precision, candidate.graph.name) == ("fp32", "fp32.onnx")
    assert (exported.comparison, exported.excluded) == (None, None)
    assert [excluded for excluded, _ in exported.refused] == list(EXCLUSIONS)
    assert sum(line.startswith("Refused: ") for line in told) == len(EXCLUSIONS)
    assert "of the routes flipped, allowed are -100.00%" in told[3]


def test_the_first_graph_that_passes_is_taken_with_what_it_leaves_out(
    recipe: Recipe,
    encoder: Path,
    finetuned: Finetuned,
    splits: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hard, asked = gated(recipe, max_route_flips_share=-1.0), list[Comparison]()

    def strict_once(*arguments: object, **options: object) -> Comparison:
        # The first graph meets gates that it cannot pass, the next one those of the recipe.
        reference, candidate, _ = arguments
        gates = recipe.gates if asked else hard.gates
        asked.append(compare(reference, candidate, gates, **options))  # type: ignore[arg-type]  # passed through
        return asked[-1]

    monkeypatch.setattr("training.pipeline.compare", strict_once)
    exported = export(recipe, encoder, finetuned.weights, splits=splits, directory=tmp_path, say=lambda _: None)
    assert exported.excluded == EXCLUSIONS[1]
    assert exported.refused == ((EXCLUSIONS[0], asked[0]),)
    assert exported.comparison == asked[1]


def test_a_network_that_is_talked_into_answers_answers_nothing_unless_the_recipe_puts_up_with_it(
    recipe: Recipe, encoder: Path, finetuned: Finetuned, splits: Splits, tmp_path: Path
) -> None:
    exact = recipe.model_copy(update={"precision": "fp32"})
    firm = exact.model_copy(update={"withstand_injections": True})
    lax, strict = (
        export(each, encoder, finetuned.weights, splits=splits, directory=tmp_path, say=lambda _: None).proven.fitted
        for each in (exact, firm)
    )
    assert (lax.certified, lax.held_back) == (True, 0)
    assert strict.steps == lax.steps
    assert strict.policy.thresholds.answer_nothing
    assert strict.held_back == sum(step.certified for step in strict.steps)


def test_a_recipe_for_fp32_is_never_quantised(
    recipe: Recipe, encoder: Path, finetuned: Finetuned, splits: Splits, tmp_path: Path
) -> None:
    exact, told = recipe.model_copy(update={"precision": "fp32"}), list[str]()
    exported = export(exact, encoder, finetuned.weights, splits=splits, directory=tmp_path, say=told.append)
    assert exported.proven.candidate.bundle.manifest.precision == "fp32"
    assert (exported.comparison, exported.refused) == (None, ())
    assert not any("INT8" in line for line in told)


def test_a_graph_that_differs_from_torch_is_refused_and_no_bundle_is_written(recipe: Recipe, tmp_path: Path) -> None:
    quick = recipe.finetune.model_copy(update={"members": 1, "epochs": 1})
    exact = gated(recipe, max_fp32_difference=1e-30).model_copy(update={"finetune": quick})
    with pytest.raises(ExportError) as caught:
        make_bundle(exact, tmp_path / "bundle", runs=tmp_path / "runs")
    assert re.search(
        r"differs from torch by \d\.\de-\d\d in a logit, allowed are 1\.0e-30\. Use the pinned versions",
        str(caught.value),
    )
    assert not (tmp_path / "bundle").exists()


def test_a_fresh_run_that_ends_badly_keeps_the_bundle_of_the_run_before(
    recipe: Recipe, splits: Splits, tmp_path: Path
) -> None:
    quick = with_settings(recipe, members=1, epochs=1, learning_rate=float("inf"))
    kept = write_tiny_bundle(run_directory(quick, splits, tmp_path / "runs") / "bundle")
    with pytest.raises(DivergedError):
        make_bundle(quick, runs=tmp_path / "runs", fresh=True)
    assert load_bundle(kept.directory).manifest == kept.manifest


@pytest.mark.parametrize("way", ["run", "dry run"])
def test_a_champion_is_never_replaced_by_a_run_but_the_first_one_may_be_made_in_its_place(
    recipe: Recipe, tmp_path: Path, way: str
) -> None:
    made = write_tiny_bundle(tmp_path / "models" / "default")
    (tmp_path / "models" / "ledger.jsonl").touch()
    work = make_bundle if way == "run" else plan_run
    with pytest.raises(PromotionError, match=r"default is a champion: .* Leave --out away") as caught:
        work(recipe, made.directory, runs=tmp_path / "runs")
    assert "python -m training promote" in str(caught.value)
    assert load_bundle(made.directory).manifest == made.manifest
    assert not (tmp_path / "runs").exists()
    assert bundle_place(tmp_path / "run", tmp_path / "models" / "first") == tmp_path / "models" / "first"
    (tmp_path / "models" / "ledger.jsonl").unlink()
    assert bundle_place(tmp_path / "run", made.directory) == made.directory


def test_the_bundle_that_ships_is_a_champion() -> None:
    with pytest.raises(PromotionError):
        bundle_place(Path("runs/mine"), DEFAULT_BUNDLE)


def test_the_commit_is_a_hash_in_a_checkout_and_unknown_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert git_commit() == "unknown"
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
    for words in (("init", "--quiet"), (*author, "commit", "--quiet", "--allow-empty", "-m", "Begin")):
        subprocess.run(["git", *words], check=True)
    assert re.fullmatch(r"[0-9a-f]{40}", commit := git_commit())
    Path("new.txt").touch()
    assert git_commit() == f"{commit}+changed"
