"""The intent benchmark: what logits are worth, what is kept of a run, its tables, its picture, its command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.benchmarks.intents import figures, methods
from evaluation.benchmarks.intents.__main__ import main
from evaluation.benchmarks.intents.figures import draw
from evaluation.benchmarks.intents.measurement import describe, plan, run
from evaluation.benchmarks.intents.methods import METHODS, RECIPES, Logits, Method, MethodError, Work
from evaluation.benchmarks.intents.results import ResultsError, read_results
from evaluation.benchmarks.intents.scoring import OUTSIDE, choose_threshold, score
from evaluation.benchmarks.intents.sets import Set, Text
from evaluation.benchmarks.intents.tables import render_tables
from evaluation.benchmarks.serving.environments import InstallError, is_for_graphics_cards
from tests.evaluation.intent_texts import BILLS, HELD_OUT, quiet

NAMES = ("pay", "play")
TEXTS = (
    *BILLS,
    *(Text("train", f"play a song {n}", "play") for n in range(6)),
    *HELD_OUT,
)
TINY = Set("hint3-curekart", "hint3", TEXTS)


def logits_of(*rows: tuple[float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def test_texts_under_the_threshold_are_turned_away_and_no_longer_right() -> None:
    development = logits_of((4, 0), (0, 4), (0.1, 0)), np.array([0, 1, OUTSIDE])
    test = logits_of((5, 0), (0, 0.2), (0.2, 0)), np.array([0, 1, OUTSIDE])
    scored = score(development, test, NAMES, max_lost=0.0)
    assert (scored.accuracy, scored.auroc) == (1.0, 0.75)
    assert scored.turned is not None
    assert (scored.turned.in_scope_accuracy, scored.turned.out_of_scope_recall) == (0.5, 1.0)


def test_the_test_part_does_not_move_the_threshold() -> None:
    development = logits_of((4, 0), (0, 3), (1, 0)), np.array([0, 1, OUTSIDE])
    one = score(development, (logits_of((9, 0), (0, 0)), np.array([0, OUTSIDE])), NAMES, 0.0).turned
    other = score(development, (logits_of((0, 1), (7, 0)), np.array([1, OUTSIDE])), NAMES, 0.0).turned
    assert one is not None
    assert other is not None
    assert (one.score, one.threshold) == (other.score, other.threshold)


def test_without_development_texts_or_texts_out_of_scope_there_is_no_threshold() -> None:
    nothing = logits_of(), np.array([], dtype=np.int64)
    held = logits_of((4, 0)), np.array([0])
    assert score(nothing, (logits_of((1, 0), (0, 0)), np.array([0, OUTSIDE])), NAMES, 0.0).turned is None
    assert score(held, held, NAMES, 0.0).turned is None


@given(
    scores=st.lists(st.floats(-10, 10), min_size=1, max_size=60),
    max_lost=st.floats(0, 0.99),
)
def test_a_threshold_turns_away_no_more_of_the_right_than_it_may(scores: list[float], max_lost: float) -> None:
    values = np.array(scores)
    threshold = choose_threshold(values, np.ones(len(values), dtype=np.int64), max_lost)
    assert (values < threshold).mean() <= max_lost


class Learner:
    """A method that knows the answers, and counts how often it is asked; it may fail."""

    def __init__(self) -> None:
        self.asked, self.fails = 0, False

    def __call__(self, work: Work) -> Logits:
        self.asked += 1
        if self.fails:
            raise MethodError("not installed: no such package")
        return Logits(logits_of((4, 0), (0.1, 0)), logits_of((0, 4), (4, 0), (0, 0.1)))


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    """The one method there is."""
    one = Learner()
    monkeypatch.setitem(METHODS, "signalbox", Method("signalbox", "knows the answers", one, lambda _: 120.0))
    return one


def test_what_is_measured_is_kept_and_not_measured_again(learner: Learner, tmp_path: Path) -> None:
    planned = plan([TINY], ["signalbox"], 2, tmp_path, quiet)
    assert "2 cells, 0 done: about 4 min" in describe(planned)
    first = run(planned, tmp_path, quiet)
    again = run(plan([TINY], ["signalbox"], 2, tmp_path, quiet), tmp_path, quiet)
    assert learner.asked == 2
    assert again.cells == first.cells == read_results(tmp_path / "intents.json").cells
    assert "2 cells, 2 done: nothing to do" in describe(planned)


def test_other_texts_are_measured_anew(learner: Learner, tmp_path: Path) -> None:
    run(plan([TINY], ["signalbox"], 1, tmp_path, quiet), tmp_path, quiet)
    other = replace(TINY, texts=(Text("train", "pay me", "pay"), *TEXTS))
    run(plan([other], ["signalbox"], 1, tmp_path, quiet), tmp_path, quiet)
    assert learner.asked == 2


def test_a_method_that_fails_is_told_with_its_reason_and_the_others_go_on(learner: Learner, tmp_path: Path) -> None:
    learner.fails = True
    results = run(plan([TINY], ["signalbox", "tfidf-svc"], 1, tmp_path, quiet), tmp_path, quiet)
    assert [cell.method for cell in results.cells] == ["tfidf-svc"]
    assert [(each.method, each.reason) for each in results.missing] == [("signalbox", "not installed: no such package")]
    assert "`signalbox` on hint3-curekart, seed 0: not installed: no such package." in render_tables(results)


def test_logits_that_do_not_fit_the_set_are_refused_and_not_kept(
    learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Method("signalbox", "says too little", lambda _: Logits(logits_of(), logits_of()), lambda _: 1.0)
    monkeypatch.setitem(METHODS, "signalbox", bad)
    results = run(plan([TINY], ["signalbox"], 1, tmp_path, quiet), tmp_path, quiet)
    assert "have the shape [0, 2]; wanted finite numbers, [2, 2]" in results.missing[0].reason
    assert not list(tmp_path.rglob("*.npz"))


def test_word_counts_learn_what_words_tell(tmp_path: Path) -> None:
    (cell,) = run(plan([TINY], ["tfidf-svc"], 1, tmp_path, quiet), tmp_path, quiet).cells
    assert cell.scored.accuracy == 1.0
    assert cell.scored.turned is not None


def test_our_trainer_is_run_as_a_command_with_the_recipe_of_the_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    said = Logits(logits_of((4, 0), (0, 0)), logits_of((0, 4), (4, 0), (0, 0)))

    def train(words: list[str]) -> dict[str, str]:
        asked.append(words)
        np.savez(tmp_path / "logits.npz", development=said.development, test=said.test)
        return {"logits": str(tmp_path / "logits.npz")}

    monkeypatch.setattr(methods, "run_command", train)
    (cell,) = run(plan([TINY], ["signalbox"], 1, tmp_path, quiet), tmp_path, quiet).cells
    assert asked[0][1:4] == ["-m", "training", "intents"]
    assert asked[0][asked[0].index("--recipe") + 1] == str(RECIPES / "hint3.toml")
    assert cell.scored.accuracy == 1.0


def test_a_larger_network_is_trained_first_and_its_run_teaches_the_pupils_of_all_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def train(words: list[str]) -> dict[str, str]:
        asked.append(words[3:])
        np.savez(tmp_path / "logits.npz", development=logits_of((4, 0), (0, 0)), test=logits_of((0, 4), (4, 0), (0, 0)))
        return {"run": "runs/larger", "logits": str(tmp_path / "logits.npz")}

    monkeypatch.setattr(methods, "run_command", train)
    banking = replace(TINY, name="banking77", recipe="banking77")
    results = run(plan([banking], ["signalbox-taught"], 2, tmp_path, quiet), tmp_path, quiet)
    recipes = [Path(words[words.index("--recipe") + 1]).stem for words in asked]
    assert recipes == ["banking77-teacher", "banking77-taught"] * 2
    assert ["--seed" in words for words in asked] == [False, True] * 2
    assert [words[-1] for words in asked[1::2]] == ["runs/larger"] * 2
    assert len(results.cells) == 2


def test_a_method_is_left_out_where_the_set_has_no_recipe_for_it(tmp_path: Path) -> None:
    planned = plan([TINY], ["signalbox-taught", "tfidf-svc"], 1, tmp_path, quiet)
    assert [each.method.name for each in planned] == ["tfidf-svc"]


def test_a_command_that_fails_is_a_method_that_gave_nothing() -> None:
    with pytest.raises(MethodError, match="ended with 3"):
        methods.run_command(["python3", "-c", "raise SystemExit(3)"])


def test_a_library_that_does_not_install_is_missing_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, say: object, requirements: Path) -> Path:
        raise InstallError(f"no wheel for {name} in {requirements.name}")

    monkeypatch.setattr(methods, "install", refuse)
    results = run(plan([TINY], ["setfit"], 1, tmp_path, quiet), tmp_path, quiet)
    assert results.missing[0].reason == "not installed: no wheel for setfit in requirements"


def test_what_other_libraries_need_is_pinned_and_for_no_graphics_card() -> None:
    for path in methods.REQUIREMENTS.glob("*.txt"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert path.stem in METHODS
        assert all(line.count("==") == 1 for line in lines)
        assert not [line for line in lines if is_for_graphics_cards(line.partition("==")[0])]


def test_tables_show_mean_and_spread_beside_published_figures(learner: Learner, tmp_path: Path) -> None:
    results = run(plan([TINY], ["signalbox"], 2, tmp_path, quiet), tmp_path, quiet)
    tables = render_tables(results)
    assert "| hint3-curekart | `signalbox` | 2 | 100.00 ± 0.00 |" in tables
    assert "26 to 42" in tables


def test_the_three_bots_are_shown_as_one_where_all_were_measured(learner: Learner, tmp_path: Path) -> None:
    bots = [replace(TINY, name=f"hint3-{bot}") for bot in ("curekart", "powerplay11", "sofmattress")]
    tables = render_tables(run(plan(bots, ["signalbox"], 1, tmp_path, quiet), tmp_path, quiet))
    assert "| hint3, mean of bots | `signalbox` | 1 | 100.00 |" in tables


def test_the_picture_has_a_bar_a_method_and_a_mark_a_published_figure(learner: Learner, tmp_path: Path) -> None:
    banking = replace(TINY, name="banking77", recipe="banking77")
    figure = draw(run(plan([banking], ["signalbox", "tfidf-svc"], 2, tmp_path, quiet), tmp_path, quiet))
    assert [trace.name for trace in figure.data] == ["tfidf-svc", "signalbox", "published"]
    assert list(figure.data[-1].y) == [93.66, 94.16]


def test_a_file_that_holds_no_results_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "intents.json").write_text("{}", encoding="utf-8")
    for path in (tmp_path / "intents.json", tmp_path / "nothing.json"):
        with pytest.raises(ResultsError, match=r"holds no results.*Make it: python -m evaluation"):
            read_results(path)


def test_the_plan_says_how_long_it_takes_and_does_nothing(
    learner: Learner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "banking77"
    home.mkdir()
    for part in ("train", "test"):
        (home / f"{part}.csv").write_text("text,label\npay,pay\nplay,play\n", encoding="utf-8")
    given = ["run", "--data", str(tmp_path), "--sets", "banking77", "--methods", "signalbox", "--out", str(tmp_path)]
    assert main([*given, "--plan"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1]) == {"cells": 3, "left": 3}
    assert "about 6 min on 2 quiet cores" in err
    assert learner.asked == 0


def test_what_is_kept_is_scored_without_learning_the_rest(
    learner: Learner, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "write_figure", lambda *_: (tmp_path, ""))  # a browser draws it, for half a minute
    home = tmp_path / "banking77"
    home.mkdir()
    for part in ("train", "test"):
        (home / f"{part}.csv").write_text("text,label\npay,pay\nplay,play\nplay,play\n", encoding="utf-8")
    given = ["run", "--data", str(tmp_path), "--sets", "banking77", "--out", str(tmp_path)]
    assert main([*given, "--methods", "tfidf-svc", "--seeds", "1"]) == 0
    assert main([*given, "--methods", "tfidf-svc,signalbox", "--kept"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["cells"] == 1
    assert [(cell.method, cell.seed) for cell in read_results(tmp_path / "intents.json").cells] == [("tfidf-svc", 0)]
    assert learner.asked == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--data", "nowhere", "--sets", "banking77"], "could not be read: No such file"),
        (["run", "--data", "nowhere", "--sets", "trec"], "There is no set 'trec'"),
        (["table", "--from", "nowhere.json"], "holds no results"),
    ],
)
def test_what_cannot_be_done_is_misuse(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err
