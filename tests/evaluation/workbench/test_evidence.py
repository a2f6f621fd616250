"""Why a post was decided so: no word is torn, the parts are the predictor's own, edits are honest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.post import Author, LabelledPost, Post, Reach
from data.rendering import Rendered, emoji_names, render, without_author
from evaluation.workbench.evidence import Evidence, explain, gaps, pieces_of, sentences_of
from evaluation.workbench.neighbours import index_posts, nearest
from models.policy import Policy, Thresholds
from models.predictor import Predictor
from tests.evaluation.populations import labelled_posts, predictor
from tests.fakes import BOLD_POLICY


def evidence_of(post: Post, judge: Predictor | None = None) -> Evidence:
    judge = judge or predictor()
    (prediction,) = judge.predict([post])
    return explain(judge, prediction.rendered, prediction.facts)


def pieces(text: str) -> list[str]:
    return [piece.text for piece in pieces_of(render(Post(text=text)).text)]


def test_handles_masks_and_the_names_of_emoji_are_one_piece_each() -> None:
    text = "@user call [phone] 😡 twice https://a.example/b ❤️ now"
    assert pieces(text) == ["@user", "call", "[phone]", "enraged face", "twice", "[link]", "red heart", "now"]


def test_an_emoji_with_a_longer_name_is_not_torn_at_a_shorter_one() -> None:
    assert pieces("so sad 😭 really") == ["so", "sad", "loudly crying face", "really"]


@given(st.text(max_size=80), st.integers(1, 20))
def test_the_pieces_of_any_text_lie_in_it_in_order_and_leave_out_nothing_but_space(text: str, most: int) -> None:
    found = pieces_of(text, most)
    assert len(found) <= most
    assert all(text[each.start : each.end] == each.text for each in found)
    edges = [0, *(edge for each in found for edge in (each.start, each.end)), len(text)]
    assert edges == sorted(edges)
    assert not "".join(text[edges[at] : edges[at + 1]] for at in range(0, len(edges), 2)).strip()


@given(st.lists(st.sampled_from(sorted(emoji_names())), min_size=1, max_size=6))
def test_an_emoji_that_stands_alone_is_never_parted(names: list[str]) -> None:
    text = " and ".join(names)
    edges = {edge for each in pieces_of(text) for edge in (each.start, each.end)}
    at = 0
    for name in names:
        assert not any(at < edge < at + len(name) for edge in edges)
        at += len(name) + len(" and ")


def test_sentences_end_at_their_stops() -> None:
    assert [each.text for each in sentences_of("Late again. Why?! no idea v1.2 is")] == [
        "Late again.",
        "Why?!",
        "no idea v1.2 is",
    ]


def test_the_word_that_decides_has_the_greatest_part() -> None:
    found = evidence_of(Post(text="where do I track my parcel please"))
    greatest = max(found.words, key=lambda word: word.change)
    assert greatest.piece.text == "parcel"
    assert found.decisive == "simple"
    assert found.score == found.prediction.routes["simple"]
    assert all(word.change == 0 for word in found.words if word != greatest)


def test_of_a_post_for_an_agent_the_likeliest_route_is_explained() -> None:
    found = evidence_of(Post(text="the courier was late again"))
    assert found.decisive == "complex"
    assert max(found.words, key=lambda word: word.change).piece.text == "again"


def test_the_part_of_a_word_is_the_score_less_the_score_of_the_post_without_it() -> None:
    judge = predictor()
    found = evidence_of(Post(text="someone was injured by the van"), judge)
    assert found.decisive == "sensitive"
    (without,) = judge.predict([Post(text="someone was by the van")])
    word = next(each for each in found.words if each.piece.text == "injured")
    assert word.change == found.score - without.routes["sensitive"]


def test_what_is_explained_is_what_was_predicted() -> None:
    judge = predictor()
    post = Post(text="where is my parcel", author=Author(followers=7))
    (prediction,) = judge.predict([post])
    assert explain(judge, prediction.rendered, prediction.facts).prediction == prediction


def flipping(found: Evidence) -> list[tuple[str, str, str]]:
    return [(each.code, each.without, each.action) for each in found.edits if each.flips]


def test_without_the_tagged_authority_it_would_be_answered() -> None:
    judge = predictor()
    rendered = Rendered("@authority where is my parcel", "x")
    facts = judge.look(judge.read(Post(text="where is my parcel", platform="x")))
    found = explain(judge, rendered, facts)
    assert found.prediction.decision.action == "specialist"
    assert flipping(found) == [
        ("without_word", "@authority", "auto_answer"),
        ("no_authority", "the tagged authority", "auto_answer"),
    ]


def test_with_an_unknown_author_it_would_be_answered() -> None:
    found = evidence_of(Post(text="where is my parcel", author=Author(handle="@big", followers=90_000)))
    assert flipping(found) == [("author_unknown", "what is known of the author", "auto_answer")]


def test_without_one_word_or_its_sentence_it_would_be_answered() -> None:
    found = evidence_of(Post(text="Where is my parcel? This is a scam."))
    assert found.edits[0].flips
    assert flipping(found) == [
        ("without_word", "scam.", "auto_answer"),
        ("without_sentence", "This is a scam.", "auto_answer"),
    ]


def test_an_answer_that_hangs_on_one_word_says_so() -> None:
    found = evidence_of(Post(text="parcel status please"))
    assert found.prediction.decision.action == "auto_answer"
    assert flipping(found) == [("without_word", "parcel", "agent")]


def test_a_post_of_one_word_can_be_explained() -> None:
    found = evidence_of(Post(text="parcel"))
    assert [word.piece.text for word in found.words] == ["parcel"]
    assert flipping(found) == [("without_word", "parcel", "agent")]


def test_exposed_data_stay_exposed_whatever_is_taken_out() -> None:
    found = evidence_of(Post(text="where is my parcel, card 4111 1111 1111 1111"))
    assert found.prediction.decision.move_to_private
    assert not flipping(found)


def policy_of(**thresholds: float) -> Policy:
    return BOLD_POLICY.model_copy(update={"thresholds": BOLD_POLICY.thresholds.model_copy(update=thresholds)})


def test_the_gap_that_holds_a_post_back_stands_first_and_is_said_in_words() -> None:
    found = evidence_of(Post(text="where is my parcel"), predictor(policy_of(simple=1.0)))
    first = found.gaps[0]
    assert (first.name, first.threshold) == ("simple", 1.0)
    assert first.missing == 1.0 - found.prediction.routes["simple"] > 0
    assert first.words == f"simple {first.value:.3f} is {first.missing:.3f} under the threshold 1.000"
    assert all(gap.missing <= 0 for gap in found.gaps[1:])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_gap_is_over_nought_just_where_the_policy_is_held_back(
    simple: float, intent: float, sensitive: float, influencer: float
) -> None:
    thresholds = Thresholds(
        simple=simple, intent=intent, sensitive=sensitive, influencer=influencer, answer_nothing=False
    )
    (prediction,) = predictor().under(Policy(thresholds=thresholds)).predict([Post(text="where is my parcel")])
    for gap in gaps(prediction, thresholds):
        reached = gap.value >= gap.threshold
        held = reached if gap.name in ("sensitive", "influencer") else not reached
        assert (gap.missing > 0) == (held and gap.value != gap.threshold)
    assert prediction.decision.closed_by_machine == (
        prediction.routes["simple"] >= simple
        and prediction.intents[prediction.intent] >= intent
        and prediction.routes["sensitive"] < sensitive
        and prediction.routes["influencer"] < influencer
    )


def test_a_policy_that_answers_nothing_has_no_threshold_to_be_under() -> None:
    (prediction,) = predictor().predict([Post(text="where is my parcel")])
    assert [gap.name for gap in gaps(prediction, Thresholds())] == ["sensitive", "influencer"]


authors = st.builds(
    Author,
    followers=st.none() | st.integers(0, 200_000),
    verified=st.none() | st.booleans(),
    bio=st.none() | st.text(st.characters(categories=["L", "Nd", "P", "Zs"]), max_size=170),
)


@given(
    authors,
    st.none() | st.integers(0, 2_000),
    st.none() | st.sampled_from(["not verified. bio: none", "we are sorry. followers under 1k?", "hello"]),
    st.sampled_from(["x", "facebook", "other"]),
)
def test_a_context_without_its_author_is_that_of_a_post_whose_author_is_not_known(
    author: Author, reposts: int | None, reply: str | None, platform: str
) -> None:
    fields = {"text": "a", "platform": platform, "reach": Reach(reposts=reposts), "in_reply_to": reply}
    known = render(Post.model_validate({**fields, "author": author})).context
    assert without_author(known) == render(Post.model_validate(fields)).context


def _labelled() -> list[LabelledPost]:
    return labelled_posts(copies=3)


def test_the_nearest_labelled_posts_share_the_words_and_the_very_same_one_is_nearest() -> None:
    posts = _labelled()
    index = index_posts(posts)
    found = nearest(index, render(posts[5]).text, most=3)
    assert found[0].place == 5
    assert found[0].similarity == pytest.approx(1.0)
    assert len(found) == 3
    assert all("parcel" in posts[each.place].text for each in found)
    assert [each.similarity for each in found] == sorted((each.similarity for each in found), reverse=True)


def test_a_text_that_shares_nothing_has_no_neighbours() -> None:
    assert nearest(index_posts(_labelled()), "ξψω") == ()


def test_posts_without_a_common_word_make_no_index() -> None:
    with pytest.raises(ValueError, match="No index was made of 1 posts: no two of them have a word in common"):
        index_posts(_labelled()[:1])
