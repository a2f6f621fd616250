"""Golden posts are spread over what the corpus has, always the same, and name nobody."""

from data.post import Author, LabelledPost
from models.policy import GuardLines
from tests.fakes import fake_predictor
from tests.training.tiny_posts import tiny_posts
from training.golden import GOLDEN_POSTS, choose_golden_posts, record_golden

LINES = GuardLines(followers=7_000, reposts=70)


def foreign(number: int, lang: str) -> LabelledPost:
    return LabelledPost(id=f"f-{number}", text=f"hola {number}", lang=lang, route="simple", intent="how_to")


def test_there_are_thirty_two_and_always_the_same() -> None:
    chosen = choose_golden_posts(tiny_posts(), LINES)
    assert len(chosen) == GOLDEN_POSTS
    assert chosen == choose_golden_posts(list(reversed(tiny_posts())), LINES)


def test_every_route_and_every_language_is_there_as_long_as_there_is_room() -> None:
    posts = [*tiny_posts(), foreign(1, "es"), foreign(2, "es"), foreign(3, "pl")]
    ids = [post.id for post in choose_golden_posts(posts, LINES)]
    assert ids[:2] == ["f-1", "f-3"]
    routes = [next(post.route for post in posts if post.id == each) for each in ids[2:6]]
    assert sorted(routes) == ["complex", "influencer", "sensitive", "simple"]


def test_every_guard_has_a_post_at_the_lines_of_the_policy() -> None:
    predictor = fake_predictor()
    chosen = choose_golden_posts(tiny_posts(), predictor.policy.guards)
    codes = {reason.code for found in predictor.predict(chosen) for reason in found.decision.reasons}
    wanted = {"followers_over_line", "reposts_over_line", "authority_named", "personal_data_exposed"}
    assert wanted | {"nothing_readable"} <= codes


def test_one_post_is_longer_than_any_window() -> None:
    (long,) = (post for post in choose_golden_posts(tiny_posts(), LINES) if post.id == "golden-long")
    assert len(long.text) > 1_000


def test_few_posts_are_enough() -> None:
    assert len(choose_golden_posts(tiny_posts(1), LINES)) == 7


def test_nobody_is_named_and_no_personal_data_is_kept() -> None:
    person = LabelledPost(
        id="p-1",
        text="mail me at jo.bloggs@example.com",
        lang="en",
        author=Author(handle="@jo", followers=3, bio="reach me at jo.bloggs@example.com"),
        in_reply_to="is it jo.bloggs@example.com?",
        route="simple",
        intent="how_to",
    )
    (post,) = (post for post in choose_golden_posts([person], LINES) if post.id == "p-1")
    assert "bloggs" not in post.model_dump_json()
    assert post.author is not None
    assert (post.author.handle, post.author.followers) == (None, 3)


def test_what_is_recorded_is_what_the_predictor_makes_of_them() -> None:
    predictor = fake_predictor()
    golden = record_golden(predictor, tiny_posts())
    for recorded, found in zip(golden.posts, predictor.predict(golden.inputs), strict=True):
        assert max(recorded.routes, key=lambda label: recorded.routes[label]) == found.route
        assert recorded.decision.action == found.decision.action
