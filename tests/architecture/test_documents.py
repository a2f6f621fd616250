"""What the documents promise exists: every make target, every command, and one line in the README for every file."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "models", "evaluation", "training", "serving")
README = ROOT / "README.md"
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "training").glob("*.md"))
    if path.name != "LICENSE"
)
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M))

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
"""Code in a document stands between backticks or in a fenced block; prose may say "make sure"."""


def code_of(path: Path) -> list[str]:
    """The lines of code in a document: those of fenced blocks, and what stands between single backticks."""
    text = path.read_text(encoding="utf-8")
    fenced = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.M | re.S)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [*"\n".join(fenced).splitlines(), *re.findall(r"`([^`\n]+)`", prose)]


@cache
def verbs_of(package: str) -> set[str]:
    """The verbs that `python -m PACKAGE --help` lists; empty for a package without commands."""
    done = subprocess.run(
        [sys.executable, "-m", package, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return set(re.findall(r"^ {2,}([a-z][a-z0-9-]*)\b", done.stdout, re.M)) if done.returncode == 0 else set()


@every_document
def test_every_make_target_in_a_document_exists(path: Path) -> None:
    named = {target for line in code_of(path) for target in re.findall(r"^\$? ?make ([a-z]+)", line)}
    assert named <= TARGETS


@every_document
def test_every_command_in_a_document_exists(path: Path) -> None:
    for line in code_of(path):
        for package, verb in re.findall(
            r"python -m (data|models|evaluation|training|serving)\b ?([a-z][a-z0-9-]*)?", line
        ):
            assert verbs_of(package), f"python -m {package} has no commands"
            assert not verb or verb in verbs_of(package), f"python -m {package} has no verb {verb}"


@every_document
def test_every_file_that_a_document_links_to_exists(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (path.parent / link).exists()]


def tree_of(readme: str) -> dict[str, str]:
    """Paths and descriptions of the tree in the README: the fenced block under `<!-- tree -->`, two spaces a level.

    A directory ends in `/`; one without lines below it stands for all that it holds.
    """
    (block,) = re.findall(r"<!-- tree -->\n```[a-z]*\n(.*?)^```", readme, re.M | re.S)
    parents: list[str] = []
    lines: dict[str, str] = {}
    for line in block.splitlines():
        name, _, description = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        path = "".join(parents)
        assert path not in lines, f"{path} stands in the tree twice"
        lines[path] = description.strip()
    return lines


def listed(files: set[str], tree: dict[str, str]) -> tuple[set[str], set[str]]:
    """The files that the tree lacks, and the lines of the tree that name nothing."""
    whole = {
        line
        for line in tree
        if line.endswith("/") and not any(other != line and other.startswith(line) for other in tree)
    }
    missing = {file for file in files if file not in tree and not any(file.startswith(top) for top in whole)}
    stale = {line for line in tree if not (line in files or any(file.startswith(line) for file in files))}
    return missing, stale


TREE = """<!-- tree -->
```
data/            what a post is
  post.py        the schema
  corpus/        the posts
models/          what a model is
  policy.py      the decision
```
"""


def test_a_file_without_a_line_and_a_line_without_a_file_are_seen() -> None:
    files = {"data/post.py", "data/corpus/a.jsonl", "models/policy.py"}
    assert listed(files, tree_of(TREE)) == (set(), set())
    assert listed(files | {"data/new.py"}, tree_of(TREE)) == ({"data/new.py"}, set())
    assert listed(files - {"models/policy.py"}, tree_of(TREE)) == (set(), {"models/policy.py", "models/"})


@pytest.mark.skipif(not README.exists(), reason="there is no README yet")
def test_the_readme_has_one_line_for_every_file_of_the_five_folders() -> None:
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.name != "__init__.py"
        # What a promotion keeps beside the champion, earlier bundles and its lock, has a dot before its name.
        and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    }
    tree = tree_of(README.read_text(encoding="utf-8"))
    ours = {line: text for line, text in tree.items() if line.startswith(tuple(f"{name}/" for name in PACKAGES))}
    assert listed(files, ours) == (set(), set())
    assert not [line for line, text in tree.items() if not text], "every line says what the file is"
