"""The two pages that people see: one to try the server by hand, one to read the interface.

Neither needs a network beyond this server, and a content security policy holds them to that: no script or style runs
but what stands in the page or in the files shipped with it.
"""

import base64
import hashlib
import re
from importlib.resources import files
from typing import NamedTuple

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response

_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.S)
_STYLE = re.compile(rb"<style>(.*?)</style>", re.S)
_NO_ICON = "data:,"


class Asset(NamedTuple):
    """A file of Swagger UI that the reading page loads."""

    file: str
    media_type: str


ASSETS = {
    "/docs/swagger-ui.css": Asset("swagger-ui.css", "text/css"),
    "/docs/swagger-ui-bundle.js": Asset("swagger-ui-bundle.js", "text/javascript"),
}
"""Where they are served, and which file of the package `fastapi_offline` that is (`docs/decisions/0010`)."""


def _hashes(expression: re.Pattern[bytes], page: bytes) -> str:
    digests = (base64.b64encode(hashlib.sha256(part).digest()).decode() for part in expression.findall(page))
    return " ".join(f"'sha256-{digest}'" for digest in digests)


def _page(page: bytes, *, scripts: str, styles: str) -> Response:
    """The page with a policy that allows its own inline script and style by their hashes, and nothing foreign."""
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return Response(page, media_type="text/html", headers=headers)


def try_page() -> Response:
    """The page on which one types a post and sees what would be done with it."""
    page = files("serving.pages").joinpath("index.html").read_bytes()
    return _page(page, scripts=_hashes(_SCRIPT, page), styles=_hashes(_STYLE, page))


def docs_page() -> Response:
    """The page on which one reads and tries the interface: Swagger UI from files that are shipped with the server."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Signalbox: the interface",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url=_NO_ICON,
        swagger_ui_parameters={"defaultModelsExpandDepth": 0, "tryItOutEnabled": True},
    ).body
    # Swagger UI sets style attributes as it runs; they can name no address, since every fetch is held to this server.
    return _page(bytes(page), scripts=f"'self' {_hashes(_SCRIPT, bytes(page))}", styles="'self' 'unsafe-inline'")


def asset(path: str) -> Response:
    """One file of Swagger UI."""
    file, media_type = ASSETS[path]
    content = files("fastapi_offline").joinpath("static", file).read_bytes()
    return Response(content, media_type=media_type, headers={"X-Content-Type-Options": "nosniff"})
