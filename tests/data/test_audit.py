"""`data.audit`: planted mistakes are found, the list survives a spreadsheet, and verdicts do what people said."""

import csv
import json
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.audit.clusters import find_clusters
from data.audit.folds import deal, out_of_fold
from data.audit.review import ReviewError, apply_review
from data.audit.suspects import audit
from data.dependencies import MissingGroupError
from data.duplicates import near_duplicates
from data.post import LabelledPost
from data.rejects import SourceError
from data.rendering import render
from data.sources import read_labelled, write_labelled
from data.spreadsheet import guarded, guarded_id, unguarded_id
from data.suggestions import Suggestion
from evaluation.benchmarks.labels.planting import Example, Planted, nearest_labels, plant
from tests.data.strategies import labelled
from tests.data.test_commands import run

CLEAR = ("praise", "fraud_security", "refund_return", "fault_outage")
"""Intents of our corpus whose words tell them apart, so that a small part of it can speak for its labels."""


@cache
def planted_corpus() -> tuple[Planted, tuple[LabelledPost, ...]]:
    """A tenth of our corpus with 3 % of the intents flipped and 5 % copies, by a seed."""
    clean = [post for post in read_labelled("data/corpus/well-written.jsonl").posts if post.intent in CLEAR]
    planted = plant([Example(post.text, post.intent) for post in clean], flips=0.03, copies=0.05, seed=1)
    posts = [labelled(f"n{place}", each.text, intent=each.label) for place, each in enumerate(planted.examples)]
    return planted, tuple(posts)


@pytest.fixture
def planted_file(tmp_path: Path) -> Path:
    write_labelled(tmp_path / "posts.jsonl", planted_corpus()[1])
    return tmp_path / "posts.jsonl"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def save(path: Path, rows: list[dict[str, str]], *, delimiter: str = ",", encoding: str = "utf-8-sig") -> Path:
    """The list as a spreadsheet saves it."""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_most_planted_flips_stand_at_the_head_of_the_list_and_all_copies_in_clusters(
    planted_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted, _ = planted_corpus()
    review, clusters = tmp_path / "review.csv", tmp_path / "clusters.csv"
    n = len(planted.flipped)
    code, answers, _ = run(
        capsys, "audit", planted_file, "--of", "intent", "--most", 3 * n, "--out", review, "--clusters", clusters
    )
    assert (code, answers[-1]["listed"]) == (0, 3 * n)
    listed = [int(row["id"].removeprefix("n")) for row in rows_of(review)]
    # Chance would find 3 and 9 %.
    assert len({*listed[:n]} & planted.flipped) / n >= 0.3
    assert len({*listed} & planted.flipped) / n >= 0.7
    cluster_of = {row["id"]: row["cluster"] for row in rows_of(clusters)}
    together = [
        cluster_of.get(f"n{copy}") == cluster_of.get(f"n{home}") is not None for copy, home in planted.copies.items()
    ]
    assert sum(together) / len(together) >= 0.9
    assert all(cluster_of[f"n{copy}"] == cluster_of[f"n{planted.copies[copy]}"] for copy in planted.exact)


def test_flips_between_labels_that_are_easily_confused_are_found_far_above_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = [post for post in read_labelled("data/corpus/well-written.jsonl").posts if post.intent in CLEAR]
    examples = [Example(post.text, post.intent) for post in clean]
    nearest = nearest_labels(examples)
    assert all(other in CLEAR and other != label for label, other in nearest.items())
    planted = plant(examples, flips=0.03, copies=0.0, seed=1, nearest=nearest)
    posts = [labelled(f"n{place}", each.text, intent=each.label) for place, each in enumerate(planted.examples)]
    write_labelled(tmp_path / "posts.jsonl", posts)
    review, n = tmp_path / "review.csv", len(planted.flipped)
    assert run(capsys, "audit", tmp_path / "posts.jsonl", "--of", "intent", "--most", 3 * n, "--out", review)[0] == 0
    listed = [int(row["id"].removeprefix("n")) for row in rows_of(review)]
    # Chance would find 3 and 9 %.
    assert len({*listed[:n]} & planted.flipped) / n >= 0.3
    assert len({*listed} & planted.flipped) / n >= 0.5


def test_a_label_is_nearest_to_the_one_that_shares_its_words() -> None:
    texts = {
        "pay": "pay the bill by card",
        "refund": "refund the bill",
        "praise": "lovely shop",
        "thanks": "lovely day",
    }
    nearest = nearest_labels([Example(text, label) for label, text in texts.items()])
    assert nearest == {"pay": "refund", "refund": "pay", "praise": "thanks", "thanks": "praise"}


def test_a_review_of_all_that_is_listed_mends_most_of_the_flips(
    planted_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted, posts = planted_corpus()
    review = tmp_path / "review.csv"
    assert run(capsys, "audit", planted_file, "--of", "intent", "--out", review)[0] == 0
    rows = rows_of(review)
    for row in rows:
        row["verdict"] = "suggested" if int(row["id"].removeprefix("n")) in planted.flipped else "keep"
    save(review, rows)
    code, answers, _ = run(capsys, "apply-review", planted_file, "--review", review, "--out", tmp_path / "new.jsonl")
    assert (code, answers[-1]["posts"]) == (0, len(posts))
    assert answers[-1]["changed"] + answers[-1]["kept"] == len(rows)
    assert answers[-1]["changed"] >= 0.6 * len(planted.flipped)


def test_copies_never_vouch_for_each_other() -> None:
    # Every text stands twice, once with each label: what a fold learns of the copies of others says nothing of these.
    texts = [f"{word} {word}s are {word}ish" for word in ("alpha", "beta", "gamma", "delta", "omega", "sigma")] * 2
    labels = np.array([place % 2 for place in range(12)], dtype=np.int64)
    found = out_of_fold(texts, labels, [place % 6 for place in range(12)], folds=3)
    assert np.abs(found[:6] - found[6:]).max() < 1e-12


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60), st.integers(2, 5))
def test_folds_keep_groups_whole_and_spread_every_label(places: list[tuple[int, int]], folds: int) -> None:
    labels, groups = [label for label, _ in places], [100 * label + group for label, group in places]
    dealt = deal(labels, groups, folds).tolist()
    fold_of = dict(zip(groups, dealt, strict=True))
    assert [fold_of[group] for group in groups] == dealt
    for label in set(labels):
        its = {group for one, group in zip(labels, groups, strict=True) if one == label}
        assert len({fold_of[group] for group in its}) == min(len(its), folds)


