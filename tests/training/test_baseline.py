"""The yardstick learns the tiny posts, better than chance, and the same way every time."""

from data.splits import Splits
from training.baseline import train_baseline


def test_the_baseline_is_better_than_chance(splits: Splits) -> None:
    baseline = train_baseline(splits.part("train"), splits.part("development"), splits.part("calibration"), seed=3)
    # Four routes: whoever guesses gets a quarter, whoever always says `simple` 0.29 of the posts and 0.11 macro-F1.
    for share in (baseline.development_accuracy, baseline.calibration_accuracy):
        assert 0.6 < share <= 1
    for figure in (baseline.development_macro_f1, baseline.calibration_macro_f1):
        assert 0.6 < figure <= 1


def test_the_baseline_is_the_same_for_the_same_seed(splits: Splits) -> None:
    parts = (splits.part("train"), splits.part("development"), splits.part("calibration"))
    assert train_baseline(*parts, seed=3) == train_baseline(*parts, seed=3)


def test_a_baseline_that_was_taught_nonsense_is_worse(splits: Splits) -> None:
    train = splits.part("train")
    routes = [post.route for post in train]
    shifted = [
        post.model_copy(update={"route": route}) for post, route in zip(train, routes[7:] + routes[:7], strict=True)
    ]
    parts = (splits.part("development"), splits.part("calibration"))
    taught, misled = (train_baseline(each, *parts, seed=3) for each in (train, shifted))
    assert misled.calibration_macro_f1 < taught.calibration_macro_f1 - 0.2
