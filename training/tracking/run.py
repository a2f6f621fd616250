"""A run in MLflow: everything that it tells, as it tells it, in one record however often it was cut off.

Training is worth more than its record: once a run has begun, no trouble of the store ends it. What could not be told
waits in the run's directory (`training.tracking.outbox`) and is told later, by the same command or by `tell`.
"""

import json
import logging
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.output import whole_file
from data.progress import Say
from training.errors import StoreError, TrainingError
from training.tracking.outbox import Outbox
from training.tracking.port import DIRECTORY, Tracking, UsedPosts
from training.tracking.store import experiment_id, open_store, tracking_uri
from training.tracking.teller import Teller

RECORD_FILE = "run.json"
RETRY_S = 30.0
"""How long a silent store is left in peace: an attempt takes up to three seconds, an epoch of training many more."""
_TOKEN_TAG = "run_token"  # noqa: S105 (the name of a tag)


@dataclass(frozen=True, slots=True)
class _Record:
    """Which store keeps the run, and the token by which it is found there."""

    store: str
    token: str


def _read_record(home: Path) -> _Record | None:
    try:
        return _Record(**json.loads((home / RECORD_FILE).read_bytes()))
    except FileNotFoundError:
        return None


def _write_record(home: Path, record: _Record) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with whole_file(home / RECORD_FILE) as file:
        json.dump({"store": record.store, "token": record.token}, file)


def _find_run(client: Any, record: _Record) -> Any:
    """The run with the token, `None` where it was never made, or was deleted.

    The token is written before the run is made, so that no run is lost between the two.
    """
    found = client.search_runs([experiment_id(client)], f"tags.{_TOKEN_TAG} = '{record.token}'")
    return found[0] if found else None


class MlflowTracking:
    """Tells MLflow; what cannot be told waits. Made by `MlflowTracker` and `tell`."""

    def __init__(self, teller: Teller, home: Path, say: Say) -> None:
        self._teller, self._home, self._say = teller, home, say
        self.outbox = Outbox(home)
        self._silent_since: float | None = None

    def _tell(self, kind: str, **word: Any) -> None:
        self.outbox.add({"kind": kind, **word})
        if self._silent_since is None or time.monotonic() - self._silent_since >= RETRY_S:
            self.deliver()

    def deliver(self) -> int:
        """How many words were told now."""
        delivery = self.outbox.deliver(self._teller)
        for refusal in delivery.refused:
            self._say(f"MLflow refused what the run told it: {refusal}. It is kept in {self._home}.")
        if delivery.stopped and self._silent_since is None:
            self._say(f"MLflow does not answer ({delivery.stopped}). The run goes on; what it tells is kept.")
        if delivery.stopped or delivery.refused:
            self.outbox.secure()
        self._silent_since = time.monotonic() if delivery.stopped else None
        return delivery.delivered

    def params(self, values: Mapping[str, object]) -> None:
        """Keeps what the run was told."""
        self._tell("params", values={name: str(value) for name, value in values.items()})

    def tags(self, values: Mapping[str, str]) -> None:
        """Keeps what the run is known by."""
        self._tell("tags", values=dict(values))

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Keeps figures, of an epoch where `step` is given."""
        figures = {name: float(value) for name, value in values.items()}
        self._tell("metrics", values=figures, step=step, at_ms=int(time.time() * 1_000))

    def datasets(self, used: Sequence[UsedPosts]) -> None:
        """Keeps which posts were used, as inputs of the run."""
        self._tell("datasets", values=[{name: getattr(each, name) for name in each.__slots__} for each in used])

    def _files(self, path: Path, to: str | None, name: str) -> None:
        self._tell("files", path=str(path.resolve()), to=to, name=name)

    def text(self, text: str, name: str) -> None:
        """Keeps a text as a file of that name."""
        home = self._home / "texts" / name
        home.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
        self._files(home, None, f"text-{name}")

    def figure(self, figure: Any, name: str) -> None:
        """Keeps a Plotly figure as a page that needs no network."""
        home = self._home / "figures" / name
        home.mkdir(parents=True, exist_ok=True)
        figure.write_html(home / f"{name}.html")
        self._files(home, "figures", f"figure-{name}")

    def directory(self, path: Path, name: str) -> None:
        """Keeps all files of a directory under `name`."""
        self._files(path, name, name)

    def end(self, status: str) -> None:
        """Ends the record; says what could not be told, and how it can be."""
        self.outbox.add({"kind": "end", "status": status})
        self.deliver()
        if self.outbox:
            self._say(
                f"{len(self.outbox)} things that this run had to tell MLflow were not told. They are kept in "
                f"{self._home}. When the store answers: python -m training tell {self._home.parent}"
            )


def _begin(client: Any, name: str, record: _Record) -> Any:
    from mlflow.tracking.context.registry import resolve_tags

    found = _find_run(client, record)
    if found is None:
        tags = resolve_tags({_TOKEN_TAG: record.token})
        return client.create_run(experiment_id(client), run_name=name, tags=tags)
    client.update_run(found.info.run_id, status="RUNNING")
    return found


def _end_left(client: Any, home: Path, store: str) -> None:
    """Ends the record of an earlier sitting that nobody goes on with."""
    record = _read_record(home)
    left = _find_run(client, record) if record and record.store == store else None
    if left is not None and left.info.status == "RUNNING":
        client.set_terminated(left.info.run_id, "KILLED")
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _measuring_system(run_id: str, store: str) -> Iterator[None]:
    """Nothing; MLflow's own thread tells load and memory of the machine every ten seconds."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)  # the run says itself when the store is silent
    untyped: Any = SystemMetricsMonitor
    monitor = untyped(run_id, resume_logging=True, tracking_uri=store)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