def judged(
    posts: list[LabelledPost], suggestions: Mapping[str, Suggestion] | None = None
) -> list[tuple[str, str, str]]:
    rendered = [render(post) for post in posts]
    found = audit(posts, rendered, list(range(len(posts))), "route", suggestions=suggestions)
    return [(posts[each.place].id, each.given, each.suggested) for each in found.worst()]


def suggestion(post_id: str, **routes: float) -> Suggestion:
    best = max(routes, key=lambda route: routes[route])
    said = {"label": best, "confidence": routes[best], "probabilities": routes}
    return Suggestion.model_validate({"id": post_id, "route": said, "intent": {"label": "praise", "confidence": 0.5}})


def two_routes() -> list[LabelledPost]:
    routes = ["simple"] * 6 + ["complex"] * 6
    return [labelled(f"p{n}", f"post {n}", route=route) for n, route in enumerate(routes)]


def test_another_models_probabilities_may_judge() -> None:
    posts = two_routes()
    said = {
        post.id: suggestion(post.id, simple=0.95, complex=0.05)
        if post.route == "simple" or post.id == "p7"
        else suggestion(post.id, simple=0.05, complex=0.95)
        for post in posts
    }
    assert judged(posts, said) == [("p7", "complex", "simple")]


def test_probabilities_that_lack_a_post_or_a_label_are_refused() -> None:
    posts = two_routes()
    said = {post.id: suggestion(post.id, simple=1.0) for post in posts}
    with pytest.raises(SourceError, match="they lack complex for the route of p0"):
        judged(posts, said)
    with pytest.raises(SourceError, match=r"they lack the post for the route of p0"):
        judged(posts, {})


def test_a_label_that_nobody_else_has_is_not_judged() -> None:
    posts = [*two_routes(), labelled("alone", "my show", route="influencer")]
    verdicts = audit(posts, [render(post) for post in posts], list(range(len(posts))), "route")
    assert (verdicts.not_judged, len(verdicts.suspects)) == ({"influencer": 1}, 12)


