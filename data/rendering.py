"""The model's input for a post: a pair of texts, made in exactly one way, with a version number.

Training, evaluation and serving all call `render`; a bundle keeps `RENDERING_VERSION` and is refused by a program
that renders otherwise. Any change of a byte of the output, however small, is a new version.

Version 1, by example::

    first:  "@user @authority your courier left it in the rain [link] \U0001f621 twice"  ->
            "@user @authority your courier left it in the rain [link] enraged face twice"
    second: "x. followers under 1k. not verified. bio: dad of 3. reposts under 10. reply to: [the brand's message]"

Unknown facts are left out, so a post without author data reads "x" and nothing is invented.
"""

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import emoji

from data.handles import DEFAULT_HANDLES, Handles
from data.post import Post
from data.redaction import Kind, mask_all

RENDERING_VERSION = "1"
NameEmoji = Callable[[str], str]

_LINK = re.compile(r"(?:https?://|www\.)\S+|\bpic\.twitter\.com/\S+", re.I)
_MENTION = re.compile(r"(?<![\w@.])[.]?@+((\w+)(?:\.[a-z0-9_]\w*)*)")
"""Handles of Instagram may hold dots; a dot before a capital ends a sentence."""
_MANY_USERS = re.compile(r"(?:@user\s+){3,}(?=@user)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HASHTAG = re.compile(r"#(\w+)")
_JOINER = "\u200d"
"""Joins emoji into one; elsewhere it shows nothing and could hide a number."""
_MAX_JOINERS = 500
"""Joining takes the square of a chain's length: 5,000 joiners took 3 s, 500 take 0.03 s. No honest post has so many."""
_SPACE = re.compile(r"\s+")
_MAX_BIO_CHARACTERS = 160
_MAX_REPLY_CHARACTERS = 240

# The guide's lines are at 10,000 and 50,000 followers and at 500 reposts; the others only order the rest.
_FOLLOWER_BUCKETS = ((50_000, "over 50k"), (10_000, "10k to 50k"), (1_000, "1k to 10k"), (0, "under 1k"))
_REPOST_BUCKETS = ((500, "over 500"), (100, "100 to 500"), (10, "10 to 100"), (0, "under 10"))
_AUTHOR = re.compile(
    r"\A([^.]*)(?:\. followers (?:over|under|\d+k to) \d+k)?(?:\. (?:not )?verified)?(?:\. bio: .*?)?"
    r"(?=\. reposts (?:over|under|\d+ to) \d+|\. reply to: |\Z)"
)
"""What `_context` writes of an author, after the platform. A bio ends where the next fact begins."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The sentence pair that the tokenizer gets: the post, then what is known around it."""

    text: str
    context: str
    exposed: tuple[Kind, ...] = ()
    """The kinds of personal data that stood in the post and are masked here, each once, sorted."""


def _printable(text: str) -> str:
    """`text` with entities decoded, compatibility forms folded and control and format characters as spaces."""
    unescaped = unicodedata.normalize("NFKC", html.unescape(text))
    if unescaped.isprintable():  # nearly every post, and 40 us less for it: nothing of these categories is printable
        return unescaped
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") else character
        for character in unescaped
        if unicodedata.category(character) != "Cf" or character == _JOINER
    )


def _emoji_name(characters: str) -> str:
    name = emoji.demojize(characters, delimiters=(" ", " "))
    return name.split("_skin_tone")[0].removesuffix("_light").removesuffix("_medium").replace("_", " ")


def emoji_names() -> frozenset[str]:
    """The words that stand for an emoji in a rendered text, of every emoji that is known: "enraged face", "fire"."""
    return frozenset(_emoji_name(characters).strip() for characters in emoji.EMOJI_DATA)


def _no_name(_: str) -> str:
    return ""


def _name_emoji(text: str, name_of: NameEmoji) -> str:
    """`text` with every emoji as its words, once where it is repeated: the encoder's vocabulary has none."""
    if text.isascii():
        return text
    if text.count(_JOINER) > _MAX_JOINERS:
        text = text.replace(_JOINER, "")
    parts: list[str] = []
    previous = ""
    for token in emoji.analyze(text, join_emoji=True, non_emoji=True):
        value = token.value
        if isinstance(value, str):
            parts.append(value)
            previous = "" if value.strip() else previous
            continue
        name = name_of(token.chars)
        if name != previous:
            parts.append(f" {name} ")
        previous = name
    return "".join(parts)


def _role(mention: re.Match[str], handles: Handles) -> str:
    return "@" + (handles.role(mention.group(1)) or handles.role(mention.group(2)) or "user")


def _clean(
    text: str, lang: str | None, handles: Handles, name_of: NameEmoji = _emoji_name
) -> tuple[str, tuple[Kind, ...]]:
    # Masked last of all that joins or parts characters: "4111  1111" and "#4111_1111" become numbers only then.
    plain = _name_emoji(_LINK.sub("[link]", _printable(text)), name_of).replace(_JOINER, "")
    plain = _HASHTAG.sub(lambda match: "#" + _CAMEL.sub(" ", match.group(1)).replace("_", " "), plain)
    masked, findings = mask_all(_SPACE.sub(" ", plain).strip(), lang)
    cleaned = _MENTION.sub(lambda match: _role(match, handles), masked)
    exposed = {finding.kind for finding in findings if finding.personal}
    return _MANY_USERS.sub("@user @user ", cleaned), tuple(sorted(exposed))


def clean_text(text: str, lang: str | None = None, handles: Handles = DEFAULT_HANDLES) -> str:
    """A text as the model reads it: no personal data, no names of accounts, no addresses, white space folded."""
    return _clean(text, lang, handles)[0]


def spoken_text(post: Post, rendered: Rendered, handles: Handles = DEFAULT_HANDLES) -> str:
    """The text of `rendered`, the rendering of `post`, without the names of emoji, which are always English."""
    if _printable(post.text).isascii():
        return rendered.text
    return _clean(post.text, post.lang, handles, _no_name)[0]


def _bucket(value: int, buckets: tuple[tuple[int, str], ...]) -> str:
    return next(name for least, name in buckets if value >= least)


def _context(post: Post, handles: Handles) -> str:
    facts: list[str] = [post.platform]
    if post.followers is not None:
        facts.append(f"followers {_bucket(post.followers, _FOLLOWER_BUCKETS)}")
    if post.author and post.author.verified is not None:
        facts.append("verified" if post.author.verified else "not verified")
    if post.author and post.author.bio:
        facts.append(f"bio: {clean_text(post.author.bio, post.lang, handles)[:_MAX_BIO_CHARACTERS]}")
    if post.reposts is not None:
        facts.append(f"reposts {_bucket(post.reposts, _REPOST_BUCKETS)}")
    if post.in_reply_to:
        facts.append(f"reply to: {clean_text(post.in_reply_to, post.lang, handles)[:_MAX_REPLY_CHARACTERS]}")
    return ". ".join(facts)


def without_author(context: str) -> str:
    """The rendered context of a post as it would be if nothing were known of its author."""
    return _AUTHOR.sub(r"\1", context)


def render(post: Post, handles: Handles = DEFAULT_HANDLES) -> Rendered:
    """The post as a sentence pair. Total: every valid post renders; nothing of the text is cut for the context."""
    text, exposed = _clean(post.text, post.lang, handles)
    return Rendered(text=text, context=_context(post, handles), exposed=exposed)
