"""One run of `python -m training run` from a recipe to a bundle, in this process, and what it left behind."""

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from tests.training.stores import own_store
from training.__main__ import main
from training.recipe import Recipe, recipe_toml


@dataclass(frozen=True, slots=True)
class WholeRun:
    """The files of a run, what it said, and how it ended."""

    directory: Path
    code: int
    answer: str
    told: str

    @property
    def recipe_file(self) -> Path:
        return self.directory / "tiny.toml"

    @property
    def bundle(self) -> Path:
        return self.directory / "bundle"

    @property
    def runs(self) -> Path:
        return self.directory / "runs"

    @property
    def state(self) -> Path:
        """The run's own directory."""
        (state,) = self.runs.iterdir()
        return state

    @property
    def store(self) -> str:
        """Where MLflow keeps the run."""
        return f"sqlite:///{self.directory / 'mlflow.db'}"


def make_whole_run(directory: Path, recipe: Recipe, empty_store: Path) -> WholeRun:
    run = WholeRun(directory, 0, "", "")
    run.recipe_file.write_text(recipe_toml(recipe), encoding="utf-8")
    answer, told = StringIO(), StringIO()
    with (
        own_store(directory, empty_store),
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(answer),
        redirect_stderr(told),
    ):
        patch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "1")  # a run of this size is over before the tenth
        code = main(
            [
                *("run", "--recipe", str(run.recipe_file), "--out", str(run.bundle), "--runs", str(run.runs)),
                *("--measure", f"{recipe.data.posts}:en"),
            ]
        )
    return WholeRun(directory, code, answer.getvalue(), told.getvalue())
