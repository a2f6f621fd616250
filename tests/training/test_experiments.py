"""Seeds, search and learning curve: what is trained once, what goes on after a kill, and when a figure says nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data.sources import read_labelled
from data.splits import Splits
from data.taxonomy import ROUTES
from models.policy import RiskBudget
from tests.training.stores import own_store, quietly
from tests.training.test_finetune import read_weights, same
from training.__main__ import main
from training.errors import DivergedError, SpaceError, TrainingError
from training.experiments.curve import Curve, Point, answer, as_json, gain_as_they_come, look_ahead, nested_part
from training.experiments.fits import FIT_FILE, Fit, automatic_share, fit
from training.experiments.ladder import Rung, as_markdown, climb, read_rung
from training.experiments.pages import draw_curve
from training.experiments.powerlaw import fit_power_law
from training.experiments.search import STUDY_FILE, search
from training.experiments.seeds import noise_floor, paired_gain, reseeded, summarise
from training.experiments.space import Range, changed, read_space
from training.history import HISTORY_FILE, Epoch
from training.members import AVERAGE_FILE, Finetuned, finetune
from training.recipe import Recipe, read_recipe, recipe_toml
from training.runs import read_unlabelled, run_directory

pytestmark = quietly
ROOT = Path(__file__).parents[2]
SPACE = (
    "finetune.learning_rate = { low = 1e-3, high = 1e-2, log = true }\nfinetune.batch_posts = { choices = [8, 16] }\n"
)


@pytest.fixture(scope="module")
def quick(recipe: Recipe) -> Recipe:
    return changed(recipe, {"finetune.members": 1, "finetune.epochs": 2, "finetune.patience_epochs": 2})


@pytest.fixture
def home(tmp_path: Path, quick: Recipe) -> Path:
    """A directory with the quick recipe and a space."""
    (tmp_path / "quick.toml").write_text(recipe_toml(quick), encoding="utf-8")
    (tmp_path / "space.toml").write_text(SPACE, encoding="utf-8")
    return tmp_path


def words(home: Path, verb: str, *more: object) -> list[str]:
    return [verb, "--recipe", str(home / "quick.toml"), "--runs", str(home / "runs"), *map(str, more)]


def done(capsys: pytest.CaptureFixture[str], said: list[str]) -> tuple[dict[str, Any], str]:
    code = main(said)
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert captured.out.count("\n") == 1
    return json.loads(captured.out), captured.err


def refused(capsys: pytest.CaptureFixture[str], said: list[str]) -> str:
    code = main(said)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    return captured.err


# What is measured of one training


def test_a_fit_is_what_its_weights_say_and_is_trained_once(
    tmp_path: Path, quick: Recipe, encoder: Path, splits: Splits
) -> None:
    told: list[Epoch] = []
    parts = splits.part("train"), splits.part("development")
    made = fit(quick, encoder, *parts, tmp_path, tell=lambda _, epoch: told.append(epoch))
    assert made.macro_f1 == pytest.approx(np.mean(list(made.route_f1.values())))
    assert [epoch.epoch for epoch in told] == [1, 2]
    again = fit(quick, encoder, *parts, tmp_path, tell=lambda _, epoch: told.append(epoch))
    assert again == made
    assert len(told) == 2


def test_a_fit_learns_from_posts_without_labels_as_a_run_does(
    tmp_path: Path, quick: Recipe, encoder: Path, splits: Splits
) -> None:
    unlabelled = tmp_path / "unlabelled.jsonl"
    texts = [{"id": f"u{number}", "text": f"still nothing from you {number}"} for number in range(40)]
    unlabelled.write_text("".join(json.dumps(each) + "\n" for each in texts), encoding="utf-8")
    pupil = changed(quick, {"distillation.teacher": "members"})
    with_more = changed(pupil, {"distillation.unlabelled": (str(unlabelled),)})
    parts = splits.part("train")[:32], splits.part("development")
    for recipe, home in ((pupil, "without"), (with_more, "with")):
        fit(recipe, encoder, *parts, tmp_path / home)
    run = finetune(with_more, encoder, *parts, tmp_path / "run", unlabelled=read_unlabelled(with_more))
    without, like_run = (read_weights(tmp_path / home / AVERAGE_FILE) for home in ("without", "with"))
    assert same(like_run, read_weights(run.weights))
    assert not same(like_run, without)


def brute_automatic_share(routes: Any, said: Any, budget: RiskBudget) -> float:
    best = 0.0
    for line in said[:, 0]:
        closed = (said[:, 0] >= line) & (said.argmax(axis=1) == 0)
        leaks = [(closed & (routes == place)).sum() / max((routes == place).sum(), 1) for place in (2, 3)]
        wrong = (closed & (routes != 0)).sum() / max(closed.sum(), 1)
        if leaks[0] <= budget.leak_sensitive and leaks[1] <= budget.leak_influencer and wrong <= budget.wrong:
            best = max(best, closed.mean())
    return best


@given(st.integers(0, 10_000), st.sampled_from([3, 10, 60]))
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_automatic_share_is_that_of_the_best_threshold(seed: int, posts: int) -> None:
    assert ROUTES == ("simple", "complex", "sensitive", "influencer")
    draw = np.random.default_rng(seed)
    routes = draw.choice(4, posts, p=[0.7, 0.1, 0.1, 0.1])
    said = np.round(draw.dirichlet([2, 0.5, 0.5, 0.5], posts), 1)
    budget = RiskBudget(leak_sensitive=0.3, leak_influencer=0.3, wrong=0.4, confidence=0.9)
    assert automatic_share(routes, said, budget) == pytest.approx(brute_automatic_share(routes, said, budget))


# Seeds


def test_a_noise_floor_is_exceeded_by_chance_as_rarely_as_it_promises() -> None:
    draws = np.random.default_rng(1).normal(0.8, 0.02, (4_000, 2, 3))
    beyond = [abs(two.mean() - one.mean()) > noise_floor(one.tolist())["of_means"] for one, two in draws]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.015)


def test_a_paired_gain_covers_the_truth_as_often_as_it_promises() -> None:
    draw = np.random.default_rng(2)
    shared, own = draw.normal(0.8, 0.05, (4_000, 3)), draw.normal(0.01, 0.01, (4_000, 3))
    gains = [paired_gain(one.tolist(), (one + more).tolist()) for one, more in zip(shared, own, strict=True)]
    assert np.mean([gain.low <= 0.01 <= gain.high for gain in gains]) == pytest.approx(0.95, abs=0.015)


def fit_of(seed: int, f1: float, development: str = "a") -> Fit:
    return Fit(seed, f1, f1, f1, f1, {"simple": f1, "complex": f1}, 1.0, development)


def test_a_gain_that_every_seed_shows_is_more_than_noise_and_a_mixed_one_is_not() -> None:
    ours = [fit_of(seed, f1) for seed, f1 in enumerate((0.70, 0.80, 0.75))]
    ahead = [fit_of(each.seed, each.macro_f1 + 0.02 + 0.001 * each.seed) for each in ours]
    mixed = [fit_of(each.seed, each.macro_f1 + (0.05, -0.04, 0.02)[each.seed]) for each in ours]
    assert summarise(ours, ahead)["macro_f1"]["gain"]["is_more_than_noise"]
    assert not summarise(ours, mixed)["f1 simple"]["gain"]["is_more_than_noise"]


def test_recipes_that_were_measured_on_other_posts_are_not_compared() -> None:
    with pytest.raises(TrainingError, match="Wanted the same posts"):
        summarise([fit_of(0, 0.7), fit_of(1, 0.7)], [fit_of(0, 0.7, "b"), fit_of(1, 0.7, "b")])


@pytest.mark.parametrize(("seed", "count", "told"), [(3, 1, "Wanted at least 2"), (2**32 - 1, 2, "is the largest")])
def test_seeds_that_give_no_spread_are_refused(quick: Recipe, seed: int, count: int, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        reseeded(changed(quick, {"seed": seed}), count)


def test_seeds_are_trained_once_and_held_against_another_recipe(
    home: Path, quick: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    other = changed(quick, {"name": "slow", "seed": 99, "finetune.learning_rate": 1e-6})
    (home / "slow.toml").write_text(recipe_toml(other), encoding="utf-8")
    command = words(home, "seeds", "--seeds", 2, "--out", home / "out")
    done(capsys, command)
    kept = {path: path.stat().st_mtime_ns for path in home.rglob(AVERAGE_FILE)}
    answered, told = done(capsys, [*command, "--against", str(home / "slow.toml")])
    content = json.loads((home / "out" / "seeds.json").read_bytes())
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(kept) == 2
    assert [each["seed"] for each in content["runs"]] == [each["seed"] for each in content["against_runs"]] == [3, 4]
    scores = [each["macro_f1"] for each in content["runs"]]
    assert content["figures"]["macro_f1"]["spread"]["mean"] == pytest.approx(np.mean(scores))
    pairs = zip(content["runs"], content["against_runs"], strict=True)
    gains = [there["macro_f1"] - here["macro_f1"] for here, there in pairs]
    assert answered["gain"]["mean"] == pytest.approx(np.mean(gains))
    assert "slow is" in told
    assert "noise of the seed" in told


def test_seeds_are_measured_on_other_posts_too_and_make_the_rungs_of_a_ladder(
    home: Path, quick: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    other = changed(quick, {"name": "slow", "finetune.learning_rate": 1e-6})
    (home / "slow.toml").write_text(recipe_toml(other), encoding="utf-8")
    posts = Path(quick.data.posts)
    measure = ("--measure", f"{posts}:en", "--seeds", 2)
    done(capsys, words(home, "seeds", *measure, "--out", home / "quick"))
    _, told = done(
        capsys,
        words(home, "seeds", *measure, "--against", home / "slow.toml", "--out", home / "both"),
    )
    content = json.loads((home / "both" / "seeds.json").read_bytes())
    (elsewhere,) = content["elsewhere"]
    held = [post for post in read_labelled(posts).posts if post.lang == "en"]
    assert (elsewhere["file"], elsewhere["language"], elsewhere["posts"]) == (posts.name, "en", len(held))
    assert f"{posts.name}, points" in told
    ours, theirs = ([run["accuracy"] for run in elsewhere[which]] for which in ("runs", "against_runs"))
    assert elsewhere["figures"]["accuracy"]["gain"]["mean"] == pytest.approx(np.mean(theirs) - np.mean(ours))
    assert all(float(value * len(held)) == pytest.approx(round(value * len(held))) for value in (*ours, *theirs))
    rungs = [home / "quick" / "seeds.json", home / "slow" / "seeds.json"]
    rungs[1].parent.mkdir()
    swapped = content | {"recipe": "slow", "runs": content["against_runs"]}
    swapped["elsewhere"] = [elsewhere | {"runs": elsewhere["against_runs"]}]
    rungs[1].write_text(json.dumps(swapped))
    answered, told = done(capsys, ["ladder", *map(str, rungs), "--out", str(home / "ladder")])
    assert answered["rungs"] == [quick.name, "slow"]
    gain = 100 * elsewhere["figures"]["accuracy"]["gain"]["mean"]
    assert f"({gain:+.1f};" in told
    assert f"{posts.name} (en)" in (home / "ladder" / "ladder.html").read_text(encoding="utf-8")
    other_posts = swapped | {"elsewhere": [elsewhere | {"fingerprint": "of corrected labels"}]}
    rungs[1].write_text(json.dumps(other_posts))
    below, above = climb([read_rung(path) for path in rungs])
    assert below.rung.figures.keys() == above.rung.figures.keys()
    assert above.gains.keys() == {"development"}


def test_figures_outlive_weights_and_two_files_of_one_name_are_refused(
    home: Path, quick: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(home, "seeds", "--seeds", 2, "--out", home / "out")
    first, _ = done(capsys, command)
    for weights in home.rglob("*.pt"):
        weights.unlink()
    assert done(capsys, command)[0] == first
    posts = f"{quick.data.posts}:en"
    assert "one name and language" in refused(capsys, [*command, "--measure", posts, "--measure", posts])


def test_the_members_of_a_run_stand_for_seeds(
    home: Path, recipe: Recipe, finetuned: Finetuned, splits: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "quick.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    run, posts = run_directory(recipe, splits, home / "runs"), Path(recipe.data.posts)
    command = words(home, "seeds", "--members", "--measure", posts, "--out", home / "out")
    assert "There is no file" in refused(capsys, command)
    shutil.copytree(finetuned.weights.parent, run)
    (run / AVERAGE_FILE).unlink()
    history = run / "member-1" / HISTORY_FILE
    whole = history.read_bytes()
    history.write_text(json.dumps(json.loads(whole)[:1]))
    assert f"not trained to the end is {run / 'member-1'}" in refused(capsys, command)
    history.write_bytes(whole)
    _, told = done(capsys, command)
    assert f"{recipe.name}, {len(finetuned.members)} members" in told
    runs = json.loads((home / "out" / "seeds.json").read_bytes())["runs"]
    assert [each["seed"] for each in runs] == [recipe.seed + number for number in range(recipe.finetune.members)]
    for each, member in zip(runs, finetuned.members, strict=True):
        best = member.history[member.best_epoch - 1]
        assert each["macro_f1"] == pytest.approx(best.macro_f1)
        assert each["seconds"] == member.history[-1].seconds
    assert read_rung(home / "out" / "seeds.json").figures[posts.name]["accuracy"].keys() == {3, 4}


def test_one_member_shows_no_spread(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No spread can be had of 1 member" in refused(capsys, words(home, "seeds", "--members"))
    with pytest.raises(SystemExit):
        main(words(home, "seeds", "--members", "--seeds", 2))


def rung_of(name: str, scores: dict[int, float], posts: str = "a") -> Rung:
    return Rung(name, {"development": {"accuracy": scores}}, {"development": posts}, seconds=90.0)


def test_a_rung_gains_over_the_one_below_by_the_seeds_that_both_have() -> None:
    rungs = [rung_of("one", {0: 0.5, 1: 0.6, 2: 0.9}), rung_of("two", {1: 0.7, 0: 0.6}), rung_of("three", {0: 0.7})]
    first, second, third = climb(rungs)
    gain = second.gains["development"]["accuracy"]
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (first.gains, third.gains) == ({}, {})  # one seed in common has no spread
    assert as_markdown([first, second]).splitlines()[-2:] == [
        "| one | 66.7 | 2 |",
        "| two | 65.0 (+10.0; +10.0 to +10.0) | 2 |",
    ]


def test_rungs_measured_on_other_posts_gain_nothing_and_two_of_one_name_are_refused() -> None:
    apart = [rung_of("one", {0: 0.5, 1: 0.6}), rung_of("two", {0: 0.6, 1: 0.7}, "b")]
    assert climb(apart)[1].gains == {}
    with pytest.raises(TrainingError, match="Two rungs are called 'one'"):
        climb([apart[0], apart[0]])


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"runs": []}'])
def test_what_seeds_did_not_write_is_no_rung(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "seeds.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TrainingError, match=r"Wanted a seeds\.json that `python -m training seeds` wrote"):
        read_rung(path)


# The space of a search


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("finetune.lerning_rate = { low = 1, high = 2 }", "The nearest is finetune.learning_rate"),
        ("seed = { choices = [1, 2] }", "It is not a search's to change"),
        ("finetune.epochs = { low = 0, high = 3 }", "greater than or equal to 1"),
        ("finetune.dropout = { low = 0.3, high = 0.1 }", "wanted low < high"),
        ("finetune.dropout = { low = 0.0, high = 0.1, log = true }", "wanted above 0 where log = true"),
        ("finetune.dropout = { low = 0.0, hi = 0.1 }", "Wanted a range that the recipe allows"),
        ("finetune.batch_posts = { choices = [8] }", "wanted a list of at least two"),
        ("finetune.batch_posts = 8", "Wanted a range that the recipe allows"),
        ("", "names no field"),
        ("finetune.dropout = {", "is not TOML"),
        ("finetune = 3", "finetune is no field"),
    ],
)
def test_a_space_that_does_not_fit_the_recipe_is_refused_by_field(
    text: str, told: str, tmp_path: Path, quick: Recipe
) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpaceError) as error:
        read_space(path, quick)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_the_space_that_ships_fits_the_recipe_that_ships() -> None:
    space = read_space(Path("training/recipes/space.toml"), read_recipe(Path("training/recipes/default.toml")))
    assert space["finetune.learning_rate"] == Range(low=3e-5, high=3e-4, log=True)
    assert space["finetune.batch_posts"].ends == (8, 16, 32)


def test_what_a_file_of_answers_was_asked_by_is_not_searched_for(tmp_path: Path, quick: Recipe) -> None:
    path, answers = tmp_path / "space.toml", tmp_path / "answers.npz"
    path.write_text("distillation.temperature = { low = 1.0, high = 4.0 }", encoding="utf-8")
    answers.touch()
    assert read_space(path, changed(quick, {"distillation.teacher": "members"}))
    with pytest.raises(SpaceError, match=r"distillation\.temperature is no field .* It is not a search's to change"):
        read_space(path, changed(quick, {"distillation.teacher": str(answers)}))


def test_a_missing_space_ends_with_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, words(home, "search", "--space", home / "gone.toml", "--budget-minutes", 1, "--no-tracking"))
    assert "Start from training/recipes/space.toml" in told


# The search


def trials_of(home: Path) -> list[Any]:
    import optuna

    (study,) = home.rglob(STUDY_FILE)
    return optuna.load_study(study_name="search", storage=f"sqlite:///{study}").get_trials()


def proposals(home: Path) -> list[tuple[Any, ...]]:
    """What was proposed and came of it, but for trials that were cut off."""
    return [
        (each.params["finetune.learning_rate"], each.params["finetune.batch_posts"], each.state, each.values)
        for each in trials_of(home)
        if each.state.name in ("COMPLETE", "PRUNED")
    ]


def searching(home: Path, *more: object) -> list[str]:
    return words(home, "search", "--space", home / "space.toml", "--budget-minutes", 5, *more)


def test_a_search_begins_with_the_recipe_and_writes_the_best_as_one(
    home: Path, quick: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    answered, told = done(capsys, searching(home, "--trials", 3, "--no-tracking"))
    best, trials = read_recipe(Path(answered["recipe"])), proposals(home)
    assert trials[0][:2] == (quick.finetune.learning_rate, quick.finetune.batch_posts)
    assert answered["complete"] + answered["pruned"] == len(trials) == 3
    assert answered["macro_f1"] == max(values[0] for *_, values in trials if values) >= answered["first"]
    assert best.name == "tiny-best"
    assert (best.finetune.learning_rate, best.finetune.batch_posts) in [trial[:2] for trial in trials]
    assert f"seeds --recipe {home / 'quick.toml'} --against {answered['recipe']}" in told
    page = Path(answered["page"]).read_text(encoding="utf-8")
    assert page.count("Plotly.newPlot(") >= 3
    assert "<script src=" not in page
    assert not list(home.rglob(AVERAGE_FILE)), "the weights of trials are not kept"
    again, _ = done(capsys, searching(home, "--trials", 3, "--no-tracking"))
    assert again == answered


class CutOffError(Exception):
    """Stands for a power cut."""


def test_a_search_that_was_cut_off_proposes_what_it_would_have(home: Path, quick: Recipe) -> None:
    space = read_space(home / "space.toml", quick)
    search(quick, space, budget_s=300, trials=3, runs=home / "whole")
    steps = 0

    def cut(items: Any, what: str, total: int | None = None) -> Iterator[Any]:
        nonlocal steps
        for item in items:
            if what.startswith("fine-tuning"):
                steps += 1
                if steps == 35:  # in the second trial of 28 steps
                    raise CutOffError
            yield item

    with pytest.raises(CutOffError):
        search(quick, space, budget_s=300, trials=3, runs=home / "cut", watch=cut)
    assert [each.state.name for each in trials_of(home / "cut")] == ["COMPLETE", "RUNNING"]
    search(quick, space, budget_s=300, trials=3, runs=home / "cut")
    assert proposals(home / "cut") == proposals(home / "whole")


def test_a_search_that_was_killed_goes_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "training", *searching(home, "--trials", 50, "--no-tracking")]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=one_thread
    ) as search:
        stderr = search.stderr
        assert stderr is not None
        for line in stderr:
            if b"Trial 1:" in line:  # a bar may stand before it
                search.send_signal(signal.SIGKILL)
                break
    before = proposals(home)
    assert 2 <= len(before) < 50
    answered, _ = done(capsys, searching(home, "--trials", len(before) + 2, "--no-tracking"))
    assert answered["complete"] + answered["pruned"] == len(before) + 2
    assert proposals(home)[:2] == before[:2]


def test_no_trial_begins_that_the_budget_has_no_room_for(home: Path, quick: Recipe) -> None:
    found = search(quick, read_space(home / "space.toml", quick), budget_s=1e-6, runs=home / "runs")
    assert (found.ended, found.pruned) == (1, 0)
    assert found.value == found.start
    assert changed(found.best, {"name": quick.name}) == quick


def test_a_trial_that_stays_behind_is_given_up(home: Path, quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.experiments.search._DRAWN_FIRST", 2)
    slow = "finetune.learning_rate = { choices = [5e-3, 6e-3, 1e-7] }\nfinetune.epochs = { choices = [6, 5] }\n"
    (home / "space.toml").write_text(slow, encoding="utf-8")
    start = changed(quick, {"finetune.epochs": 6, "finetune.patience_epochs": 6})
    search(start, read_space(home / "space.toml", start), budget_s=300, trials=6, runs=home / "runs")
    pruned = [each for each in trials_of(home) if each.state.name == "PRUNED"]
    assert pruned
    for each in pruned:
        step = each.last_step
        before = [
            other.intermediate_values[step]
            for other in trials_of(home)[: each.number]
            if other.state.name == "COMPLETE" and step in other.intermediate_values
        ]
        assert step < each.params["finetune.epochs"]
        assert max(each.intermediate_values.values()) < np.median(before)


def test_a_trial_that_diverges_is_given_up_and_the_search_goes_on(home: Path, quick: Recipe) -> None:
    (home / "space.toml").write_text("finetune.learning_rate = { choices = [5e-3, 1e30] }\n", encoding="utf-8")
    found = search(quick, read_space(home / "space.toml", quick), budget_s=300, trials=5, runs=home / "runs")
    assert (found.ended, found.pruned) != (5, 0)
    assert found.ended + found.pruned == 5
    assert found.best.finetune.learning_rate == 5e-3


def test_a_search_in_which_all_diverges_says_what_to_lower(home: Path, quick: Recipe) -> None:
    hot = changed(quick, {"finetune.learning_rate": 1e30})
    (home / "space.toml").write_text("finetune.learning_rate = { choices = [1e29, 1e30] }\n", encoding="utf-8")
    with pytest.raises(DivergedError, match="None of the 2 trials"):
        search(hot, read_space(home / "space.toml", hot), budget_s=300, trials=2, runs=home / "runs")


def test_every_trial_is_told_to_mlflow(home: Path, empty_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow

    with own_store(home, empty_store):
        done(capsys, searching(home, "--trials", 2))
        runs = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}").search_runs(["1"])
    assert {run.info.run_name for run in runs} == {"tiny-trial-0", "tiny-trial-1"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert float(run.data.params["finetune.learning_rate"]) > 0
        assert run.data.tags["state"] in {"complete", "pruned"}
        assert "member_0_macro_f1" in run.data.metrics


WITHOUT_OPTUNA = """
import runpy, sys

