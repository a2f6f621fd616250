"""Who reads: from a request to the person behind it, by session, or the reason why nobody is let in.

With a keys file a person signs in with a key of the scope `qa`; every request then asks the file whether it still may.
Without one the server listens on loopback alone: whoever sits there gives a name, and may do everything. Requests that
reached an open server by another name than this machine's are refused, since a page of a stranger could have sent
them through a name that it points here (DNS rebinding).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from serving.auth import KeyEntry, KeyRing, mark_of
from serving.errors import DeadlineError, KeyMissingError, KeyRefusedError
from serving.observer import record_of
from serving.settings import is_loopback, variable
from serving.workbench.sessions import Session, Sessions

QaScope = Literal["qa", "unmask"]
TOKEN_FIELD, TOKEN_HEADER = "csrf", "x-csrf-token"
OPEN_MARK = "open"
MAX_FORM_BYTES = 64 * 1024
"""A form of ours is a few hundred bytes; a post that is labelled is named by its id."""
_MAX_NAME_CHARACTERS = 100
"""As long as a key's name may be."""


class SignInError(Exception):
    """Nobody is signed in, or no longer. `message` says why, where there is more to say than that."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Reader:
    """The person at the browser, and the session's token for forms."""

    name: str
    token: str
    may_unmask: bool
    key: str | None
    """What stands for the key that was typed, `None` where none was asked for."""
    is_open: bool
    """True on a server without a keys file, where nobody proved who they are."""


async def _read(request: Request) -> bytes:
    chunks, size_bytes = [], 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > MAX_FORM_BYTES:
            raise HTTPException(
                413,
                f"The form was not read: it has more than {MAX_FORM_BYTES} bytes, and no form of these pages is so "
                "large. Wanted: one that a page here sent. Load the page again.",
            )
        chunks.append(chunk)
    return b"".join(chunks)


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form as it was sent, each once.

    Raises:
        HTTPException: 413 when it is larger than any of ours.
        DeadlineError: when it does not arrive in time, as with any other request.
    """
    try:
        async with asyncio.timeout_at(record_of(request).deadline_s):
            body = await _read(request)
    except TimeoutError:
        raise DeadlineError(
            "The form was given up: it did not arrive before the deadline. Wanted: all of it within "
            f"{variable('request_timeout_ms')}. Load the page again and send it once more."
        ) from None
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def check_token(request: Request, session: Session | None, form: Mapping[str, str]) -> None:
    """Nothing, where a form comes from a page of this session.

    Raises:
        HTTPException: 403 when it does not.
    """
    sent = request.headers.get(TOKEN_HEADER) or form.get(TOKEN_FIELD, "")
    origin = request.headers.get("origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if session is None or elsewhere or not session.accepts(sent):
        raise HTTPException(
            403,
            "Nothing was changed: the form did not come from a page of this session (it may be older than the "
            "session, or another site sent it). Wanted: one that was loaded since you signed in. Load the page again.",
        )


class Gate:
    """Lets people in, and tells who is."""

    def __init__(self, keys: KeyRing | None, sessions: Sessions) -> None:
        self._keys = keys
        self.sessions = sessions

    @property
    def is_open(self) -> bool:
        """True where there is no keys file."""
        return self._keys is None

    def check_place(self, request: Request) -> None:
        """Nothing, where the request may be asked of this server at all.

        Raises:
            HTTPException: 403 when the server is open and the request came from, or through the name of, elsewhere.
        """
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        client = request.client.host if request.client else ""
        if self._keys is None and not (is_loopback(host) and is_loopback(client)):
            raise HTTPException(
                403,
                f"The workbench was not opened: this server has no keys file, and was asked as {host or 'nobody'!r}. "
                f"Wanted: this machine itself, as 127.0.0.1 or localhost. Ask it there, or set "
                f"{variable('api_keys_file')}.",
            )

    def sign_in(self, given: str) -> Session:
        """A new session for the key, or on an open server for the name, that was typed.

        Raises:
            SignInError: when it opens nothing here.
        """
        if self._keys is None:
            name = " ".join(given.split())
            if not 0 < len(name) <= _MAX_NAME_CHARACTERS:
                raise SignInError(
                    f"You were not signed in: the name has {len(name)} characters. Wanted: 1 to "
                    f"{_MAX_NAME_CHARACTERS}. It is kept beside the labels you give; type your own."
                )
            return self.sessions.begin(name, OPEN_MARK)
        try:
            entry = self._keys.check(given.strip(), "qa")
        except KeyMissingError:
            raise SignInError(
                "You were not signed in: this key is not in the keys file. Wanted: a key with the scope qa. Type it "
                "again, or ask the operator, who makes one with `python -m serving hash-key --scope qa`."
            ) from None
        except KeyRefusedError as error:
            raise SignInError(error.detail) from None
        return self.sessions.begin(entry.name, mark_of(entry))

    def _entry(self, keys: KeyRing, session: Session) -> KeyEntry:
        try:
            return keys.holder(session.name, session.mark, "qa")
        except (KeyMissingError, KeyRefusedError) as error:
            raise SignInError(error.detail) from None

    def reader(self, session: Session | None) -> Reader:
        """Who a session belongs to, by the keys file as it is now.

        Raises:
            SignInError: when it belongs to nobody who may be here.
        """
        if session is None or not session.name:
            raise SignInError
        if self._keys is None:
            if session.mark != OPEN_MARK:
                raise SignInError
            return Reader(session.name, session.token, may_unmask=True, key=None, is_open=True)
        entry = self._entry(self._keys, session)
        return Reader(entry.name, session.token, may_unmask="unmask" in entry.scopes, key=session.mark, is_open=False)
