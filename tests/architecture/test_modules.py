"""What a reviewer would otherwise look for in every file: names, docstrings, lengths, and what no module may do."""

import ast
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("data", "models", "evaluation", "training", "serving")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NOT_A_NOUN_OF_THE_DOMAIN = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}
MAX_LINES = 400
"""The design's section 7: above it, the docstring says why."""
PICKLES = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}

every_module = pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def pickling(tree: ast.AST) -> list[str]:
    """Where code could read or write a pickle: an import, or a call that unpickles unless it is told not to."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [f"import {alias.name}" for alias in node.names if alias.name.partition(".")[0] in PICKLES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLES:
            found.append(f"from {node.module} import")
        elif isinstance(node, ast.Call):
            told = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if ast.unparse(node.func) == "torch.load" and told.get("weights_only") != "True":
                found.append("torch.load without weights_only=True")
            if told.get("allow_pickle") == "True":
                found.append(f"{ast.unparse(node.func)} with allow_pickle=True")
    return found


@every_module
def test_a_module_is_named_by_a_noun_of_the_domain(path: Path) -> None:
    assert not {*path.relative_to(ROOT).with_suffix("").parts} & NOT_A_NOUN_OF_THE_DOMAIN


@every_module
def test_a_module_says_what_it_owns(path: Path) -> None:
    docstring = ast.get_docstring(tree_of(path)) or ""
    assert len(docstring.split()) >= 5, "a docstring that says what the module owns"


@every_module
def test_a_long_module_says_why(path: Path) -> None:
    docstring = ast.get_docstring(tree_of(path)) or ""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES or "lines" in docstring


@every_module
def test_no_module_can_read_or_write_a_pickle(path: Path) -> None:
    assert pickling(tree_of(path)) == []


@every_module
def test_no_module_guards_its_input_by_an_assertion(path: Path) -> None:
    assert not [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "def f():\n    from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_a_pickle_is_seen_wherever_it_hides(code: str) -> None:
    assert pickling(ast.parse(code))


def test_a_state_read_as_weights_alone_is_no_pickle() -> None:
    assert not pickling(ast.parse("torch.load(path, weights_only=True)"))


@pytest.mark.parametrize("name", [*PACKAGES, "tests"])
def test_no_installed_distribution_ships_one_of_our_names(name: str) -> None:
    assert packages_distributions().get(name) is None
    spec = find_spec(name)
    assert spec is not None
    # The root may stand on the path twice (`python -m pytest`): the same place named again is no other place.
    assert {Path(place) for place in spec.submodule_search_locations or ()} == {ROOT / name}


def test_tests_are_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
