"""The labelling guide beside the posts: Markdown made into HTML, with a place to open for every label.

Owns that a guide can do nothing to a page: what it has of HTML is shown as it was written, no picture is loaded and no
style stands inline.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count, pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_DEEPER = 2
"""The page's own title is a heading of the first level, and that over the guide one of the second."""
_KEPT = 4
"""Guides that stay made; a server shows one, and for a moment the one before it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the guide, with the id of its element. `level` is as it was written, 1 to 6."""

    id: str
    title: str
    level: int


@dataclass(frozen=True, slots=True)
class Guide:
    """The guide as HTML that may stand in a page as it is, its sections, and the id of the place for each label."""

    html: str
    sections: tuple[Section, ...]
    places: Mapping[str, str]


@cache
def _markdown() -> MarkdownIt:
    """CommonMark and tables, without raw HTML and pictures; what would run something is no link."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def _free_id(title: str, taken: Iterable[str]) -> str:
    name = "guide-" + (re.sub(r"\W+", "-", title.lower()).strip("-") or "section")
    tried = (name if n == 1 else f"{name}-{n}" for n in count(1))
    return next(each for each in tried if each not in taken)


def _number_sections(tokens: Sequence[Token]) -> tuple[Section, ...]:
    """The headings; each has an id and stands below the page's own from now on."""
    found: dict[str, Section] = {}
    for token, following in pairwise(tokens):
        if token.type != "heading_open":
            continue
        title = "".join(each.content for each in following.children or ())
        section = Section(_free_id(title, found), title, int(token.tag[1]))
        found[section.id] = section
        token.attrSet("id", section.id)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _DEEPER)}"
    return tuple(found.values())


def _tame(tokens: Sequence[Token]) -> None:
    """Nothing; cells are aligned by a class instead of a style, and a link opens beside the posts."""
    for token in tokens:
        style = token.attrs.pop("style", None)
        if style is not None:
            token.attrSet("class", str(style).rpartition(":")[2])
        if token.type == "link_open":
            address = str(token.attrGet("href") or "")
            if address.startswith("#"):
                token.attrSet("href", f"#guide-{address[1:]}")
            else:
                token.attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
        _tame(token.children or ())


def _find_places(tokens: Sequence[Token], labels: Sequence[str]) -> dict[str, str]:
    """The place of each label: the first heading that names it, else the first row of a table with a cell for it."""
    headings: dict[str, str] = {}
    rows: dict[str, str] = {}
    row = Token("tr_open", "tr", 1)
    for token, following in pairwise(tokens):
        if token.type == "tr_open":
            row = token
        elif token.type == "heading_open":
            words = re.findall(r"\w+", following.content.lower())
            headings |= {
                label: str(token.attrGet("id")) for label in labels if label in words and label not in headings
            }
        elif token.type == "td_open" and (label := following.content.strip("` ")) in labels and label not in rows:
            rows[label] = str(row.attrGet("id") or f"label-{label}")
            row.attrSet("id", rows[label])
    return rows | headings


@lru_cache(_KEPT)
def _made(path: Path, _changed: tuple[int, int], labels: tuple[str, ...]) -> Guide:
    markdown = _markdown()
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    sections = _number_sections(tokens)
    _tame(tokens)
    places = _find_places(tokens, labels)
    return Guide(markdown.renderer.render(tokens, markdown.options, {}), sections, places)


def read_guide(path: Path, labels: tuple[str, ...]) -> Guide | None:
    """The guide of a Markdown file, with a place for each of the labels that it names; `None` where there is none.

    It is made once, and anew when the file has changed.
    """
    try:
        seen = path.stat()
        return _made(path, (seen.st_mtime_ns, seen.st_size), labels)
    except (OSError, UnicodeDecodeError):
        return None
