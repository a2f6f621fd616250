"""The corpus that is committed: what its card says of it is true, and its splits are the ones that were made."""

import re
from collections import Counter
from pathlib import Path

import pytest

from data.description import describe
from data.duplicates import near_duplicates
from data.families import family, neighbours
from data.grouping import RULES
from data.post import LabelledPost
from data.rendering import render
from data.sources import read_labelled
from data.splits import DEFAULT_SPLITS, PARTS, SHARES, Splits, load_splits, split, stratum
from data.taxonomy import BUILT_IN, ROUTES

CORPUS = Path("data/corpus")
CARD = (CORPUS / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def posts() -> tuple[LabelledPost, ...]:
    return read_labelled(CORPUS).posts


@pytest.fixture(scope="module")
def splits(posts: tuple[LabelledPost, ...]) -> Splits:
    return load_splits(DEFAULT_SPLITS, posts)


def table(heading: str) -> dict[str, list[str]]:
    """The rows of the first table under a heading of the card, by their first cell."""
    rows = re.findall(r"^\| (.+?) \|$", CARD.split(f"## {heading}\n")[1].split("\n## ")[0], re.M)
    cells = [[cell.strip(" `") for cell in row.split("|")] for row in rows]
    return {first: rest for first, *rest in cells}


def test_every_row_is_a_labelled_post_with_the_guides_fields_alone() -> None:
    reading = read_labelled(CORPUS)
    assert (len(reading.posts), reading.rejects, reading.ignored_fields) == (42_231, (), ())
    assert f"\n{len(reading.posts):,} public posts " in CARD


def test_the_card_counts_routes_by_family_as_measured(posts: tuple[LabelledPost, ...]) -> None:
    counted = Counter((family(post), post.route) for post in posts)
    rows = table("Routes by family")
    assert {letter for letter, _ in counted} == set("awvm")
    for letter in "awvm":
        assert rows[letter] == [
            *(str(counted[letter, route]) for route in ROUTES),
            str(sum(counted[letter, r] for r in ROUTES)),
        ]


def test_the_card_counts_intents_as_measured(posts: tuple[LabelledPost, ...]) -> None:
    counted = Counter(post.intent for post in posts)
    rows = table("Intents")
    assert {intent: rows[intent] for intent in BUILT_IN.names} == {
        intent: [str(counted[intent])] for intent in BUILT_IN.names
    }


def test_the_card_counts_languages_as_measured(posts: tuple[LabelledPost, ...]) -> None:
    rows = table("Languages")
    assert {lang: int(cells[0]) for lang, cells in rows.items() if len(lang) == 2} == describe(posts).counts["lang"]


def test_the_card_counts_the_parts_as_the_file_does(splits: Splits) -> None:
    rows = table("Splits")
    for name in PARTS:
        counts = splits.file.counts[name]
        borrowed = sum(family(post) == "m" for post in splits.part(name))
        assert rows[name][1:] == [*(str(counts[route]) for route in ROUTES), str(sum(counts.values())), str(borrowed)]
    assert splits.file.sha256 in CARD
    assert splits.file.posts_fingerprint in CARD


def test_no_part_shares_an_author_thread_contrast_or_neighbours_with_another(splits: Splits) -> None:
    for rule in RULES:
        parts: dict[str, set[str]] = {}
        for name in PARTS:
            for post in splits.part(name):
                for key in rule.keys(post):
                    parts.setdefault(key, set()).add(name)
        assert all(len(names) == 1 for names in parts.values()), rule.name


def test_the_parts_hold_routes_and_families_in_their_shares(splits: Splits) -> None:
    # Family m goes where family v is, however often a manner was borrowed: it has no shares of its own.
    wanted = Counter(stratum(post) for post in splits.posts if family(post) != "m")
    assert {key.partition("/")[0] for key in wanted} == set("awv")
    for name in PARTS:
        counts = Counter(stratum(post) for post in splits.part(name))
        assert max(abs(counts[key] - SHARES[name] * n) for key, n in wanted.items()) <= 2


def test_the_posts_that_were_there_before_family_m_are_in_the_parts_that_a_split_of_them_alone_gives(
    posts: tuple[LabelledPost, ...], splits: Splits
) -> None:
    # The same posts and seed give the earlier splits again, so nobody need keep a copy of them to know that none moved.
    first = split([post for post in posts if family(post) != "m"])
    assert first.file.sha256 == "ee5228bf9ed7dcd2c225b9323b4418c50621cd0219ef78fdfe3ebd5193638d24"
    assert first.file.sha256 in CARD
    for name in PARTS:
        kept = {post.id for post in splits.part(name) if family(post) != "m"}
        assert kept == {post.id for post in first.part(name)}


def test_every_route_and_intent_stands_in_every_part(splits: Splits) -> None:
    for name in PARTS:
        part = splits.part(name)
        assert {post.route for post in part} == set(ROUTES)
        assert {post.intent for post in part} == set(BUILT_IN.names)


def test_the_corpus_has_its_own_licence_beside_it() -> None:
    licence = (CORPUS / "LICENSE").read_text(encoding="utf-8")
    assert "https://creativecommons.org/licenses/by/4.0/" in licence
    assert "CC BY 4.0" in CARD


def test_the_posts_for_the_next_corpus_leave_every_post_of_this_one_in_its_part(splits: Splits) -> None:
    both = read_labelled([CORPUS, "data/corpus-next"]).posts
    grown = load_splits(Path("data/corpus-next/splits.json"), both)
    known = {post.id for post in splits.posts}
    new = {post.id for post in both} - known
    waiting = Counter(family(post) for post in both if post.id in new)
    assert waiting == {"q": 720, "s": 485, "b": 530, "n": 1493}
    for name in PARTS:
        assert {post.id for post in splits.part(name)} == {post.id for post in grown.part(name)} - new
        assert {post.route for post in grown.part(name)} == set(ROUTES)


def test_posts_in_borrowed_manners_are_in_the_part_of_the_post_whose_manner_they_have(splits: Splits) -> None:
    home = {neighbours(post): name for name in PARTS for post in splits.part(name) if family(post) == "v"}
    for name in PARTS:
        assert {home[neighbours(post)] for post in splits.part(name) if family(post) == "m"} == {name}


def test_the_posts_of_the_unseen_trades_are_no_copies_of_what_models_are_trained_on() -> None:
    unseen = read_labelled("data/unseen").posts
    trained = read_labelled([CORPUS, "data/corpus-next"]).posts
    assert Counter(post.industry for post in unseen) == {
        "driving school": 199,
        "ski area": 209,
        "self-storage": 208,
        "tattoo studio": 210,
        "riding school": 210,
    }
    assert {post.route for post in unseen} == set(ROUTES)
    texts = [render(post).text for post in (*unseen, *trained)]
    pairs = [pair for pair in near_duplicates(texts) if pair.first < len(unseen) <= pair.second]
    assert {texts[pair.first] for pair in pairs} <= {"@user no."}  # what anybody says
