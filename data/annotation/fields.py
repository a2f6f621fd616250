"""A post as flat named values, as annotation tools take them, and back. Owns the names: dots become underscores."""

from collections.abc import Mapping

from data.importing.mapping import FIELDS
from data.post import LabelledPost, Post

POST_ID = "post_id"
"""Both tools keep an `id` of their own, which in one export replaces ours."""
LABELS = ("route", "intent")
_NAMES = {
    name: POST_ID if name == "id" else name.replace(".", "_") for name in FIELDS if name not in (*LABELS, "annotator")
}
_FIELDS = {ours: name for name, ours in _NAMES.items()}


def flat(post: Post) -> dict[str, str | int | bool]:
    """What is known of a post but its labels, by flat name."""
    values = post.model_dump(mode="json", exclude_none=True)
    for outer in ("author", "reach"):
        values |= {f"{outer}.{name}": value for name, value in values.pop(outer, {}).items()}
    if not isinstance(post, LabelledPost):
        values.setdefault("industry", "other")
    return {_NAMES[name]: value for name, value in values.items() if name in _NAMES}


def unflat(values: Mapping[str, object]) -> dict[str, object]:
    """The fields of a post out of flat values; foreign names are left out."""
    return {_FIELDS[name]: value for name, value in values.items() if name in _FIELDS}
