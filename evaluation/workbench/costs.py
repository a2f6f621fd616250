"""What a setting costs at the user's own prices. Owns the sum, and two prices until they are given."""

from dataclasses import dataclass

POSTS = 1_000
"""What all sums are for."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars a contact. A phone contact is said to cost 6 to 8, one on social media under 1: the defaults are the
    middle and the upper end. They are placeholders for the user's own figures, not findings.
    """

    phone_dollars: float = 7.0
    social_dollars: float = 1.0

    def __post_init__(self) -> None:
        for name in ("phone_dollars", "social_dollars"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(
                    f"No costs were computed: {name} is {value}. Wanted: dollars a contact, 0 or more. Correct it."
                )


@dataclass(frozen=True, slots=True)
class Costs:
    """Dollars for 1,000 posts. `people` answer what the machine leaves; a `wrong` closing is taken to end in a call.

    `worst_total` has the wrong closings at the proven bound in place of those seen; `without_machine` is what people
    would cost who answer all of it. What the machine itself costs is not in it.
    """

    people: float
    wrong: float
    total: float
    worst_total: float
    without_machine: float


def costs(automatic_share: float, wrong_share: float, wrong_bound: float, prices: Prices = Prices()) -> Costs:
    """The costs where the machine closes a share of all posts, and so large a share of its closings is wrong.

    `wrong_bound` is the share of wrong closings that is proven, at least `wrong_share`; all three are 0 to 1.
    """
    people = POSTS * (1 - automatic_share) * prices.social_dollars
    wrong, worst = (POSTS * automatic_share * share * prices.phone_dollars for share in (wrong_share, wrong_bound))
    return Costs(
        people=people,
        wrong=wrong,
        total=people + wrong,
        worst_total=people + worst,
        without_machine=POSTS * prices.social_dollars,
    )
