"""The file of behaviour cases: capabilities, each with templates and what is expected. Owns its form and its reading.

A *case* is two posts, `before` and `after`; the expectation is about what a bundle makes of both. Where each number
of the shipped file comes from stands in the file.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.post import Author, Post
from data.taxonomy import Route
from evaluation.behaviour.rewriting import Rewriting, rewrite

DEFAULT_CASES = Path("evaluation/behaviour/cases.toml")
SHIPPED_CASES = Path(__file__).with_name("cases.toml")
"""The same file, wherever the command is given."""
Expectation = Literal["same_route", "same_answer", "same_text_axes", "no_less_sensitive", "falls", "never_closed"]
"""What must hold of a case; `evaluation.behaviour.expectations` says how it is judged."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Text = Annotated[str, Field(min_length=1)]
_GAP = "{}"


class CasesError(ValueError):
    """A file of behaviour cases that cannot be used."""


@dataclass(frozen=True, slots=True)
class Case:
    """Two posts whose answers are compared; `axis` is the route whose probability is to fall, where one is named."""

    before: Post
    after: Post
    axis: Route | None = None


def _post(text: str, author: Author | None = None) -> Post:
    return Post(text=text, platform="x", lang="en", author=author)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Capability(_Value):
    """What all capabilities have: a name, why it is asked, what is expected, and the share of cases that may fail."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
    about: Text
    expect: Expectation
    limit: Share
    tolerance: Share = 0.0


class Rewritten(_Capability):
    """Each text against the same written otherwise."""

    way: Literal["rewrite"]
    rewriting: Rewriting
    texts: str

    def cases(self, texts: dict[str, tuple[str, ...]]) -> Iterator[Case]:
        """The cases, from the lists of `texts` by name."""
        for text in texts[self.texts]:
            yield from (Case(_post(text), _post(other)) for other in rewrite(text, self.rewriting))


class Filled(_Capability):
    """Each template with its gap filled by one value against the same with another."""

    way: Literal["fill"]
    templates: Annotated[tuple[Annotated[str, Field(pattern=r"\{\}")], ...], Field(min_length=1)]
    values: Annotated[tuple[Text, ...], Field(min_length=2)]

    def cases(self, texts: dict[str, tuple[str, ...]]) -> Iterator[Case]:  # noqa: ARG002 (the form of all capabilities)
        """The cases: the first value against each of the others."""
        first, *others = self.values
        for template, other in product(self.templates, others):
            yield Case(_post(template.replace(_GAP, first)), _post(template.replace(_GAP, other)))


class Added(_Capability):
    """Each text against the same with a sentence before or after it."""

    way: Literal["add"]
    texts: str
    additions: Annotated[tuple[Text, ...], Field(min_length=1)]
    places: Annotated[tuple[Literal["before", "after"], ...], Field(min_length=1)]

    def cases(self, texts: dict[str, tuple[str, ...]]) -> Iterator[Case]:
        """The cases, from the lists of `texts` by name."""
        for text, addition, place in product(texts[self.texts], self.additions, self.places):
            joined = f"{addition} {text}" if place == "before" else f"{text} {addition}"
            yield Case(_post(text), _post(joined))


class Pair(_Value):
    """A post, and another in which the probability of `axis` is to be lower."""

    plain: Text
    changed: Text
    axis: Route


class Paired(_Capability):
    """Pairs written out."""

    way: Literal["pairs"]
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)]

    def cases(self, texts: dict[str, tuple[str, ...]]) -> Iterator[Case]:  # noqa: ARG002 (the form of all capabilities)
        """The cases."""
        return (Case(_post(pair.plain), _post(pair.changed), pair.axis) for pair in self.pairs)


class Authored(_Capability):
    """Each text of an unknown author against the same of each author."""

    way: Literal["authors"]
    texts: str
    authors: Annotated[tuple[Author, ...], Field(min_length=1)]

    def cases(self, texts: dict[str, tuple[str, ...]]) -> Iterator[Case]:
        """The cases, from the lists of `texts` by name."""
        return (Case(_post(text), _post(text, author)) for text, author in product(texts[self.texts], self.authors))


Capability = Annotated[Rewritten | Filled | Added | Paired | Authored, Field(discriminator="way")]


class CasesFile(_Value):
    """The whole file: lists of texts by name, and the capabilities that use them."""

    texts: dict[str, tuple[Text, ...]] = {}
    capability: Annotated[tuple[Capability, ...], Field(min_length=1)]


def read_cases(path: Path = DEFAULT_CASES) -> CasesFile:
    """The behaviour cases in a TOML file.

    Raises:
        CasesError: when it cannot be read, is not TOML, a field does not fit, or a list of texts is not there.
    """
    try:
        file = CasesFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        got = error.strerror or "nothing"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        got = f"it is not TOML in UTF-8: {error}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        got = f"{'.'.join(map(str, first['loc']))} is {first['input']!r:.60}, {first['msg']}"
    else:
        named = {each.texts for each in file.capability if isinstance(each, Rewritten | Added | Authored)}
        missing = sorted(named - file.texts.keys())
        if not missing:
            return file
        got = f"a capability takes its texts from {missing[0]!r}, which is not in [texts]: {sorted(file.texts)}"
    raise CasesError(f"The behaviour cases {path} cannot be used: {got}. Compare it with {DEFAULT_CASES}.")
