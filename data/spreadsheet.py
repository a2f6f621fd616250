"""Cells that a spreadsheet leaves as they are. Owns the guard against formulas and against mangled ids.

A guarded cell opens as text in Excel, LibreOffice and Google Sheets, and comes back the same after it was saved there.
"""

import re

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet takes such a cell for a formula (OWASP, "CSV Injection"); the last four are full-width forms."""
_GUARD = "'"
_MANGLED = re.compile(r"0\d+|\d{12,}|\d+(\.\d+)?[eE][+-]?\d+|\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?")
"""Ids that a spreadsheet takes for something else: leading zeros, more than 11 digits, 1E5, dates."""


def guarded(value: object) -> object:
    """The cell for a CSV file: text that would be run as a formula gets an apostrophe before it."""
    return f"{_GUARD}{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def guarded_id(value: str) -> str:
    """An id as a cell: as `guarded`, and also what a spreadsheet would turn into a number or a date."""
    risky = value.startswith((*_FORMULA_STARTS, _GUARD)) or _MANGLED.fullmatch(value)
    return f"{_GUARD}{value}" if risky else value


def unguarded_id(cell: str) -> str:
    """The id that `guarded_id` wrote."""
    return cell.removeprefix(_GUARD)
