"""A labelled post made of what the journal kept: one to train on, which a model reads as it read the first.

The text is the masked one. What the model saw of author and conversation is taken out of the context that was
kept, numbers from the facts. Where a model would read the result otherwise, it is not made.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection

from data.output import whole_file
from data.post import Author, LabelledPost, Reach
from data.rendering import render
from serving.journal.corrections import CorrectedPost, CorrectionFilter, corrections

_CONTEXT = re.compile(
    r"(?P<platform>\w+)(?:\. followers [^.]+)?(?:\. (?P<verified>(?:not )?verified))?(?:\. bio: (?P<bio>.*?))?"
    r"(?:\. reposts [^.]+)?(?:\. reply to: (?P<reply>.*))?"
)
_STAND_INS = {"@authority": "@regulator", "@press": "@newsdesk"}
"""Handles that belong to nobody, and that rendering reads as it read the real ones."""
_BEFORE_A_FULL_STOP = re.compile(r"\s+(?=\.)")
"""Where a long bio was cut after a blank; a tokenizer sees no difference."""


def _named(text: str | None) -> str | None:
    for role, handle in _STAND_INS.items():
        text = text and re.sub(rf"{role}\b", handle, text)
    return text


def labelled_post(corrected: CorrectedPost, *, lang: str) -> LabelledPost | None:
    """The post with its corrected labels; `None` where none can be made that a model reads the same.

    `lang` is taken for posts too short to tell.
    """
    found, facts = _CONTEXT.fullmatch(corrected.context), corrected.facts
    if found is None:
        return None
    verified = None if found["verified"] is None else found["verified"] == "verified"
    known = (facts.followers, verified, found["bio"]) != (None, None, None)
    try:
        post = LabelledPost(
            id=f"correction-{corrected.correction.id}",
            text=_named(corrected.text) or "",
            platform=facts.platform,
            lang=facts.lang or lang,
            author=Author(followers=facts.followers, verified=verified, bio=_named(found["bio"])) if known else None,
            reach=None if facts.reposts is None else Reach(reposts=facts.reposts),
            in_reply_to=_named(found["reply"]),
            route=corrected.correction.route,  # type: ignore[arg-type] # a string of the database's; checked here
            intent=corrected.correction.intent,
        )
    except ValidationError:
        return None
    again = render(post)
    same = (again.text, _without(again.context)) == (corrected.text, _without(corrected.context))
    return post if same else None


def _without(context: str) -> str:
    return _BEFORE_A_FULL_STOP.sub("", context)


@dataclass(frozen=True, slots=True)
class Exported:
    """Corrections as labelled posts, `lines` of values with their provenance, and how many could not be had as such."""

    lines: tuple[dict[str, Any], ...]
    left_out: int

    def text(self) -> Iterator[str]:
        """The same as JSON Lines."""
        return (json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines)


def export(connection: Connection, wanted: CorrectionFilter, *, lang: str) -> Exported:
    """The corrections meant as labelled posts; of several of one prediction the newest."""
    newest = {each.correction.prediction_id: each for each in corrections(connection, wanted)}
    posts = [(labelled_post(each, lang=lang), each) for each in newest.values()]
    return Exported(
        tuple(post.model_dump(mode="json", exclude={"posted_at"}) | _provenance(each) for post, each in posts if post),
        sum(post is None for post, _ in posts),
    )


def write_corrections(connection: Connection, path: Path, *, since: datetime | None, lang: str) -> tuple[int, int]:
    """How many corrected posts the file at `path` holds afterwards, and how many were left out.

    What stood there before stays until all is written.
    """
    exported = export(connection, CorrectionFilter(since=since), lang=lang)
    with whole_file(path) as file:
        file.writelines(exported.text())
    return len(exported.lines), exported.left_out


def _provenance(corrected: CorrectedPost) -> dict[str, str]:
    """Where a labelled post comes from: fields that readers of labelled files name and pass over."""
    return {
        "prediction_id": corrected.correction.prediction_id,
        "reader": corrected.correction.reader,
        "corrected_at": corrected.correction.made_at.isoformat(),
        "predicted_route": corrected.predicted_route,
        "predicted_intent": corrected.predicted_intent,
        "model_version": corrected.model_version,
        "policy_version": corrected.policy_version,
    }
