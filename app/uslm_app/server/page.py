"""`/`: a page that speaks, for a person who opens the server's address in a browser."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page runs its own script, asks this server alone, and plays what that answers."""


def page_router() -> APIRouter:
    """The page and its script; neither holds anything that is secret."""
    router = APIRouter(include_in_schema=False)
    assets = files("uslm_app.server") / "assets"

    @router.get("/")
    async def show_page() -> Response:
        """The form."""
        return Response(
            (assets / "try.html").read_text("utf-8"),
            media_type="text/html",
            headers={"Content-Security-Policy": POLICY},
        )

    @router.get("/try.js")
    async def show_script() -> Response:
        """Script of the form."""
        return Response((assets / "try.js").read_text("utf-8"), media_type="text/javascript")

    return router
