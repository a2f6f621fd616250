"""The parts of a set: whole groups, the shares asked for, the same every time, and a file that can be trusted."""

import json
from collections import Counter
from collections.abc import Callable
from errno import ENOSPC
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.grouping import RULES, group
from data.post import LabelledPost
from data.splits import PARTS, SHARES, Splits, SplitsError, load_splits, read_splits, split, stratum, write_splits
from data.taxonomy import ROUTES
from tests.data.strategies import WORDS, labelled, labelled_sets


def spread(size: int) -> list[LabelledPost]:
    """Posts that have nothing in common, the routes in turn."""
    words = [f"{one} {two} {three}" for one in WORDS for two in WORDS for three in WORDS]
    return [labelled(f"p{n:04}", f"{words[n]} {n}", route=ROUTES[n % 4]) for n in range(size)]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(spread(400))


def test_the_parts_are_those_of_the_design_and_their_shares_sum_to_one() -> None:
    assert PARTS == ("train", "development", "temperature", "calibration")
    assert sum(SHARES.values()) == pytest.approx(1)


@settings(max_examples=30)
@given(labelled_sets())
def test_every_post_is_in_exactly_one_part(posts: list[LabelledPost]) -> None:
    splits = split(posts)
    assert sorted(post.id for name in PARTS for post in splits.part(name)) == sorted(post.id for post in posts)


@settings(max_examples=30)
@given(labelled_sets())
def test_a_split_never_separates_a_group(posts: list[LabelledPost]) -> None:
    splits = split(posts)
    part_of = {post.id: name for name in PARTS for post in splits.part(name)}
    for places in group(posts).groups:
        assert len({part_of[posts[place].id] for place in places}) == 1
    for rule in RULES:
        parts: dict[str, set[str]] = {}
        for post in posts:
            for key in rule.keys(post):
                parts.setdefault(key, set()).add(part_of[post.id])
        assert all(len(names) == 1 for names in parts.values()), rule.name


@settings(max_examples=30)
@given(labelled_sets().flatmap(lambda posts: st.tuples(st.just(posts), st.permutations(posts))), st.integers(0, 99))
def test_the_order_of_the_posts_does_not_matter(both: tuple[list[LabelledPost], list[LabelledPost]], seed: int) -> None:
    assert split(both[0], seed=seed).file == split(both[1], seed=seed).file


def test_the_shares_are_kept_in_every_stratum(splits: Splits) -> None:
    wanted = Counter(stratum(post) for post in splits.posts)
    for name in PARTS:
        counts = Counter(stratum(post) for post in splits.part(name))
        assert all(abs(counts[key] - SHARES[name] * n) <= 1 for key, n in wanted.items())


def test_the_shares_are_kept_as_far_as_groups_allow() -> None:
    threads = [post.model_copy(update={"in_reply_to": f"thread {n // 5}"}) for n, post in enumerate(spread(400))]
    splits = split(threads)
    for name in PARTS:
        assert abs(len(splits.part(name)) - SHARES[name] * 400) <= 10  # two threads


def test_other_shares_may_be_asked_for() -> None:
    shares: dict[Any, float] = dict.fromkeys(PARTS, 0.25)
    splits = split(spread(80), shares=shares)
    assert [len(splits.part(name)) for name in PARTS] == [20, 20, 20, 20]


def test_another_seed_is_another_split(splits: Splits) -> None:
    assert split(splits.posts, seed=1).file.parts != splits.file.parts


def test_the_groups_of_a_part_stand_beside_its_posts() -> None:
    posts = [labelled("a", "one", in_reply_to="x"), labelled("b", "two", in_reply_to="x"), labelled("c", "three")]
    splits = split(posts)
    by_part = {tuple(post.id for post in splits.part(name)): splits.groups(name) for name in PARTS}
    assert all(len(ids) == len(groups) for ids, groups in by_part.items())
    (together,) = [groups for ids, groups in by_part.items() if "a" in ids]
    assert together[:2] == [0, 0]


def test_the_file_says_what_it_was_made_from(splits: Splits) -> None:
    file = splits.file
    assert (file.posts, file.groups, file.largest_group_posts, file.seed) == (400, 400, 1, 2026)
    assert {name: sum(counts.values()) for name, counts in file.counts.items()} == {
        name: len(splits.part(name)) for name in PARTS
    }
    assert all(
        file.counts[name][route] == sum(p.route == route for p in splits.part(name))
        for name in PARTS
        for route in ROUTES
    )


def test_a_written_split_is_read_again(splits: Splits, tmp_path: Path) -> None:
    write_splits(tmp_path / "splits.json", splits)
    loaded = load_splits(tmp_path / "splits.json", tuple(reversed(splits.posts)))
    assert loaded.file == splits.file
    assert all(loaded.part(name) == splits.part(name) for name in PARTS)


