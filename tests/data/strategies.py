"""Posts of every shape for property tests, as a reader gives them back: unknown values are `None`, never empty."""

from hypothesis import strategies as st

from data.post import Author, LabelledPost, Post, Reach
from data.taxonomy import BUILT_IN, PLATFORMS, ROUTES

WORDS = ("where", "is", "my", "parcel", "thanks", "again", "refund", "app", "down", "please", "card", "call", "late")
NUMBERS = ("4111 1111 1111 1111", "07700 900123", "+44 7700 900123", "GB29 NWBK 6016 1331 9268 19", "(202) 555-0123")
MARKS = (
    "@tobes",
    "@ofcom",
    "#NoSignal",
    "https://a.example/x",
    "jo@mail.example",
    "\U0001f621",
    "&amp;",
    "\u200d",
    "\n",
    "  ",
)

characters = st.characters(exclude_categories=["Cs"])
any_text = st.text(characters, min_size=1, max_size=40)
number_like = st.text("0123456789 -+().\n@#_/&;:", min_size=1, max_size=24)
messy_text = st.lists(
    st.one_of(st.sampled_from(NUMBERS + MARKS + WORDS), number_like, any_text), min_size=1, max_size=8
).map("".join)
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
counts = st.none() | st.integers(0, 10_000_000)
languages = st.sampled_from(["en", "de", "es", "fr", "hi", "pt"])


def _some_known(value: Author | Reach) -> bool:
    return any(each is not None for _, each in value)


authors = st.builds(
    Author,
    handle=st.none() | any_text,
    followers=counts,
    verified=st.none() | st.booleans(),
    bio=st.none() | messy_text,
).filter(_some_known)
reaches = st.builds(Reach, reposts=counts, replies=counts, likes=counts).filter(_some_known)

posts = st.builds(
    Post,
    id=st.none() | any_text,
    text=messy_text,
    platform=st.sampled_from(PLATFORMS),
    lang=st.none() | languages,
    author=st.none() | authors,
    reach=st.none() | reaches,
    in_reply_to=st.none() | messy_text,
    posted_at=st.none(),
)


@st.composite
def labelled_posts(draw: st.DrawFn, text: st.SearchStrategy[str] = messy_text) -> LabelledPost:
    """One labelled post with any id."""
    return LabelledPost(
        id=draw(any_text),
        text=draw(text),
        platform=draw(st.sampled_from(PLATFORMS)),
        lang=draw(languages),
        author=draw(st.none() | authors),
        reach=draw(st.none() | reaches),
        in_reply_to=draw(st.none() | any_text),
        industry=draw(st.sampled_from(["rail", "bank"])),
        route=draw(st.sampled_from(ROUTES)),
        intent=draw(st.sampled_from(BUILT_IN.names)),
        contrast_of=draw(st.none() | any_text),
    )


@st.composite
def labelled_sets(draw: st.DrawFn, max_size: int = 30) -> list[LabelledPost]:
    """Posts with unique ids, of which some share authors, threads, contrasts, texts and neighbours."""
    size = draw(st.integers(1, max_size))
    ids = [draw(st.sampled_from(["v1", "a1", "other"])) + f"-{number:04}" for number in range(1, size + 1)]
    handles = st.none() | st.sampled_from(["@one", "One", "two"])
    return [
        LabelledPost(
            id=post_id,
            text=draw(sentences),
            lang="en",
            author=Author(handle=handle, followers=5) if (handle := draw(handles)) else None,
            in_reply_to=draw(
                st.none() | st.sampled_from(["Hi, how can we help?", "Sorry about that.", "Which train?"])
            ),
            route=draw(st.sampled_from(ROUTES)),
            intent=draw(st.sampled_from(BUILT_IN.names)),
            contrast_of=draw(st.none() | st.sampled_from(ids)),
        )
        for post_id in ids
    ]


def labelled(post_id: str, text: str, **changes: object) -> LabelledPost:
    """A simple, harmless labelled post with the given changes."""
    values: dict[str, object] = {"lang": "en", "platform": "x", "route": "simple", "intent": "how_to", **changes}
    return LabelledPost.model_validate({"id": post_id, "text": text, **values})