def test_clusters_that_disagree_stand_first() -> None:
    texts = [
        "where is my parcel now",
        "lovely shop, thank you all",
        "where is my parcel now?",
        "lovely shop, thank you all",
    ]
    posts = [labelled(f"p{n}", text) for n, text in enumerate(texts)]
    posts[2] = labelled("p2", texts[2], route="complex")
    one, other = find_clusters(posts, near_duplicates(texts))
    assert ([post.id for post in one.posts], one.agrees, one.number) == (["p0", "p2"], False, 1)
    assert ([post.id for post in other.posts], other.agrees, other.similarity) == (["p1", "p3"], True, (1.0, 1.0))


REVIEWED = [
    labelled("0012", "=cmd()|'/c calc'!A1 my number is 07700 900123", route="sensitive", intent="privacy_data"),
    labelled("@b", "love the new app", intent="praise"),
    labelled("c", "where is my parcel", intent="order_status", contrast_of="@b"),
    labelled("'d", "still no refund", route="complex", intent="refund_return"),
]


def review_rows(**verdicts: str) -> list[dict[str, str]]:
    """A list over the intents of `REVIEWED`, with verdicts by the place of the post."""
    return [
        {
            "id": guarded_id(post.id),
            "label": "intent",
            "given": post.intent,
            "suggested": "how_to",
            "verdict": verdicts.get(f"n{place}", ""),
        }
        for place, post in enumerate(REVIEWED)
    ]


def test_verdicts_do_what_they_say_and_empty_ones_nothing(tmp_path: Path) -> None:
    rows = review_rows(n0="keep", n1="Remove", n2="suggested", n3="billing_payment")
    corrected = apply_review(REVIEWED, [save(tmp_path / "r.csv", rows)])
    assert [(post.id, post.intent, post.contrast_of) for post in corrected.posts] == [
        ("0012", "privacy_data", None),
        ("c", "how_to", None),
        ("'d", "billing_payment", None),
    ]
    assert (corrected.changed, corrected.removed, corrected.kept) == (2, 1, 1)
    untouched = apply_review(REVIEWED, [save(tmp_path / "empty.csv", review_rows())])
    assert untouched.posts == tuple(REVIEWED)


def test_a_list_that_a_spreadsheet_saved_with_semicolons_is_read_as_well(tmp_path: Path) -> None:
    path = save(tmp_path / "r.csv", review_rows(n3="praise"), delimiter=";", encoding="cp1252")
    assert apply_review(REVIEWED, [path]).posts[3].intent == "praise"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": "gone", "verdict": "keep"}, "r.csv, line 2, id: got 'gone'; wanted the id of a post of the file"),
        (
            {"verdict": "prase"},
            "r.csv, line 2, verdict: got 'prase'; wanted keep, remove, suggested or the right intent; write 'praise'",
        ),
        (
            {"verdict": "keep", "given": "how_to"},
            "line 2, given: got 'how_to'; wanted 'privacy_data', which the file says now",
        ),
        ({"verdict": "keep", "label": "mood"}, "line 2, label: got 'mood'; wanted route, intent or post"),
        (
            {"verdict": "praise", "label": "post"},
            "line 2, verdict: got 'praise'; wanted keep, remove; write one of these",
        ),
    ],
)
def test_a_verdict_that_cannot_be_done_is_told_by_line_and_nothing_is_done(
    change: dict[str, str], told: str, tmp_path: Path
) -> None:
    rows = review_rows(n1="remove")
    rows[0] |= change
    with pytest.raises(ReviewError) as refused:
        apply_review(REVIEWED, [save(tmp_path / "r.csv", rows)])
    assert str(refused.value).startswith("No verdict was put into effect: 1 cannot be:\n")
    assert told in str(refused.value)


def test_two_verdicts_on_one_label_contradict_each_other(tmp_path: Path) -> None:
    one, other = save(tmp_path / "1.csv", review_rows(n1="keep")), save(tmp_path / "2.csv", review_rows(n1="how_to"))
    with pytest.raises(ReviewError) as refused:
        apply_review(REVIEWED, [one, other])
    assert (
        f"{other}, line 3, verdict: got 'how_to', but {one}, line 3 says 'keep' of the intent of @b; "
        "wanted one verdict; agree on one and empty the other"
    ) in str(refused.value)
    assert apply_review(REVIEWED, [one, one]).kept == 2


def test_a_list_without_its_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("id,verdict\na,keep\n")
    with pytest.raises(ReviewError, match="it lacks the column 'label'"):
        apply_review(REVIEWED, [tmp_path / "r.csv"])


