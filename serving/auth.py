"""Who may ask: API keys kept as hashes in a file, which is read again when it has changed.

A key is 32 random bytes, so its SHA-256 cannot be turned back and needs no salt and no slow hash. Comparison takes
the same time whichever entry fits, or none.
"""

import hashlib
import hmac
import json
import logging
import secrets
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Literal, Self

from fastapi import Request
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from serving.errors import KeyMissingError, KeyRefusedError
from serving.metrics import Metrics
from serving.settings import MAX_POSTS_PER_MINUTE, SettingsError

Scope = Literal["predict", "feedback", "model", "metrics", "admin", "qa", "unmask"]
LOG = logging.getLogger("signalbox.keys")
LOOK_EVERY_S = 1.0
"""How often the keys file is looked at while requests come: a withdrawn key works for a second at most."""
_KEY_PREFIX = "sbx_"
_KEY_BYTES = 32
BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="`Authorization: Bearer KEY`")
HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="header", description="`X-API-Key: KEY`")


class KeyEntry(BaseModel):
    """One key of the file: who has it, its hash, what it may do and until when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = ("predict",)
    expires_at: AwareDatetime | None = None
    posts_per_minute: Annotated[int | None, Field(ge=0, le=MAX_POSTS_PER_MINUTE)] = None
    """0 is no limit, `None` the one of the settings."""


class KeysFile(BaseModel):
    """The whole file. Names and hashes are unique."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: Annotated[tuple[KeyEntry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        for what in ("name", "sha256"):
            values = [getattr(entry, what) for entry in self.keys]
            if len(set(values)) < len(values):
                raise ValueError(f"every {what} may stand there only once")
        return self


def hash_key(key: str) -> str:
    """The SHA-256 of a key in hexadecimal, as the file keeps it."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def mark_of(entry: KeyEntry) -> str:
    """What a session keeps to know an entry again: a hash of the hash, from which neither key nor entry can be had."""
    return hashlib.sha256(f"session {entry.sha256}".encode()).hexdigest()


def new_key() -> str:
    """A new key of 32 random bytes."""
    return _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)


class Keys:
    """The known keys. `now` is the clock by which they expire."""

    def __init__(self, entries: tuple[KeyEntry, ...], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._entries = entries
        self._now = now

    def check(self, key: str | None, scope: Scope) -> KeyEntry:
        """The entry of a key that may do `scope` now.

        Raises:
            KeyMissingError: when there is no key, or no such key.
            KeyRefusedError: when it has expired, or lacks the scope.
        """
        digest = hash_key(key or "")
        found = None
        for entry in self._entries:
            if hmac.compare_digest(entry.sha256, digest):
                found = entry
        if key is None or found is None:
            got = "no key" if key is None else "a key that is not in the keys file"
            raise KeyMissingError(
                f"The request was not read: it has {got}. Wanted: a key with the scope {scope}. "
                "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`; the operator makes keys with "
                "`python -m serving hash-key`."
            )
        return self._let(found, scope)

    def holder(self, name: str, mark: str, scope: Scope) -> KeyEntry:
        """The entry by which somebody signed in under that name, if it stands there still and may do `scope` now.

        Raises:
            KeyMissingError: when it does not, or another key has its name by now (`mark_of`).
            KeyRefusedError: when it has expired, or lacks the scope.
        """
        for entry in self._entries:
            if entry.name == name and hmac.compare_digest(mark_of(entry), mark):
                return self._let(entry, scope)
        raise KeyMissingError(
            f"The request was not read: the key of {name!r} has been withdrawn since you signed in. Wanted: a key with "
            f"the scope {scope} that stands in the keys file. Sign in with another one."
        )

    def _let(self, found: KeyEntry, scope: Scope) -> KeyEntry:
        if found.expires_at is not None and self._now() >= found.expires_at:
            raise KeyRefusedError(
                f"The request was not read: its key {found.name!r} expired at {found.expires_at.isoformat()}. "
                "Wanted: one that is in date. Ask the operator for a new key."
            )
        if scope not in found.scopes:
            raise KeyRefusedError(
                f"The request was not read: its key {found.name!r} has the scopes {', '.join(found.scopes)}. "
                f"Wanted: {scope}. Ask the operator for a key that has it."
            )
        return found


def read_keys(path: Path) -> Keys:
    """The keys of a JSON or TOML file (told by its ending).

    Raises:
        SettingsError: when it cannot be read or is not as it should be.
    """
    try:
        content = path.read_bytes()
        raw = tomllib.loads(content.decode()) if path.suffix == ".toml" else json.loads(content)
        return Keys(KeysFile.model_validate(raw).keys)
    except ValidationError as error:
        first = error.errors()[0]
        place, wanted = ".".join(map(str, first["loc"])) or "the whole file", str(first["msg"])
    except OSError as error:
        place, wanted = "the file", error.strerror or "a file that can be read"
    except ValueError:
        place, wanted = "the whole file", "TOML" if path.suffix == ".toml" else "JSON"
    raise SettingsError(
        f"The keys file {path} cannot be used: {place} is not valid; wanted: {wanted}. "
        "Make an entry with `python -m serving hash-key`; docs/operations.md shows the file."
    )


def _mark_of(path: Path) -> tuple[int, ...] | None:
    """What changes when the file does, whether it was written over, replaced, or taken away."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


class KeyRing:
    """The keys of a file. Looks at it when asked, at most once in `LOOK_EVERY_S`, and reads it when it has changed.

    A changed file that cannot be used leaves the keys as they were; that is logged and shown in the metrics. All of
    this runs on the event loop's thread.

    Raises:
        SettingsError: when the file cannot be used to begin with.
    """

    def __init__(self, path: Path, metrics: Metrics, clock: Callable[[], float] = monotonic) -> None:
        self._path = path
        self._metrics = metrics
        self._clock = clock
        self._mark = _mark_of(path)  # before the reading: what is written during it is seen at the next look
        self._keys = read_keys(path)
        self._look_at_s = clock() + LOOK_EVERY_S

    def _look(self) -> None:
        now_s = self._clock()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + LOOK_EVERY_S
        mark = _mark_of(self._path)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._keys = read_keys(self._path)
        except SettingsError as error:
            LOG.error("keys_refused", extra={"fields": {"problem": str(error)}})
            self._metrics.observe_keys_file(usable=False)
        else:
            LOG.info("keys_read")
            self._metrics.observe_keys_file(usable=True)

    def check(self, key: str | None, scope: Scope) -> KeyEntry:
        """The entry of a key that may do `scope` now, by the file as it is now.

        Raises:
            KeyMissingError: when there is no key, or no such key.
            KeyRefusedError: when it has expired, or lacks the scope.
        """
        self._look()
        return self._keys.check(key, scope)

    def holder(self, name: str, mark: str, scope: Scope) -> KeyEntry:
        """The entry by which somebody signed in earlier, by the file as it is now (`Keys.holder`).

        Raises:
            KeyMissingError: when it no longer stands there.
            KeyRefusedError: when it has expired, or lacks the scope.
        """
        self._look()
        return self._keys.holder(name, mark, scope)


def sent_key(request: Request) -> str | None:
    """The key of a request, from `Authorization: Bearer` or `X-API-Key`; `None` where it has neither."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key") or None
