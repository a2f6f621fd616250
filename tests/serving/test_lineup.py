"""Who answers a post: sticky by id, growing one way, never two models in one answer; and what is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Post
from serving.engine import ServedModel
from serving.errors import LineupConflictError
from serving.lineup import SAMPLED_DISAGREEMENTS, Challenger, Lineup, Tally, place_of
from serving.metrics import Metrics
from serving.wire import Mode
from tests.fakes import fake_predictor
from tests.serving.served import served

CHAMPION, CHALLENGER, THIRD = (served(f"2026.11.22+{name}") for name in ("aaa", "bbb", "ccc"))
METRICS = Metrics()
SHARES = st.floats(0.0, 1.0)
POSTS = st.builds(Post, id=st.none() | st.text(min_size=1, max_size=20), text=st.text(min_size=1, max_size=40))


def lineup(share: float = 0.5, mode: Mode = "canary") -> Lineup:
    return Lineup(CHAMPION).trying(Challenger(CHALLENGER, mode, share, Tally(METRICS)))


def sides(line: Lineup, posts: list[Post]) -> list[ServedModel]:
    found = {place: part.model for part in line.split(posts) for place in part.places}
    return [found[place] for place in range(len(posts))]


@given(post=POSTS, share=SHARES, other=st.text(min_size=1, max_size=9))
def test_a_post_is_always_on_the_same_side_whatever_else_is_sent(post: Post, share: float, other: str) -> None:
    assert sides(lineup(share), [post]) == sides(lineup(share), [Post(text=other), post])[1:]
    if post.id is not None:
        assert place_of(post, "r") == place_of(Post(id=post.id, text=other), "r")


@given(posts=st.lists(POSTS, min_size=1, max_size=20), shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_only_moves_posts_to_the_canary(posts: list[Post], shares: tuple[float, float]) -> None:
    less, more = (sides(lineup(share), posts) for share in sorted(shares))
    assert all(after is CHALLENGER for before, after in zip(less, more, strict=True) if before is CHALLENGER)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("named", [True, False])
def test_the_canary_gets_its_share(share: float, named: bool) -> None:
    posts = [Post(id=str(each) if named else None, text=f"post {each}") for each in range(20_000)]
    got = sum(side is CHALLENGER for side in sides(lineup(share), posts)) / len(posts)
    # Five standard deviations of a share of 20,000 fair draws; 0 and 1 are exact.
    assert abs(got - share) <= 5 * (share * (1 - share) / len(posts)) ** 0.5


def test_another_rollout_deals_the_posts_anew() -> None:
    posts = [Post(id=str(each), text="x") for each in range(1_000)]
    both = sum(place_of(post, "one") < 0.5 and place_of(post, "two") < 0.5 for post in posts)
    assert 150 < both < 350


def test_an_id_and_the_same_words_as_a_text_are_not_the_same_post() -> None:
    assert place_of(Post(id="a", text="b"), "r") != place_of(Post(text="a"), "r")


@given(posts=st.lists(POSTS, min_size=1, max_size=20), share=SHARES)
def test_a_shadow_answers_nothing(posts: list[Post], share: float) -> None:
    assert set(sides(lineup(share, "shadow"), posts)) == {CHAMPION}


@given(posts=st.lists(POSTS, min_size=1, max_size=20), share=SHARES)
def test_every_post_is_answered_by_one_model_and_compared_with_the_other(posts: list[Post], share: float) -> None:
    parts = lineup(share).split(posts)
    assert sorted(place for part in parts for place in part.places) == list(range(len(posts)))
    assert all({part.model, part.other} == {CHAMPION, CHALLENGER} for part in parts)
    assert all(part.canary == (part.model is CHALLENGER) for part in parts)


@given(posts=st.lists(POSTS, min_size=1, max_size=20), share=SHARES)
def test_answers_that_may_not_be_mixed_are_all_of_the_model_that_the_first_post_is_for(
    posts: list[Post], share: float
) -> None:
    (part,) = lineup(share).split(posts, mixed=False)
    assert part.model is sides(lineup(share), posts)[0]


@given(posts=st.lists(POSTS, min_size=1, max_size=20), share=SHARES)
def test_a_caller_that_names_a_version_in_service_gets_it(posts: list[Post], share: float) -> None:
    for model in (CHAMPION, CHALLENGER):
        (part,) = lineup(share).split(posts, version=model.versions.model)
        assert part.model is model
    shadow = lineup(mode="shadow").split(posts, version=CHALLENGER.versions.model)
    assert [part.model for part in shadow] == [CHAMPION]


# changes


def test_a_new_champion_keeps_the_old_one_to_go_back_to() -> None:
    after = Lineup(CHAMPION).crowning(CHALLENGER)
    assert (after.champion, after.previous) == (CHALLENGER, CHAMPION)
    back = after.rolling_back()
    assert (back.champion, back.previous) == (CHAMPION, CHALLENGER)
    assert after.crowning(THIRD).models == (THIRD, CHALLENGER)


def test_a_promoted_challenger_answers_everything() -> None:
    after = lineup().promoting()
    assert (after.champion, after.previous, after.challenger) == (CHALLENGER, CHAMPION, None)


def test_a_retired_challenger_is_gone() -> None:
    assert lineup().retiring().models == (CHAMPION,)


def test_counts_beside_one_champion_are_not_carried_to_the_next() -> None:
    before = lineup()
    assert before.challenger is not None
    before.challenger.tally.count("answered", 7)
    after = before.crowning(THIRD)
    assert after.challenger is not None
    assert after.challenger.tally.posts.answered == 0
    assert (after.challenger.model, after.challenger.share) == (CHALLENGER, 0.5)


@pytest.mark.parametrize("change", [Lineup.promoting, Lineup.retiring, Lineup.rolling_back])
def test_what_is_not_there_is_neither_promoted_nor_retired_nor_gone_back_to(change: object) -> None:
    assert callable(change)
    with pytest.raises(LineupConflictError) as refused:
        change(Lineup(CHAMPION))
    assert "POST /v1/admin/reload" in refused.value.detail


# what is counted


def test_disagreements_are_counted_by_kind_and_kept_without_the_post() -> None:
    metrics = Metrics()
    tally = Tally(metrics)
    simple, lol, hurt, failed = fake_predictor().predict(
        [Post(text="parcel"), Post(text="lol"), Post(text="injured"), Post(text="again")]
    )
    tally.compare("p-1", simple, simple)
    tally.compare("p-2", simple, lol)  # answered or closed without a word: by machine either way
    tally.compare("p-3", simple, hurt)
    tally.compare("p-4", failed, simple)
    assert tally.posts.compared == 4
    assert tally.disagreements.model_dump() == {"route": 2, "action": 3, "auto_gained": 1, "auto_lost": 1}
    assert [(each.prediction_id, each.kinds) for each in tally.sample] == [
        ("p-2", ("action",)),
        ("p-3", ("route", "action", "auto_lost")),
        ("p-4", ("route", "action", "auto_gained")),
    ]
    assert tally.sample[1].challenger.action == "specialist"
    text = metrics.render().decode()
    assert 'signalbox_disagreements_total{kind="action"} 3.0' in text
    assert 'signalbox_challenger_posts_total{outcome="compared"} 4.0' in text


def test_the_newest_disagreements_are_kept_and_no_more() -> None:
    tally = Tally(Metrics())
    simple, hurt = fake_predictor().predict([Post(text="parcel"), Post(text="injured")])
    for number in range(SAMPLED_DISAGREEMENTS + 5):
        tally.compare(str(number), simple, hurt)
    assert tally.disagreements.route == SAMPLED_DISAGREEMENTS + 5
    assert [each.prediction_id for each in tally.sample] == [str(5 + place) for place in range(SAMPLED_DISAGREEMENTS)]


def test_the_versions_in_service_are_named_by_role() -> None:
    assert lineup().versions == {"champion": CHAMPION.versions, "canary": CHALLENGER.versions}
