"""JSON lines on stderr: what happened, never what a post said and never a stack trace.

Our own loggers stand under `signalbox` and hand the fields of an event over as `extra={"fields": {...}}`; they are
listed in docs/operations.md. Of foreign loggers (uvicorn, asyncio) only the first line is kept. Of an exception only
its type and the place in our code it came through are said, and it is never handed to a handler: its text may quote a
post.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

OWN = "signalbox"
_OUR_FOLDERS = ("data.", "models.", "serving.")
_MAX_FOREIGN_CHARACTERS = 200


def _place_of(traceback: TracebackType | None) -> str | None:
    """The innermost line of our own code that a traceback passed, as `models.predictor:101`."""
    place = None
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.startswith(_OUR_FOLDERS):
            place = f"{module}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def fault_of(error: BaseException) -> dict[str, str | None]:
    """What may be logged of an exception: its type and the place in our code it came through."""
    return {"error": type(error).__name__, "at": _place_of(error.__traceback__)}


class JsonFormatter(logging.Formatter):
    """One JSON object a record: `time`, `level`, `event`, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        own = record.name.partition(".")[0] == OWN
        message = record.getMessage()
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": message if own else message.partition("\n")[0][:_MAX_FOREIGN_CHARACTERS],
        }
        if not own:
            line["logger"] = record.name
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line.update(fault_of(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=True, default=str)


def configure_logs(level: str, stream: TextIO | None = None) -> None:
    """Nothing; from now on every logger of this process writes JSON lines of that level and above to `stream`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "alembic"):
        # Their information lines repeat what the server says itself; their errors are kept.
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
