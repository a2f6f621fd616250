"""Where MLflow keeps things: which store, the client that asks it, and what its silence is called.

The store is an SQLite file beside the checkout unless `MLFLOW_TRACKING_URI` says otherwise.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from data.dependencies import needs_group
from training.errors import StoreError

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
EXPERIMENT = "signalbox"
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # what a team trains is nobody else's business
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # bars of files would tear those of the training
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where a command's answer goes, and nothing else
    # MLflow asks a silent server 8 times within four minutes, and nothing goes on meanwhile: 3 times in 3 s will do.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""What MLflow does unless the caller's environment says otherwise."""


def tracking_uri(uri: str | None = None) -> str:
    """The store that is meant: `uri`, else `MLFLOW_TRACKING_URI`, else the file beside the checkout."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


def import_mlflow(purpose: str) -> Any:
    """The module `mlflow`, quiet and quick to give up; `purpose` starts the sentence that a person reads without it.

    Raises:
        MissingGroupError: when it is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with needs_group("train", purpose):
        import mlflow
    return mlflow


@contextmanager
def asking(uri: str, what: str) -> Iterator[None]:
    """Nothing; whatever the store says against the block is told as one error. `what` completes "could not be".

    Raises:
        StoreError: when the store at `uri` cannot be reached, or refuses.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        said = str(error).strip().partition("\n")[0]
        raise StoreError(
            f"{what}: the MLflow store {uri} said {said[:300]!r} ({type(error).__name__}). "
            "Wanted: a store that answers. Start it, or name another by MLFLOW_TRACKING_URI."
        ) from error


def refuses(error: Exception) -> bool:
    """True where the store has heard and said no, so that asking again would not help."""
    from mlflow.exceptions import MlflowException

    if not isinstance(error, MlflowException):
        return False
    status = int(error.get_http_status_code())  # type: ignore[no-untyped-call]  # MLflow leaves it untyped
    return 400 <= status < 500  # RFC 9110, section 15.5


def open_store(uri: str, purpose: str) -> Any:
    """The client (`mlflow.MlflowClient`) of a store that has answered once.

    Raises:
        MissingGroupError: when mlflow is not installed.
        StoreError: when the store cannot be reached.
    """
    mlflow = import_mlflow(purpose)
    with asking(uri, f"{purpose} is not possible"):
        mlflow.set_tracking_uri(uri)  # parts of MLflow's own registry ask for it beside what the client was given
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: Any) -> str:
    """The id of our experiment, made where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return str(client.create_experiment(EXPERIMENT))
        except MlflowException:  # somebody else made it in between
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    return str(found.experiment_id)
