"""The queue of posts to label: what gets in and why, whom the random share stands for, and its two files."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.annotation.argilla import records
from data.post import Post
from data.sources import read_posts
from evaluation.__main__ import main
from evaluation.labelling import COLUMNS
from evaluation.selection import choose, margins, stand_ins, unlike
from models.policy import Policy
from models.predictor import Predictor
from tests.evaluation.populations import predictor
from tests.fakes import BOLD_POLICY

SUBJECTS = (
    *("glove", "kettle", "ladder", "pillow", "garden", "bicycle", "curtain", "drawer", "helmet", "jigsaw", "keyboard"),
    *("lantern", "mirror", "napkin", "oven", "pencil", "quilt", "rucksack", "saddle", "teapot", "umbrella", "vase"),
)
VERBS = ("broke", "arrived blue", "vanished overnight", "smells odd", "fits nobody", "costs double")
TEXTS = [f"the {subject} {verb}" for subject in SUBJECTS for verb in VERBS]


def _load(_: Path, policy: Policy | None) -> Predictor:
    return predictor(policy or BOLD_POLICY)


def _posts(path: Path, texts: list[str]) -> Path:
    lines = [Post(id=f"p-{number}", text=text, platform="x").model_dump_json() for number, text in enumerate(texts)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _queue(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["queue", "bundle", *map(str, arguments)], _load)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_text_that_is_near_to_a_kept_one_is_counted_and_not_queued() -> None:
    texts = [
        "where is my parcel from leeds",
        "Where is my parcel from leeds",
        "where is my parcel from Leeds?",
        "thanks",
    ]
    assert stand_ins(texts) == {0: 3, 3: 1}


def test_what_is_known_already_stands_for_its_copies() -> None:
    assert stand_ins(["where is my parcel now", "a broken kettle"], ["Where is my parcel now", "hello"]) == {1: 1}


@given(st.lists(st.sampled_from([*TEXTS[:6], "the glove brake", "THE GLOVE BROKE"]), max_size=12))
@settings(max_examples=25, deadline=None)
def test_every_text_is_stood_for_exactly_once(texts: list[str]) -> None:
    assert sum(stand_ins(texts).values()) == len(texts)


def test_a_margin_is_how_far_the_best_is_ahead() -> None:
    assert margins(np.array([[0.5, 0.5, 0.0], [0.2, 0.1, 0.7]])) == pytest.approx([0.0, 0.5])


def test_posts_unlike_each_other_come_from_every_kind() -> None:
    texts = [f"{subject} number {number}" for subject in ("parcel", "invoice", "router") for number in range(20)]
    chosen = unlike(texts, np.ones(len(texts)), 3, seed=1)
    assert sorted(place // 20 for place in chosen) == [0, 1, 2]


def _drawn(seed: int, kinds: int = 3) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).dirichlet(np.ones(kinds), len(TEXTS))


@given(size=st.integers(1, 200), share=st.floats(0, 1), seed=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_a_queue_holds_each_post_once_and_the_random_share_asked_for(size: int, share: float, seed: int) -> None:
    chosen = choose(TEXTS, _drawn(1), size, champion=_drawn(2), random_share=share, seed=seed)
    assert len({each.place for each in chosen}) == len(chosen) == min(size, len(TEXTS))
    by_chance = [each for each in chosen if each.reason == "random"]
    assert len(by_chance) == round(min(size, len(TEXTS)) * share)
    assert {each.probability for each in by_chance} <= {len(by_chance) / len(TEXTS)}
    assert all(each.probability is None for each in chosen if each.reason != "random")


def test_the_random_share_alone_gives_an_unbiased_estimate() -> None:
    probabilities = _drawn(3)
    is_so = np.arange(len(TEXTS)) % 5 == 0
    estimates = [
        sum(is_so[each.place] / each.probability for each in chosen if each.probability) / len(TEXTS)
        for chosen in (choose(TEXTS, probabilities, 40, random_share=0.5, seed=seed) for seed in range(200))
    ]
    spread = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - is_so.mean()) < 4 * spread


def test_what_is_not_random_is_less_sure_than_the_rest() -> None:
    probabilities = _drawn(4)
    chosen = choose(TEXTS, probabilities, 10, random_share=0, seed=1)
    picked = margins(probabilities[[each.place for each in chosen]])
    assert picked.mean() < np.quantile(margins(probabilities), 0.5)
    assert {each.reason for each in chosen} == {"uncertain"}


def test_posts_on_which_the_champion_says_otherwise_come_in_the_order_of_the_dispute() -> None:
    ours = np.tile([0.9, 0.1], (len(TEXTS), 1))
    theirs = ours.copy()
    theirs[7], theirs[9], theirs[11] = [0.0, 1.0], [0.1, 0.9], [0.4, 0.6]
    chosen = choose(TEXTS, ours, 4, champion=theirs, random_share=0, seed=1)
    assert {each.place for each in chosen if each.reason == "disagreement"} == {7, 9}


def test_the_queue_is_a_table_and_its_posts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    posts = _posts(
        tmp_path / "posts.jsonl", [*TEXTS, "=HYPERLINK(1)", "call me on +44 20 7946 0958 about it", TEXTS[0]]
    )
    code, out, err = _queue(capsys, posts, "--out", tmp_path / "queue.csv", "--size", 134, "--champion", "other")
    assert code == 0
    answer = json.loads(out)
    assert answer["queued"] == answer["pool"] == answer["random"] + answer["uncertain"]
    assert answer["disagreement"] == 0  # the champion is the same model
    assert answer["near_duplicates"] == len(TEXTS) + 3 - answer["pool"] > 0
    assert f"python -m data export {tmp_path / 'queue.jsonl'}" in err
    rows = _rows(tmp_path / "queue.csv")
    assert tuple(rows[0]) == COLUMNS
    assert Counter(row["reason"] for row in rows)["random"] == round(answer["pool"] * 0.2)
    assert all(bool(row["sampling_probability"]) == (row["reason"] == "random") for row in rows)
    assert sum(int(row["copies"]) for row in rows) == len(TEXTS) + 3
    texts = [row["text"] for row in rows]
    assert "'=HYPERLINK(1)" in texts
    assert not [text for text in texts if "7946" in text]


def test_the_queued_posts_go_to_a_labelling_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _queue(capsys, _posts(tmp_path / "posts.jsonl", TEXTS), "--out", tmp_path / "queue.csv", "--size", 5)
    queued = read_posts(tmp_path / "queue.jsonl").posts
    assert [post.id for post in queued] == [row["id"] for row in _rows(tmp_path / "queue.csv")]
    assert len(records(queued, {})) == 5


def test_the_same_seed_gives_the_same_queue_and_what_is_known_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts = _posts(tmp_path / "posts.jsonl", TEXTS)
    for name in ("one", "same"):
        _queue(capsys, posts, "--out", tmp_path / f"{name}.csv", "--size", 20, "--seed", 3)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "same.csv").read_bytes()
    words = (posts, "--out", tmp_path / "next.csv", "--size", 20, "--known", tmp_path / "one.jsonl")
    assert _queue(capsys, *words)[0] == 0
    ids = [{row["id"] for row in _rows(tmp_path / name)} for name in ("one.csv", "next.csv")]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("out", "known", "told"),
    [
        ("queue.tsv", False, "Wanted a name that ends in .csv"),
        ("queue.csv", True, "is a near duplicate of a post"),
    ],
)
def test_a_queue_that_cannot_be_made_ends_with_2_and_leaves_nothing(
    out: str, known: bool, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts = _posts(tmp_path / "posts.jsonl", TEXTS[:3])
    more = ("--known", posts) if known else ()
    code, said, err = _queue(capsys, posts, "--out", tmp_path / out, *more)
    assert (code, said) == (2, "")
    assert told in err
    assert [path.name for path in tmp_path.iterdir()] == ["posts.jsonl"]


@pytest.mark.parametrize(("ids", "told"), [((None, "a"), "1 have no id"), (("a", "a"), "such as 'a'")])
def test_posts_that_labels_could_not_find_are_refused(
    ids: tuple[str | None, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(Post(id=each, text=f"the post {each}").model_dump_json() for each in ids))
    code, _, err = _queue(capsys, path, "--out", tmp_path / "queue.csv")
    assert code == 2
    assert told in err
