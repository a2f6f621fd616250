"""Sessions of the browser: signed cookies that hold a name, and the token without which nothing is changed.

The secret is made anew with every server, so a restart signs everybody out; nothing is kept on the server. What a
session may do is not in it: every request asks the keys file again (`access`).
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "signalbox-qa"
LASTS_S = 12 * 3_600
"""A working day; after it the key is asked for again."""
_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says. `name` is empty before somebody signed in; `mark` stands for the entry of their key."""

    name: str
    mark: str
    token: str
    """Comes back with every form, so that no other site can send one (CSRF)."""

    def accepts(self, token: str) -> bool:
        """True where a form brought the token of this session."""
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "surrogateescape"))


class Sessions:
    """Writes and reads sessions. `lasts_s` is how long one holds."""

    def __init__(self, lasts_s: int = LASTS_S, secret: Callable[[], str] = secrets.token_urlsafe) -> None:
        self._signer = URLSafeTimedSerializer(secret(), salt=COOKIE)
        self._lasts_s = lasts_s

    def begin(self, name: str = "", mark: str = "") -> Session:
        """A new session with a token of its own."""
        return Session(name, mark, secrets.token_urlsafe(_TOKEN_BYTES))

    def read(self, request: Request) -> Session | None:
        """The session of a request, `None` where it has none, an old one, or one that is not ours."""
        try:
            return Session(**self._signer.loads(request.cookies.get(COOKIE, ""), max_age=self._lasts_s))
        except (BadData, TypeError):
            return None

    def keep(self, request: Request, response: Response, session: Session) -> None:
        """Nothing; the browser gets the session with `response`, for these pages alone and out of reach of scripts."""
        response.set_cookie(
            COOKIE,
            str(self._signer.dumps(asdict(session))),
            max_age=self._lasts_s,
            path="/qa",
            secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto")),
            httponly=True,
            samesite="strict",
        )

    def end(self, response: Response) -> None:
        """Nothing; the browser forgets its session."""
        response.delete_cookie(COOKIE, path="/qa", httponly=True, samesite="strict")