def test_no_earlier_file_is_replaced(planted_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("verdicts of a week")
    save(tmp_path / "r.csv", review_rows())
    for arguments in (
        ("audit", planted_file, "--out", kept),
        ("apply-review", planted_file, "--review", tmp_path / "r.csv", "--out", kept),
    ):
        code, answers, told = run(capsys, *arguments)
        assert (code, answers, kept.read_text()) == (2, [], "verdicts of a week")
        assert f"{kept} was not written: there is such a file already" in told


def test_ids_that_stand_twice_cannot_be_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labelled(tmp_path / "p.jsonl", [REVIEWED[1], REVIEWED[1]])
    code, _, told = run(capsys, "audit", tmp_path / "p.jsonl", "--out", tmp_path / "r.csv")
    assert (code, (tmp_path / "r.csv").exists()) == (2, False)
    assert "the id @b stands more than once, and a verdict goes by it" in told


def test_a_file_without_a_post_cannot_be_audited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, rejects = tmp_path / "posts.jsonl", tmp_path / "rejects.jsonl"
    file.write_text('{"id": "a"}\n{"id": "b"}\n', encoding="utf-8")
    given = ("audit", file, "--out", tmp_path / "review.csv", "--keep-going", "--rejects", rejects)
    code, _, told = run(capsys, *given)
    assert (code, (tmp_path / "review.csv").exists()) == (2, False)
    assert f"{file} was not audited: none of its rows is a post." in told
    assert str(rejects) in told


def test_no_cell_of_a_list_is_a_formula_and_no_personal_data_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = labelled("s", "card number all over the page", route="sensitive", intent="privacy_data")
    write_labelled(tmp_path / "p.jsonl", [*REVIEWED, more, *two_routes()])
    lists = tmp_path / "r.csv", tmp_path / "c.csv"
    assert run(capsys, "audit", tmp_path / "p.jsonl", "--most", 99, "--out", lists[0], "--clusters", lists[1])[0] == 0
    cells = [cell for row in rows_of(lists[0]) for cell in row.values()]
    assert cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert "'=cmd()|'/c calc'!A1 my number is [phone]" in cells
    assert not [cell for cell in cells if "07700" in cell]


@given(st.text(min_size=1, max_size=30))
def test_an_id_comes_back_from_its_cell(post_id: str) -> None:
    cell = guarded_id(post_id)
    assert unguarded_id(cell) == post_id
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("post_id", ["0012", "1234567890123456789", "1E5", "12/03", "2026-11-22", "-1", "=A1"])
def test_an_id_that_a_spreadsheet_would_mangle_is_guarded(post_id: str) -> None:
    assert guarded_id(post_id) == f"'{post_id}"


def test_numbers_and_plain_text_stay_as_they_are() -> None:
    assert [guarded(value) for value in ("hi", 7, -0.5, None, "a=b")] == ["hi", 7, -0.5, None, "a=b"]


NEEDS: list[tuple[str, Callable[[], object]]] = [
    ("cleanlab.filter", lambda: judged(two_routes())),
]


@pytest.mark.parametrize(("library", "use"), NEEDS)
def test_a_missing_group_is_answered_with_the_command(
    library: str, use: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingGroupError, match=r"pip install --group audit -c constraints\.txt"):
        use()


def test_a_list_of_clusters_takes_verdicts_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    posts = [labelled("a", "where is my parcel now"), labelled("b", "where is my parcel now?"), *two_routes()]
    write_labelled(tmp_path / "p.jsonl", posts)
    clusters = tmp_path / "c.csv"
    assert run(capsys, "audit", tmp_path / "p.jsonl", "--out", tmp_path / "r.csv", "--clusters", clusters)[0] == 0
    rows = rows_of(clusters)
    next(row for row in rows if row["id"] == "b")["verdict"] = "remove"
    save(clusters, rows)
    code, answers, _ = run(
        capsys,
        "apply-review",
        tmp_path / "p.jsonl",
        "--review",
        clusters,
        tmp_path / "r.csv",
        "--out",
        tmp_path / "n.jsonl",
    )
    assert (code, answers[-1]["removed"]) == (0, 1)
    assert "b" not in [json.loads(line)["id"] for line in (tmp_path / "n.jsonl").read_text().splitlines()]
