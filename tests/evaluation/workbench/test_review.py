"""The review queue: how many to read, who is drawn, and in which order."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from evaluation.workbench.review import Candidate, Mix, arrange, chance_to_draw, size_sample
from models.promise import lot_of

candidates = st.lists(
    st.builds(
        Candidate,
        prediction_id=st.uuids().map(str),
        automatic=st.booleans(),
        abstained=st.booleans(),
        margin=st.floats(0, 1),
        disagreement=st.just(0.0) | st.floats(0.01, 1),
        spike=st.booleans(),
    ),
    max_size=60,
    unique_by=lambda each: each.prediction_id,
)


def crowd(posts: int, automatic_share: int = 2) -> list[Candidate]:
    """Posts of which every second, third ... is an automatic answer, and the others have all reasons by turns."""
    return [
        Candidate(
            prediction_id=f"post-{number}",
            automatic=number % automatic_share == 0,
            abstained=number % 8 == 1,
            margin=(number % 97) / 97,
            disagreement=0.3 if number % 8 == 3 else 0.0,
            spike=number % 8 == 5,
        )
        for number in range(posts)
    ]


def test_226_read_without_an_error_and_73_more_show_under_one_percent() -> None:
    sizing = size_sample(0, 226, wanted=0.01)
    assert sizing.more == 73  # ln(0.05) / ln(0.99) = 298.1
    assert "read 73 more without an error to show under 1 %" in sizing.words


def test_what_is_shown_needs_no_more_reading() -> None:
    sizing = size_sample(0, 299, wanted=0.01)
    assert sizing.more == 0
    assert sizing.bound < 0.01
    assert sizing.words == "0 of 299 wrong shows under 0.997 % with 95 % confidence: under 1 % is shown"


def test_an_error_makes_the_rest_of_the_reading_longer() -> None:
    # 473 trials with one event: the textbook figure for 1 % at 95 %.
    assert size_sample(1, 300, wanted=0.01).more == 173


def test_what_no_reading_shows_is_said() -> None:
    sizing = size_sample(0, 0, wanted=1e-7)
    assert sizing.more is None
    assert "no number that can be read" in sizing.words


@pytest.mark.parametrize("numbers", [(3, 2, 0.01, 0.95), (-1, 2, 0.01, 0.95), (0, 2, 0.0, 0.95), (0, 2, 0.01, 1.0)])
def test_a_sample_that_makes_no_sense_is_refused(numbers: tuple[int, int, float, float]) -> None:
    wrong, read, wanted, confidence = numbers
    with pytest.raises(ValueError, match=r"No sample was sized: got .* Wanted: 0 <= wrong <= read"):
        size_sample(wrong, read, wanted=wanted, confidence=confidence)


def test_lots_are_even_whatever_the_ids_are() -> None:
    lots = [lot_of(f"01JD{number:022}", "secret") for number in range(2_000)]
    assert kstest(lots, "uniform").pvalue > 0.001
    assert kstest([lot_of(f"01JD{number:022}", "another") for number in range(2_000)], "uniform").pvalue > 0.001


def test_another_secret_draws_other_posts() -> None:
    one, other = ({n for n in range(1_000) if lot_of(str(n), secret) < 0.1} for secret in ("one", "other"))
    assert len(one & other) < 30 < min(len(one), len(other))


def test_the_chance_is_what_it_takes_and_never_over_one() -> None:
    assert chance_to_draw(73, 730) == 0.1
    assert chance_to_draw(73, 50) == 1.0
    assert chance_to_draw(0, 0) == 1.0


@given(candidates, st.integers(0, 80), st.floats(0, 1))
def test_nobody_stands_twice_and_everybody_stands_for_a_reason_that_is_so(
    posts: list[Candidate], size: int, chance: float
) -> None:
    queue = arrange(posts, size, chance=chance, secret="s")
    assert len({each.place for each in queue}) == len(queue) == min(size, len(posts))
    for each in queue:
        post = posts[each.place]
        drawn = post.automatic and lot_of(post.prediction_id, "s") < chance
        assert (each.reason == "random") == drawn
        assert each.probability == (chance if drawn else None)
        assert post.disagreement > 0 or each.reason != "disagreement"
        assert post.spike or each.reason != "spike"
        assert post.abstained or each.reason != "abstained"


@given(candidates, candidates, st.floats(0, 1))
def test_who_is_drawn_does_not_depend_on_who_else_is_there(
    posts: list[Candidate], others: list[Candidate], chance: float
) -> None:
    """So the chance to be read is known for every answer, and holds for answers that are yet to come."""

    def drawn(pool: list[Candidate]) -> set[str]:
        queue = arrange(pool, len(pool), chance=chance, secret="s")
        return {pool[each.place].prediction_id for each in queue if each.reason == "random"}

    ids = {each.prediction_id for each in posts}
    assert drawn(posts) == drawn([*posts, *(each for each in others if each.prediction_id not in ids)]) & ids


def test_any_beginning_of_the_queue_holds_every_reason_in_its_share() -> None:
    mix = Mix(random=0.5, disagreement=0.2, spike=0.1, abstained=0.1, uncertain=0.1)
    queue = arrange(crowd(2_000), 150, chance=0.5, secret="s", mix=mix)
    for beginning in range(1, 151):
        counted = Counter(each.reason for each in queue[:beginning])
        assert abs(counted["random"] - 0.5 * beginning) <= 1
        assert abs(counted["disagreement"] - 0.2 * beginning) <= 1
        assert abs(counted["uncertain"] - 0.1 * beginning) <= 1


def test_a_reason_that_has_run_out_leaves_its_place_to_the_others() -> None:
    posts = [*crowd(4), *(Candidate(f"rest-{number}", False, False, 0.5) for number in range(50))]
    assert len(arrange(posts, 54, chance=0.0, secret="s")) == 54


def test_a_reason_without_a_share_gets_no_place() -> None:
    queue = arrange(crowd(200), 200, chance=0.5, secret="s", mix=Mix(uncertain=0.0))
    assert {each.reason for each in queue} == {"random", "disagreement", "spike", "abstained"}


def test_within_a_reason_what_tells_most_is_read_first() -> None:
    posts = [
        Candidate("a", False, False, 0.3),
        Candidate("b", False, False, 0.1),
        Candidate("c", False, False, 0.9, disagreement=0.2),
        Candidate("d", False, False, 0.9, disagreement=0.7),
        Candidate("e", False, True, 0.4),
        Candidate("f", False, True, 0.8),
    ]
    queue = arrange(posts, 6, chance=0.0, secret="s")
    order = [posts[each.place].prediction_id for each in queue]
    assert order.index("b") < order.index("a")
    assert order.index("d") < order.index("c")
    assert order.index("f") < order.index("e")


@pytest.mark.parametrize("shares", [{"random": -0.1}, dict.fromkeys(Mix.__slots__, 0.0), {"spike": float("nan")}])
def test_a_mix_that_is_none_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="Wanted: none under 0 and one over 0"):
        Mix(**shares)
