"""The one door to MLflow: params, metrics per epoch, figures and the bundle of a run. Nothing else imports mlflow.

The store is an SQLite file beside the checkout unless `MLFLOW_TRACKING_URI` says otherwise. `Untracked` stands where
nobody wants tracking, so that no caller asks.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from data.dependencies import needs_group

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
EXPERIMENT = "signalbox"


class Tracking(Protocol):
    """What a run tells while it goes."""

    def params(self, values: Mapping[str, object]) -> None:
        """Keeps what the run was told: flat names to values."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Keeps figures, of an epoch where `step` is given."""

    def figure(self, figure: object, name: str) -> None:
        """Keeps a Plotly figure as a page."""

    def directory(self, path: Path, name: str) -> None:
        """Keeps all files of a directory under `name`."""


class Untracked:
    """Keeps nothing."""

    def params(self, values: Mapping[str, object]) -> None:
        """Nothing is kept."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Nothing is kept."""

    def figure(self, figure: object, name: str) -> None:
        """Nothing is kept."""

    def directory(self, path: Path, name: str) -> None:
        """Nothing is kept."""


class MlflowTracking:
    """Keeps everything in the active MLflow run; made by `track`."""

    def __init__(self, mlflow: Any) -> None:
        self._mlflow = mlflow

    def params(self, values: Mapping[str, object]) -> None:
        """Keeps what the run was told."""
        self._mlflow.log_params(dict(values))

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Keeps figures, of an epoch where `step` is given."""
        self._mlflow.log_metrics(dict(values), step=step)

    def figure(self, figure: object, name: str) -> None:
        """Keeps a Plotly figure as a page."""
        self._mlflow.log_figure(figure, f"figures/{name}.html")

    def directory(self, path: Path, name: str) -> None:
        """Keeps all files of a directory under `name`."""
        self._mlflow.log_artifacts(str(path), artifact_path=name)


@contextmanager
def track(name: str, uri: str | None = None) -> Iterator[Tracking]:
    """Tracking into a new MLflow run called `name`, ended as failed where the block raises.

    Raises:
        MissingGroupError: when mlflow is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what a team trains is nobody else's business
    with needs_group("train", "Tracking a run"):
        import mlflow
    mlflow.set_tracking_uri(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=name):
        yield MlflowTracking(mlflow)


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one level of dotted names, the form that MLflow's params take."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat
