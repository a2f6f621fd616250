import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.taxonomy import BUILT_IN, ROUTES
from evaluation.closings import read_closings
from evaluation.predictions import join, predict_posts, tabulate
from models.policy import Policy, Template, Thresholds
from tests.evaluation.populations import drawn_predictions, labelled_posts, predictor
from tests.fakes import BOLD_POLICY

PREDICTIONS = drawn_predictions(60, seed=3, strength=1.0)
probability = st.floats(0, 1).map(lambda value: round(value, 4))


def test_predictions_hold_what_the_predictor_says_in_the_order_of_the_posts() -> None:
    posts = labelled_posts()
    predictions = predict_posts(predictor(), posts, progress=False)

    answers = predictor().predict(posts)
    assert [ROUTES[route] for route in predictions.predicted_routes] == [answer.route for answer in answers]
    assert [BUILT_IN.names[intent] for intent in predictions.predicted_intents] == [answer.intent for answer in answers]
    assert predictions.decide(BOLD_POLICY) == [answer.decision for answer in answers]
    assert [ROUTES[route] for route in predictions.routes] == [post.route for post in posts]
    assert predictions.facts == tuple(answer.facts for answer in answers)


def test_posts_of_one_author_are_one_group() -> None:
    one, other, stranger = labelled_posts()[1:4]
    assert one.author is not None
    same = other.model_copy(update={"author": one.author})
    predictions = predict_posts(predictor(), [one, stranger, same], progress=False)
    assert predictions.groups[0] == predictions.groups[2] != predictions.groups[1]


def test_two_tables_joined_are_the_table_of_both_with_groups_that_reach_across() -> None:
    one, other, stranger = labelled_posts()[1:4]
    assert one.author is not None
    same = other.model_copy(update={"author": one.author})
    first, second = ([stranger, one], [same])
    joined = join(*(predict_posts(predictor(), part, progress=False) for part in (first, second)))
    whole = predict_posts(predictor(), [*first, *second], progress=False)
    assert joined.posts == whole.posts
    assert joined.facts == whole.facts
    for column in ("routes", "intents", "route_probabilities", "intent_probabilities", "groups"):
        assert getattr(joined, column).tolist() == getattr(whole, column).tolist()
    assert joined.groups.tolist() == [0, 1, 1]


def test_the_progress_bar_goes_to_stderr_and_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    predict_posts(predictor(), labelled_posts(1), progress=False)
    assert capsys.readouterr() == ("", "")
    predict_posts(predictor(), labelled_posts(1), progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "13/13" in output.err


def test_rows_are_taken_together() -> None:
    part = PREDICTIONS.take(np.array([7, 2]))
    assert [post.id for post in part.posts] == ["3-7", "3-2"]
    assert part.routes.tolist() == PREDICTIONS.routes[[7, 2]].tolist()
    assert part.decide(BOLD_POLICY) == [PREDICTIONS.decide(BOLD_POLICY)[row] for row in (7, 2)]


def test_a_table_of_unequal_columns_is_refused() -> None:
    posts = labelled_posts(1)
    with pytest.raises(ValueError, match="13 posts, 0 scores and 13 groups; wanted one of each per post"):
        tabulate(posts, [], range(13), BUILT_IN)


policies: st.SearchStrategy[Policy] = st.builds(
    Policy,
    thresholds=st.builds(
        Thresholds,
        simple=probability,
        intent=probability,
        sensitive=probability,
        influencer=probability,
        answer_nothing=st.booleans(),
    ),
    no_reply_intents=st.sets(st.sampled_from(BUILT_IN.names)).map(tuple),
    inventory=st.none()
    | st.sets(st.sampled_from(BUILT_IN.names)).map(
        lambda intents: tuple(Template(intent=intent, approved=True) for intent in intents)
    ),
)


@given(policies)
def test_closings_are_those_of_the_policy_itself(policy: Policy) -> None:
    decisions = PREDICTIONS.decide(policy)
    closed = read_closings(PREDICTIONS, policy).closed(policy.thresholds)
    assert closed.tolist() == [decision.closed_by_machine for decision in decisions]


def test_an_answer_to_another_need_is_counted_apart_and_silence_is_judged_by_the_true_intent() -> None:
    posts = labelled_posts(copies=1, wrong_copies=1)
    closings = read_closings(predict_posts(predictor(), posts, progress=False), BOLD_POLICY)
    closed = closings.closed(BOLD_POLICY.thresholds)
    judged = {(post.text.split(" at ")[0], bool(closings.wrong[row])) for row, post in enumerate(posts) if closed[row]}
    elsewhere = {post.text.split(" at ")[0] for row, post in enumerate(posts) if closed[row] & closings.other_need[row]}
    assert "can I change the address of my parcel" in elsewhere
    assert not elsewhere & {"where do I track my parcel please", "lol what a game that was last night"}
    assert judged == {
        ("where do I track my parcel please", False),
        ("thanks to the lady", False),
        ("lol what a game that was last night", False),
        ("my parcel came with another customer's letter in it", True),
        ("the parcel was due tuesday and never came", True),
        ("can I change the address of my parcel", False),
        ("my show covers your parcel service tonight", True),
    }
