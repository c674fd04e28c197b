"""State of the server: models, health, metrics, and a page about the routes."""

from __future__ import annotations

import html
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from starlette.responses import HTMLResponse, Response

from uslm_app.server.errors import json_response
from uslm_app.server.metrics import CONTENT_TYPE
from uslm_app.server.schemas import ErrorBody, Health, Model, ModelList
from uslm_app.server.service import Service

Name = Annotated[str, Path(max_length=256)]

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
       color-scheme: light dark }}
code {{ font-size: 0.95em }} dt {{ font-weight: 600 }} dd {{ margin: 0 0 0.4rem 1.5rem }}
</style></head><body><h1>{title}</h1>
<p>The whole description is at <a href="openapi.json"><code>openapi.json</code></a>.</p>
{routes}</body></html>
"""


def status_router(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["server"])

    def model() -> Model:
        return Model(id=service.model_name, created=service.started, owned_by="uslm")

    @router.get("/v1/models")
    async def list_models() -> ModelList:
        """The models: there is one."""
        return ModelList(data=[model()])

    @router.get("/v1/models/{name}", responses={404: {"model": ErrorBody}})
    async def show_model(name: Name) -> Model:
        """One model."""
        service.check_model(name)
        return model()

    @router.get("/health", responses={503: {"model": Health}})
    async def show_health() -> Response:
        """200 while requests are taken; needs no token."""
        if service.engine.is_open:
            return json_response({"status": "ok"})
        status = "failed" if service.engine.has_failed else "shutting_down"
        return json_response({"status": status}, 503)

    @router.get("/metrics")
    async def show_metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    @router.get("/docs", include_in_schema=False)
    async def show_docs(request: Request) -> HTMLResponse:
        """The routes, on a page that needs no script and nothing from elsewhere."""
        app: FastAPI = request.app
        return HTMLResponse(docs_page(app.openapi()))

    return router


def docs_page(schema: dict[str, Any]) -> str:
    """OpenAPI's description as HTML."""
    parts = []
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>")
            parts.append(f"<p>{html.escape(route.get('description', ''))}</p>")
            parts.append("<dl>")
            for name, field in _fields(route, schema):
                about = field.get("description", "")
                parts.append(
                    f"<dt><code>{html.escape(name)}</code> {html.escape(_kind(field))}</dt>"
                )
                parts.append(f"<dd>{html.escape(about)}</dd>")
            parts.append("</dl>")
    return PAGE.format(title=html.escape(schema["info"]["title"]), routes="\n".join(parts))


def _fields(route: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Parameters and fields of the body."""
    found = [
        (each["name"], each["schema"] | {"description": each.get("description", "")})
        for each in route.get("parameters", ())
    ]
    for content in route.get("requestBody", {}).get("content", {}).values():
        body = content["schema"]
        if reference := body.get("$ref"):
            body = schema["components"]["schemas"][reference.rpartition("/")[2]]
        found += body.get("properties", {}).items()
    return found


def _kind(field: dict[str, Any]) -> str:
    """A field's type in a word or two."""
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " | ".join(_kind(each) for each in field["anyOf"] if each.get("type") != "null")
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    return str(field.get("type", ""))
