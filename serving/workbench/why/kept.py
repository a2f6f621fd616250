"""What the journal has around one decision: its story, what people said of it, and posts that say nearly the same."""

from dataclasses import dataclass

from sqlalchemy import Connection

from models.policy import Policy
from serving.journal.corrections import Correction, corrections_of
from serving.journal.filter import Filter
from serving.journal.policies import find_policy
from serving.journal.queries import KeptPost, counts, page_of_posts
from serving.journal.reviews import Review, reviews_of
from serving.journal.rules import Rule, standing_rules
from serving.journal.story import Story, read_story

OTHERS = 5
"""Posts of the same cluster that are shown; all are counted."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One decision and what is around it. `policy` is one that people made, if it decided; `others` are the newest."""

    story: Story
    policy: Policy | None
    reviews: tuple[Review, ...]
    corrections: tuple[Correction, ...]
    rules: tuple[Rule, ...]
    others: tuple[KeptPost, ...]
    in_cluster: int


def read_kept(connection: Connection, prediction_id: str) -> Kept | None:
    """What there is, `None` where the decision is not in the journal."""
    story = read_story(connection, prediction_id)
    if story is None:
        return None
    post = story.post
    alike = Filter(cluster=post.cluster) if post.cluster else None
    newest = page_of_posts(connection, alike, most=OTHERS + 1).posts if alike else ()
    reasons = " ".join(detail for _, detail in post.reasons)
    return Kept(
        story=story,
        policy=find_policy(connection, post.policy_version, post.model_version),
        reviews=reviews_of(connection, prediction_id),
        corrections=corrections_of(connection, prediction_id),
        rules=tuple(
            each for each in standing_rules(connection) if each.prediction_id == prediction_id or each.id in reasons
        ),
        others=tuple(each for each in newest if each.prediction_id != prediction_id)[:OTHERS],
        in_cluster=sum(each.posts for each in counts(connection, alike)) if alike else 1,
    )
