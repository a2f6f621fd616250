"""What docs/data.md explains is all there is to explain."""

import re
from pathlib import Path
from typing import get_args

import pytest

from data.checks import Code
from data.post import Author, LabelledPost, Reach
from data.splits import PARTS, SHARES, PartName

DOCS = Path("docs/data.md").read_text(encoding="utf-8")


def named_in(heading: str) -> set[str]:
    """The names in backticks in the first column of the table under a heading."""
    section = DOCS.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (.+?) \|", section, re.M)
    return {name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}


def test_every_field_of_a_labelled_post_is_explained() -> None:
    assert named_in("Fields") == set(LabelledPost.model_fields)


def test_every_column_of_an_inner_field_is_named() -> None:
    columns = {f"author.{name}" for name in Author.model_fields} | {f"reach.{name}" for name in Reach.model_fields}
    assert set(re.findall(r"`((?:author|reach)\.\w+)`", DOCS)) == columns


def test_every_kind_of_finding_is_explained() -> None:
    assert named_in("Check") == set(get_args(Code))


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_explained_with_its_share(name: PartName) -> None:
    assert f"| `{name}` | {SHARES[name]:.2f} |" in DOCS