class MlflowTracker:
    """Tracks runs in one store. After a run `untold` says how many things could not be told."""

    def __init__(self, say: Say, uri: str | None = None) -> None:
        self._say, self._uri = say, uri
        self.untold = 0

    def _open(self, name: str, home: Path, fresh: bool) -> tuple[Teller, str]:
        store = tracking_uri(self._uri)
        try:
            client = open_store(store, "Tracking a run")
        except StoreError as error:
            raise StoreError(f"{error} Or keep nothing: --no-tracking.") from error
        if fresh:
            _end_left(client, home, store)
        record = _read_record(home)
        if record is None or record.store != store:
            record = _Record(store, uuid.uuid4().hex)
            _write_record(home, record)
        return Teller(client, _begin(client, name, record)), store

    @contextmanager
    def __call__(self, name: str, directory: Path, *, fresh: bool) -> Iterator[Tracking]:
        """Tracking of the run in `directory`; its record ends as finished, failed or killed, as the block does.

        Raises:
            MissingGroupError: when mlflow is not installed.
            StoreError: when the store does not answer now; later nothing is raised.
        """
        home = directory / DIRECTORY
        teller, store = self._open(name, home, fresh)
        tracking = MlflowTracking(teller, home, self._say)
        tracking.outbox.drop("end")  # of a sitting that could not say it
        status = "FAILED"
        try:
            with _measuring_system(teller.run_id, store):
                yield tracking
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit):
            status = "KILLED"
            raise
        finally:
            tracking.end(status)
            self.untold = len(tracking.outbox)


def tell(directory: Path, say: Say) -> tuple[str, int]:
    """The id of the run in `directory`, and how many things it was told now that could not be told before.

    Raises:
        TrainingError: when there is no tracked run in `directory`.
        StoreError: when the store does not answer, still; everything is kept.
    """
    home = directory / DIRECTORY
    record = _read_record(home)
    if record is None:
        raise TrainingError(
            f"Nothing can be told of {directory}: there is no {DIRECTORY}/{RECORD_FILE}. Wanted: the directory of a "
            "run that was tracked. Look into runs/."
        )
    client = open_store(record.store, "Telling what was not told")
    run = _find_run(client, record)
    if run is None:
        raise StoreError(
            f"The store {record.store} has no run of {directory} any more. Wanted: its record. Run it anew."
        )
    tracking = MlflowTracking(Teller(client, run), home, say)
    told = tracking.deliver()
    if tracking.outbox:
        raise StoreError(f"{len(tracking.outbox)} things were not told to {record.store}. They are kept in {home}.")
    return str(run.info.run_id), told
