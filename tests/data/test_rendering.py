"""The model's input, byte by byte. What changes here changes the rendering version."""

import pytest
from hypothesis import example, given

from data.handles import Handles
from data.post import Author, Post, Reach
from data.redaction import find_personal_data
from data.rendering import RENDERING_VERSION, Rendered, clean_text, render
from tests.data.strategies import messy_text, posts

CASES = {
    "&lt;3 &amp; more": "<3 & more",
    "a\x00b\x07c": "a b c",
    "\u202etest\u200b": "test",
    "ﬁne \uff48\uff49": "fine hi",
    "two\n\n lines\t here ": "two lines here",
    "see https://a.example/x?y=1 or www.b.example": "see [link] or [link]",
    "pic.twitter.com/abc": "[link]",
    "hi @tobes, @Ofcom and .@BBCNews": "hi @user, @authority and @press",
    "@lottie.mair @@harbourmart": "@user @user",
    "@tobes.Please help": "@user.Please help",
    "@ofcom.please help": "@authority help",
    "mail jo@mail.example": "mail [email]",
    "me@bob": "me@bob",
    "@a @b @c @d @e hey": "@user @user @user hey",
    "#ThisIsBAD_day #late": "#This Is BAD day #late",
    "late \U0001f621 twice": "late enraged face twice",
    "\U0001f621\U0001f621 \U0001f621": "enraged face",
    "\U0001f44d\U0001f3fd ok": "thumbs up ok",
    "\U0001f469\u200d\U0001f692": "woman firefighter",
    "4️⃣": "keycap 4",
    "4111  1111\n1111 1111": "[card]",
    "#4111_1111_1111_1111": "#[card]",
    "4111\u200d1111\u200d1111\u200d1111": "[card]",
    "@07700900123": "@[phone]",
    "\x00\u200b \n": "",
}


@pytest.mark.parametrize(("written", "read"), CASES.items())
def test_a_text_is_read_so(written: str, read: str) -> None:
    assert clean_text(written, "en") == read


def test_the_version_that_these_cases_describe_is_1() -> None:
    assert RENDERING_VERSION == "1"


def test_all_that_is_known_stands_in_the_context() -> None:
    post = Post(
        text="late again",
        platform="x",
        author=Author(handle="@sue", followers=999, verified=False, bio="dad of 3, 07700 900123"),
        reach=Reach(reposts=9),
        in_reply_to="Hi @sue, which train?",
    )
    assert render(post) == Rendered(
        text="late again",
        context="x. followers under 1k. not verified. bio: dad of 3, [phone]. reposts under 10. "
        "reply to: Hi @user, which train?",
    )


def test_nothing_is_invented_about_an_unknown_author() -> None:
    assert render(Post(text="hi", platform="x")).context == "x"
    assert render(Post(text="hi", platform="x", author=Author(), reach=Reach())).context == "x"


@pytest.mark.parametrize(
    ("followers", "bucket"),
    [(0, "under 1k"), (999, "under 1k"), (1_000, "1k to 10k"), (9_999, "1k to 10k"), (10_000, "10k to 50k"),
     (49_999, "10k to 50k"), (50_000, "over 50k"), (10_000_000_000, "over 50k")],
)  # fmt: skip
def test_followers_are_told_by_the_guides_lines(followers: int, bucket: str) -> None:
    assert render(Post(text="hi", author=Author(followers=followers))).context == f"other. followers {bucket}"


@pytest.mark.parametrize(
    ("reposts", "bucket"),
    [
        (0, "under 10"),
        (10, "10 to 100"),
        (99, "10 to 100"),
        (100, "100 to 500"),
        (499, "100 to 500"),
        (500, "over 500"),
    ],
)
def test_reposts_are_told_by_the_guides_lines(reposts: int, bucket: str) -> None:
    assert render(Post(text="hi", reach=Reach(reposts=reposts))).context == f"other. reposts {bucket}"


def test_exposed_data_is_named_by_kind_once_and_sorted() -> None:
    post = Post(text="07700 900123, 07700 900124, 4111 1111 1111 1111, jo@mail.example, call 0800 123 4567", lang="en")
    assert render(post).exposed == ("card", "phone")


def test_data_in_a_bio_is_masked_but_not_exposed_by_the_post() -> None:
    rendered = render(Post(text="hi", author=Author(bio="bookings 07700 900123")))
    assert ("[phone]" in rendered.context, rendered.exposed) == (True, ())


def test_a_long_post_is_never_cut_for_its_context() -> None:
    post = Post(text="late " * 2_000, author=Author(bio="b" * 2_000), in_reply_to="r" * 10_000)
    rendered = render(post)
    assert rendered.text == "late " * 1_999 + "late"
    assert rendered.context == f"other. bio: {'b' * 160}. reply to: {'r' * 240}"


def test_a_policys_own_authorities_are_told_from_users() -> None:
    handles = Handles(extra_authorities=("tramwatch",), extra_press=("harbourherald",))
    assert render(Post(text="@TramWatch @harbourherald @bob"), handles).text == "@authority @press @user"


def test_a_chain_of_ten_thousand_joined_emoji_is_read_in_linear_time() -> None:
    # Joined, this took 3 s; the words say that the joiners were left out.
    assert clean_text("\U0001f468\u200d" * 5_000) == "man"


@given(posts)
def test_every_post_renders_and_always_the_same(post: Post) -> None:
    rendered = render(post)
    assert rendered == render(post)
    assert rendered.context.startswith(post.platform)


@given(messy_text)
@example("4111111111111111GB29 NWBK 6016 1331 9268 19")
@example("\U0001f4f1 2025550123")
def test_no_card_phone_or_iban_survives_in_the_rendered_text(text: str) -> None:
    assert find_personal_data(render(Post(text=text, lang="en")).text, "en") == ()


@given(messy_text)
def test_a_rendered_text_has_no_control_characters_and_single_spaces(text: str) -> None:
    read = clean_text(text, "en")
    assert read == " ".join(read.split())
    assert read.isprintable()


@given(posts)
def test_the_text_does_not_depend_on_the_facts_around_it(post: Post) -> None:
    alone = Post(text=post.text, lang=post.lang)
    assert render(alone).text == render(post).text