class NoOptuna:
    def find_spec(self, name, path, target=None):
        if name == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'", name="optuna")

sys.meta_path.insert(0, NoOptuna())
sys.argv[0] = "training"
runpy.run_module("training", run_name="__main__", alter_sys=True)
"""


def test_without_optuna_the_command_to_type_is_said(home: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_OPTUNA, *searching(home)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "pip install --group search -c constraints.txt" in ended.stderr


# The learning curve


@given(share=st.floats(0.05, 1), larger=st.floats(0.05, 1), seed=st.integers(0, 50))
@hypothesis_settings(max_examples=40, deadline=None)
def test_parts_are_nested_and_tear_no_group(splits: Splits, share: float, larger: float, seed: int) -> None:
    assume(share <= larger)
    small, large = (nested_part(splits, each, seed) for each in (share, larger))
    assert {post.id for post in small} <= {post.id for post in large}
    kept = {post.id for post in small}
    torn = [members for members in splits.file.parts["train"] if 0 < len(kept & set(members)) < len(members)]
    assert torn == []
    biggest = max(map(len, splits.file.parts["train"]))
    assert share * len(splits.part("train")) <= len(small) < share * len(splits.part("train")) + biggest
    assert nested_part(splits, 1, seed) == splits.part("train")


def test_a_power_law_is_found_again() -> None:
    labels = [100.0, 200, 400, 800] * 3
    law = fit_power_law(labels, [2 * n**-0.4 for n in labels])
    assert law is not None
    assert law.exponent.value == pytest.approx(0.4)
    assert law.gain(800, 1300).value == pytest.approx(2 * 800**-0.4 - 2 * 1300**-0.4)


def test_the_interval_of_an_exponent_covers_it_as_often_as_it_promises() -> None:
    draw, labels = np.random.default_rng(3), [100.0, 200, 400, 800] * 2
    laws = [fit_power_law(labels, [n**-0.3 * np.exp(draw.normal(0, 0.1)) for n in labels]) for _ in range(300)]
    covered = [law.exponent.low <= 0.3 <= law.exponent.high for law in laws if law]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


def test_two_sizes_fit_every_law_and_so_give_none() -> None:
    assert fit_power_law([100, 200, 100, 200], [0.3, 0.2, 0.31, 0.19]) is None


def curve_of(exponents: dict[str, float], noise: float, held: int = 100) -> Curve:
    """A curve of three seeds whose errors follow power laws, shaken by `noise`."""
    draw = np.random.default_rng(5)
    points = []
    for seed in range(3):
        for share in (0.25, 0.5, 0.75, 1.0):
            labels = {route: round(800 * share) for route in exponents}
            f1 = {
                route: 1 - labels[route] ** -exponent * np.exp(draw.normal(0, noise))
                for route, exponent in exponents.items()
            }
            points.append(Point(share, sum(labels.values()), labels, replace(fit_of(seed, 0.5), route_f1=f1)))
    return Curve("drawn", tuple(points), dict.fromkeys(exponents, held))


def test_a_curve_that_falls_says_what_more_labels_bring_and_of_which_class() -> None:
    curve = curve_of({"simple": 0.5, "complex": 0.2}, noise=0.01)
    said, outlooks = answer(curve)
    assert "Of one class alone, complex gains most." in said
    gain = outlooks[1].gain
    assert gain is not None
    assert gain.low <= 800**-0.2 - 1300**-0.2 <= gain.high
    mixed = gain_as_they_come(curve, outlooks)
    assert mixed is not None
    assert mixed.low <= sum(800**-b - (800 * (1 + 500 / 1600)) ** -b for b in (0.5, 0.2)) / 2 <= mixed.high
    assert json.dumps(as_json(curve, outlooks, said), allow_nan=False)


@pytest.mark.parametrize(
    ("curve", "told"),
    [
        (curve_of({"simple": 0.01, "complex": 0.3}, noise=0.3), "the exponent is"),
        (curve_of({"simple": 0.3, "complex": 0.3}, noise=0.01, held=12), "only 12 development posts have it"),
        (
            replace(curve_of({"simple": 0.3}, 0.01), points=curve_of({"simple": 0.3}, 0.01).points[:2]),
            "fewer than three",
        ),
    ],
)
def test_a_curve_that_cannot_tell_says_so(curve: Curve, told: str) -> None:
    outlook = look_ahead(curve, "simple")
    assert outlook.gain is None
    assert outlook.says.startswith("cannot tell")
    assert told in outlook.says
    assert answer(curve)[0].startswith("Whether 500 more labels as they come would help: this curve cannot tell.")


def test_two_shares_are_two_sizes_though_every_seed_draws_other_labels() -> None:
    whole = curve_of({"simple": 0.3}, 0.01)
    halves = [point for point in whole.points if point.share in (0.5, 1)]
    shaken = [replace(each, labels={"simple": each.labels["simple"] + at}) for at, each in enumerate(halves)]
    assert len({each.labels["simple"] for each in shaken}) > 2
    assert "fewer than three" in look_ahead(replace(whole, points=tuple(shaken)), "simple").says


def test_a_curve_is_drawn_with_every_training_as_a_dot() -> None:
    curve = curve_of({"simple": 0.5, "complex": 0.2}, noise=0.01)
    figure = draw_curve(curve, answer(curve)[1])
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert [len(trace.x) for trace in dots] == [12, 12]


def test_a_curve_is_measured_once_and_its_whole_share_is_the_run(
    home: Path, splits: Splits, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(home, "curve", "--seeds", 2, "--shares", "0.4,0.7,1", "--out", home / "out")
    answered, told = done(capsys, command)
    content = json.loads((home / "out" / "curve.json").read_bytes())
    assert [point["share"] for point in content["points"]] == [0.4, 0.7, 1.0] * 2
    assert content["points"][2]["posts"] == len(splits.part("train"))
    assert answered["answer"] in told
    assert "500 more labels" in answered["answer"]
    assert (home / "out" / "curve.html").read_text(encoding="utf-8").count("<html") == 1
    kept = {path: path.stat().st_mtime_ns for path in (home / "runs").rglob(FIT_FILE)}
    assert len(kept) == 6
    again, _ = done(capsys, command)
    assert again == answered
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize("shares", ["0.5", "0,1", "0.5,0.5,1"])
def test_shares_that_make_no_curve_end_with_2(shares: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Give --shares 0.25,0.5,0.75,1." in refused(capsys, words(home, "curve", "--shares", shares))
