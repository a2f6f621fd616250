"""Posts that somebody types to see what the model in service makes of them; nothing of them is kept."""

from collections.abc import Mapping

from pydantic import ValidationError

from data.post import Post

FIELDS = ("text", "platform", "followers", "verified", "bio")
_VERIFIED = {"yes": True, "no": False}


class NoPostError(ValueError):
    """What was typed is no post. Says why in words that may be shown."""


def post_of(form: Mapping[str, str], most_characters: int) -> Post:
    """The post that was typed; what was left empty is not known.

    Raises:
        NoPostError: when it is none.
    """
    text, followers = form.get("text", ""), form.get("followers", "").strip()
    if not text.strip() or len(text) > most_characters:
        raise NoPostError(
            f"Nothing was judged: the text has {len(text)} characters. Wanted: 1 to {most_characters}. Write some."
        )
    known = {
        "followers": followers or None,
        "verified": _VERIFIED.get(form.get("verified", "")),
        "bio": form.get("bio", "").strip() or None,
    }
    author = known if any(value is not None for value in known.values()) else None
    try:
        return Post.model_validate({"text": text, "platform": form.get("platform") or "other", "author": author})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise NoPostError(
            f"Nothing was judged: {field} is not what it should be ({first['msg']}). Wanted: what the field says. "
            "Correct it."
        ) from None
