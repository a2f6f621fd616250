"""The two ways in which a database fails. Owns the line between waiting and giving one entry up."""


class JournalError(Exception):
    """A fault of the journal. `code` is the database's own word for it, safe to log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class StoreDownError(JournalError):
    """The database cannot do it now: it is gone, full, locked or not to be reached. Later it may."""


class NotBegunError(StoreDownError):
    """There is no file of SQLite yet, and none was seen: the journal's own thread makes it, or says why it cannot."""

    def __init__(self) -> None:
        super().__init__("not_begun")


class EntryRefusedError(JournalError):
    """The database will never take an entry as it is; the others must not wait for it."""
