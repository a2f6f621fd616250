"""Files that pages hand out. Owns that a browser saves them, and that Excel reads a table as UTF-8."""

import csv
import io
from collections.abc import Iterable, Sequence

from starlette.responses import Response

_BYTE_ORDER_MARK = "\ufeff"
"""By it Excel knows that the file is UTF-8."""


def as_file(content: str, name: str, media_type: str) -> Response:
    """The answer that a browser saves under a name."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content.encode(), media_type=media_type, headers=headers)


def as_csv(rows: Iterable[Sequence[object]], name: str) -> Response:
    """The same for a table; who makes the rows guards their cells (`data.spreadsheet`)."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return as_file(_BYTE_ORDER_MARK + out.getvalue(), name, "text/csv; charset=utf-8")
