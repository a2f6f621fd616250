"""All that the journal has of one decision, and how it is found by what somebody has in hand."""

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select

from models.policy import Facts
from serving.journal.queries import KeptPost, find_post, read_posts, select_posts
from serving.journal.tables import DECISIONS, FACETS, FACTS


@dataclass(frozen=True, slots=True)
class Story:
    """A decision with everything beside it: the facts that the guards found, the request, and the exact versions."""

    post: KeptPost
    facts: Facts
    request_id: str
    key_name: str | None
    lane: str
    posted_at: str | None
    move_to_private: bool
    taxonomy_version: str
    rendering_version: str
    model_sha256: str


_FURTHER = ("request_id", "key_name", "lane", "posted_at", "move_to_private")
_VERSIONS = ("taxonomy_version", "rendering_version", "model_sha256")


def read_story(connection: Connection, prediction_id: str) -> Story | None:
    """What is kept of a prediction, `None` where there is none of that id or its text is deleted."""
    post = find_post(connection, prediction_id)
    if post is None:
        return None
    columns = DECISIONS.c[("facts", *_FURTHER, *_VERSIONS)]
    row = connection.execute(select(*columns).where(DECISIONS.c.prediction_id == prediction_id)).mappings().one()
    return Story(
        post=post, facts=FACTS.validate_json(row["facts"]), **{name: row[name] for name in (*_FURTHER, *_VERSIONS)}
    )


def find_decisions(connection: Connection, words: str, *, most: int = 50) -> tuple[KeptPost, ...]:
    """The newest decisions of which that is the prediction id, the caller's own id of the post, or the request's id."""
    same = (DECISIONS.c.prediction_id == words.upper(), DECISIONS.c.post_id == words, DECISIONS.c.request_id == words)
    newest_first = (FACETS.c.at_ms.desc(), FACETS.c.prediction_id.desc())
    return read_posts(connection, select_posts(or_(*same)).order_by(*newest_first).limit(most))