def test_splits_that_cannot_be_written_leave_the_old_ones(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "splits.json"
    write_splits(path, splits)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_splits(path, split(splits.posts, seed=7))
    assert path.read_bytes() == before


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(SplitsError) as refused:
        action()
    return str(refused.value)


def test_a_split_over_other_posts_is_refused(splits: Splits, tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    write_splits(path, splits)
    changed = [splits.posts[0].model_copy(update={"route": "sensitive"}), *splits.posts[1:]]
    told = refusal(lambda: load_splits(path, changed))
    assert told.startswith(f"The splits {path} were made from other posts: they name 400 with fingerprint ")
    assert told.endswith(f"Give the same posts, or make new splits: python -m data split FILE... --out {path}")
    assert "400 were given" in told
    assert "399 were given" in refusal(lambda: load_splits(path, splits.posts[1:]))


def test_a_split_that_was_changed_by_hand_is_refused(splits: Splits, tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    write_splits(path, splits)
    content = json.loads(path.read_text())
    content["parts"]["train"].append(content["parts"]["calibration"].pop())
    path.write_text(json.dumps(content))
    assert f"The splits {path} were changed by hand: their content has SHA-256 " in refusal(lambda: read_splits(path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "2"}, "have format '2'; this program reads '1'"),
        ({"seed": "many"}, "do not fit their format: seed: "),
        ({"extra": 1}, "do not fit their format: extra: "),
        ({"posts_fingerprint": "abc"}, "do not fit their format: posts_fingerprint: "),
        ({"parts": {"validation": []}}, "do not fit their format: parts.validation"),
    ],
)
def test_a_file_of_another_form_is_refused(
    change: dict[str, object], told: str, splits: Splits, tmp_path: Path
) -> None:
    path = tmp_path / "splits.json"
    write_splits(path, splits)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    message = refusal(lambda: read_splits(path))
    assert told in message
    assert message.endswith(f"Make it again: python -m data split FILE... --out {path}")


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    assert "could not be read: No such file or directory. Wanted a file." in refusal(
        lambda: read_splits(tmp_path / "no")
    )
    (tmp_path / "no.json").write_text("{")
    assert "do not fit their format: the whole file: " in refusal(lambda: read_splits(tmp_path / "no.json"))


def test_ids_that_stand_twice_cannot_be_split() -> None:
    assert refusal(lambda: split([labelled("a", "hi"), labelled("a", "ho")])) == (
        "The posts cannot be split: 1 ids stand more than once, such as 'a'. A split names posts by id, so every id "
        "must be unique. Run `python -m data check` and correct them."
    )


def test_no_posts_cannot_be_split() -> None:
    assert "there are none" in refusal(lambda: split([]))


@pytest.mark.parametrize("train", [0.0, 0.5, 0.74 + 1e-6])
def test_shares_that_are_no_shares_are_refused(train: float) -> None:
    assert "1 in sum" in refusal(lambda: split(spread(4), shares={**SHARES, "train": train}))


@settings(max_examples=30)
@given(labelled_sets(), st.integers(0, 99))
def test_posts_that_were_split_before_stay_where_they_were(posts: list[LabelledPost], seed: int) -> None:
    before = split(posts[: max(1, len(posts) // 2)], seed=seed)
    after = split(posts, seed=seed + 1, kept=before.file)
    part_of = {post.id: name for name in PARTS for post in after.part(name)}
    assert len(part_of) == len(posts)
    assert all(part_of[post.id] == name for name in PARTS for post in before.part(name))


def test_a_new_post_joins_those_that_it_belongs_to() -> None:
    posts = spread(400)
    before = split(posts)
    new = [labelled(f"n{n}", sha256(bytes(n)).hexdigest(), contrast_of=post.id) for n, post in enumerate(posts)]
    after = split([*posts, *new], kept=before.file)
    part_of = {post.id: name for name in PARTS for post in after.part(name)}
    assert all(part_of[post.id] == part_of[post.contrast_of or ""] for post in new)


def test_new_posts_fill_up_the_shares() -> None:
    posts = spread(800)
    after = split(posts, kept=split(posts[:400]).file)
    assert {name: len(after.part(name)) for name in PARTS} == pytest.approx(
        {name: share * 800 for name, share in SHARES.items()}, abs=4
    )


def test_earlier_splits_of_posts_that_are_gone_are_refused() -> None:
    posts = spread(40)
    with pytest.raises(SplitsError, match=r"1 of their 40 posts are not among those given, such as 'p0039'"):
        split(posts[:-1], kept=split(posts).file)


def test_a_post_that_was_withdrawn_is_left_out_and_moves_no_other() -> None:
    posts = spread(40)
    before = split(posts)
    after = split(posts[:-1], kept=before.file, withdrawn=["p0039"])
    for name in PARTS:
        assert {post.id for post in after.part(name)} == {post.id for post in before.part(name)} - {"p0039"}


@pytest.mark.parametrize(
    ("withdrawn", "problem"), [("p0000", "is still among the posts given"), ("q1", "is not in the earlier splits")]
)
def test_what_cannot_have_been_withdrawn_is_refused(withdrawn: str, problem: str) -> None:
    posts = spread(40)
    with pytest.raises(SplitsError, match=f"Post '{withdrawn}' cannot be withdrawn: it {problem}"):
        split(posts, kept=split(posts).file, withdrawn=[withdrawn])


def test_industries_that_are_left_out_and_what_belongs_to_them_are_the_calibration_part_alone() -> None:
    posts = [
        post.model_copy(update={"industry": ("bank", "insurance", "travel", None)[n // 4 % 4]})
        for n, post in enumerate(spread(400))
    ]
    twin = labelled("twin", "a pair of something else", contrast_of="p0000", industry="travel")
    parts = split([*posts, twin], left_out=("bank", "insurance"))
    assert {post.industry for post in parts.part("calibration")} == {"bank", "insurance", "travel"}
    assert {post.id for post in parts.part("calibration") if post.industry == "travel"} == {"twin"}
    others = {name: len(parts.part(name)) for name in PARTS if name != "calibration"}
    assert sum(others.values()) == 200
    rest = 1 - SHARES["calibration"]
    assert others == pytest.approx({name: SHARES[name] / rest * 200 for name in others}, abs=5)
    assert parts.file.counts["calibration"] == {"simple": 51, "complex": 50, "sensitive": 50, "influencer": 50}


def test_an_industry_that_no_post_has_cannot_be_left_out() -> None:
    assert refusal(lambda: split(spread(4), left_out=("bnak",))) == (
        "These industries cannot be left out, since no post has them: bnak. Wanted names as they stand in the field "
        "`industry`. Look them up: python -m data describe FILE"
    )
