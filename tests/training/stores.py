"""Stores of MLflow for tests: a database file of their own, with the files beside it."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import SADeprecationWarning

quietly = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),  # between MLflow and its database
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),  # MLflow on its own code
    pytest.mark.filterwarnings("ignore:Operation with range:DeprecationWarning"),  # between MLflow and pandas
]
"""Leaves out the warnings that MLflow gives to itself, in the tests of a module."""


@contextmanager
def own_store(directory: Path, empty: Path | None = None) -> Iterator[str]:
    """The URI of a store in `directory`, which `MLFLOW_TRACKING_URI` names for as long as the block lasts.

    A copy of the database `empty` saves the second that it takes to make one.
    """
    database = directory / "mlflow.db"
    if empty:
        shutil.copyfile(empty, database)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.filterwarnings("ignore", category=SADeprecationWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="mlflow")
        warnings.filterwarnings("ignore", "Operation with range", category=DeprecationWarning)
        patch.chdir(directory)  # where MLflow puts what it keeps beside its store
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
        yield f"sqlite:///{database}"
