"""What a form says of a post, as a reading of the journal. Owns what is refused, and in which words."""

import re
from collections.abc import Mapping
from typing import get_args

from starlette.exceptions import HTTPException

from data.taxonomy import ROUTES, Taxonomy
from serving.journal.reviews import Review, Verdict

MAX_NOTE_CHARACTERS = 500
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def _refuse(problem: str) -> HTTPException:
    return HTTPException(
        422, f"The reading was not kept: {problem}. Wanted: what the page sends. Load the page again and read it anew."
    )


def check_id(given: str) -> str:
    """The id of a reading, as a browser or a page made it.

    Raises:
        HTTPException: 422 when it is none.
    """
    if not _ID.fullmatch(given):
        raise _refuse(f"its id is {given[:40]!r}")
    return given


def review_of(form: Mapping[str, str], reader: str, taxonomy: Taxonomy) -> Review:
    """The reading that a form brings, its labels those of the taxonomy.

    Raises:
        HTTPException: 422 when it is none.
    """
    review_id, verdict = check_id(form.get("id", "")), form.get("verdict", "")
    known = next((name for name in get_args(Verdict) if name == verdict), None)
    if known is None:
        raise _refuse(f"its verdict is {verdict[:40]!r}")
    note = form.get("note", "")[:MAX_NOTE_CHARACTERS]
    route, intent = form.get("route") or None, form.get("intent") or None
    try:
        review = Review(form.get("prediction_id", ""), reader, known, route, intent, note=note, id=review_id)
    except ValueError as error:
        raise _refuse(str(error).partition(". Wanted")[0]) from None
    if known == "label" and (route not in ROUTES or intent not in taxonomy.intents):
        raise _refuse(f"its labels are {str(route)[:40]!r} and {str(intent)[:40]!r}")
    return review
