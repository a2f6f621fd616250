"""What a post is: the only input of the model, and the same with its labels. Owns the schema, nothing else.

Field meanings and limits follow the labelling guide (`data/corpus/labelling-guide.md`) and the HTTP interface
(`docs/api.md`). Unknown fields are refused by name; readers that meet foreign columns strip them first and say so.
"""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

from data.taxonomy import Intent, Platform, Route, Taxonomy

MAX_TEXT_CHARACTERS = 10_000
"""The longest post that is read at all (LinkedIn and Facebook posts end well below it)."""
MAX_LABELLED_TEXT_CHARACTERS = 2_000
"""The longest labelled post: the guide's limit."""
MAX_CONTEXT_CHARACTERS = 10_000
MAX_COUNT = 10_000_000_000
"""No account has more followers than there are people; a larger figure is a mistake of the caller."""

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Author(_Value):
    """What is known of the account that posted. Missing (`None`) means unknown, never zero."""

    handle: Annotated[str, Field(max_length=200)] | None = None
    followers: Count | None = None
    verified: bool | None = None
    bio: Annotated[str, Field(max_length=2_000)] | None = None


class Reach(_Value):
    """How far the post had spread when it was scored. Missing (`None`) means unknown."""

    reposts: Count | None = None
    replies: Count | None = None
    likes: Count | None = None


class Post(_Value):
    """One public message with platform, author and reach: the only input of the model."""

    id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)]
    platform: Platform = "other"
    lang: LanguageCode | None = None
    author: Author | None = None
    reach: Reach | None = None
    in_reply_to: Annotated[str, Field(max_length=MAX_CONTEXT_CHARACTERS)] | None = None
    posted_at: AwareDatetime | None = None

    @property
    def followers(self) -> int | None:
        """The author's followers, `None` where unknown."""
        return self.author.followers if self.author else None

    @property
    def reposts(self) -> int | None:
        """How often the post was passed on, `None` where unknown."""
        return self.reach.reposts if self.reach else None


def _of_the_taxonomy(intent: object, info: ValidationInfo) -> object:
    taxonomy = info.context
    if not isinstance(taxonomy, Taxonomy) or not isinstance(intent, str) or intent in taxonomy.intents:
        return intent
    nearest = taxonomy.nearest(intent)
    use = f"write {nearest!r}, which is nearest" if nearest else "use one of these"
    remedy = f"{use}, or name it in a taxonomy of your own (docs/data.md)"
    raise PydanticCustomError("unknown_intent", "{wanted}", {"wanted": taxonomy.wanted, "remedy": remedy})


class LabelledPost(Post):
    """A post with the two labels that a reader gave it, as one line of a labelled file.

    The intent must be one of the `Taxonomy` that is handed in as validation context (`data.sources` does); without one
    it may have any name that an intent can have.
    """

    id: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(min_length=1, max_length=MAX_LABELLED_TEXT_CHARACTERS)]
    lang: LanguageCode
    industry: Annotated[str, Field(min_length=1, max_length=100)] = "other"
    route: Route
    intent: Annotated[Intent, BeforeValidator(_of_the_taxonomy)]
    contrast_of: str | None = None
