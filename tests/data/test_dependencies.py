"""A missing dependency group is answered with the command that installs it."""

import sys
from pathlib import Path

import pytest

from data.dependencies import MissingGroupError, needs_group
from data.duplicates import near_duplicates
from data.grouping import group
from data.progress import progress_bar
from data.sources import read_labelled
from tests.data.strategies import labelled


def test_the_answer_says_what_is_missing_and_what_to_type() -> None:
    with pytest.raises(MissingGroupError) as missing, needs_group("evaluate", "Reading Parquet"):
        import no_such_library_anywhere  # type: ignore[import-not-found]  # noqa: F401  # that it is missing is the test
    assert str(missing.value) == (
        "Reading Parquet needs `no_such_library_anywhere`, which is not installed here. It belongs to the group "
        "`evaluate`. Install it: pip install --group evaluate -c constraints.txt"
    )


def test_a_mistake_in_our_own_imports_is_not_taken_for_a_missing_group() -> None:
    with pytest.raises(ModuleNotFoundError) as missing, needs_group("evaluate", "Reading"):
        import data.no_such_module  # type: ignore[import-not-found]  # noqa: F401  # that it is missing is the test
    assert not isinstance(missing.value, MissingGroupError)


def test_what_is_installed_is_let_through() -> None:
    with needs_group("serve", "Reading posts"):
        import pydantic
    assert pydantic.VERSION


@pytest.mark.parametrize(
    ("library", "group_name", "use"),
    [
        ("pyarrow", "evaluate", lambda path: read_labelled(path / "posts.parquet")),
        ("datasets", "train", lambda _: read_labelled("hf:anything")),
        ("datasketch", "evaluate", lambda _: near_duplicates(["a", "b"])),
        ("scipy.cluster.hierarchy", "evaluate", lambda _: group([labelled("a", "hi")])),
        ("tqdm", "evaluate", lambda _: progress_bar([1], "reading")),
    ],
)
def test_every_lazy_import_names_its_group(
    library: str, group_name: str, use: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "posts.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, library, None)
    assert callable(use)
    with pytest.raises(MissingGroupError, match=f"pip install --group {group_name} -c constraints.txt"):
        use(tmp_path)
