"""How a page is made: templates, the headers that hold it to this server, and the addresses of its files.

Every value is escaped by jinja2. No page has a script or a style of its own: all stand in files, so the content
security policy allows nothing inline. A file's address carries its hash, so a browser may keep it for good.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.wire import BrakeAnswer
from serving.workbench.access import Reader

_HERE = Path(__file__).parent
STATIC, TEMPLATES = _HERE / "static", _HERE / "templates"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",  # pages show posts
}
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOR_GOOD = "public, max-age=31536000, immutable"


class Place(NamedTuple):
    """A page that stands in the navigation, and the key that goes there after `g`."""

    path: str
    name: str
    key: str
    about: str


class Shielded:
    """Middleware that gives every answer the headers above, unless it says otherwise itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}
                own = ((name.encode(), value.encode()) for name, value in HEADERS.items())
                message["headers"] = [*message["headers"], *(each for each in own if each[0] not in said)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _percent(share: float | None, places: int = 1) -> str:
    return "-" if share is None else f"{100 * share:.{places}f} %"


class Pages:
    """Fills templates for people. `places` are the pages of the navigation; on top of each stands how the crisis brake
    does, and the `notice`.
    """

    def __init__(
        self, places: Iterable[Place], ask_brake: Callable[[], BrakeAnswer | None], notice: str | None = None
    ) -> None:
        self.places = tuple(places)
        self._files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in _MEDIA_TYPES}
        self._marks = {name: hashlib.sha256(file).hexdigest()[:12] for name, file in self._files.items()}
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.filters["percent"] = _percent
        self._templates.globals |= {"places": self.places, "asset": self._address, "notice": notice}
        self._templates.globals["ask_brake"] = ask_brake

    def _address(self, name: str) -> str:
        return f"/qa/static/{name}?{self._marks[name]}"

    def parts(self, template: str, **values: Any) -> dict[str, Markup]:
        """Every block of a template by its name, each filled by itself."""
        loaded = self._templates.get_template(template)
        context = loaded.new_context(values)
        return {name: Markup("".join(block(context))) for name, block in loaded.blocks.items()}  # noqa: S704 - escaped

    def show(
        self,
        request: Request,
        template: str,
        reader: Reader | None = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """The page of a template, for `reader` where somebody is signed in."""
        filled = self._templates.get_template(template).render(path=request.url.path, reader=reader, **values)
        return HTMLResponse(filled, status_code=status, headers=dict(headers or {}))

    async def static(self, request: Request) -> Response:
        """A file that pages load: style, script, htmx."""
        name = request.path_params["name"]
        file = self._files.get(name)
        if file is None:
            return Response(status_code=404)
        keep = _FOR_GOOD if request.url.query == self._marks[name] else "no-cache"
        return Response(file, media_type=_MEDIA_TYPES[Path(name).suffix], headers={"cache-control": keep})
