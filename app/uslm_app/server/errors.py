"""Whatever goes wrong, in OpenAI's words: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from uslm.serving.utterance import (
    Cancelled,
    EngineClosed,
    EngineError,
    EngineFailed,
    QueueFull,
    TimedOut,
)
from uslm_tokenizer.errors import (
    AudioError,
    GenerationError,
    MissingResource,
    TextError,
    UserError,
    disk_is_full,
)

LOG = logging.getLogger(__name__)


class ApiError(HTTPException):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.param, self.code = param, code

    def body(self) -> dict[str, Any]:
        """Body that the client reads."""
        kind = "server_error" if self.status_code >= 500 else "invalid_request_error"
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status_code, kind)
        return {
            "error": {
                "message": str(self.detail),
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """The answer."""
        return json_response(self.body(), self.status_code, self.headers)


def json_response(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON in ASCII: whatever a client sent, telling it so is never a mistake of its own."""
    return Response(json.dumps(content), status, headers, "application/json")


def to_api_error(error: Exception) -> ApiError:
    """The part of an error that a client may know; all else stays in the log."""
    if isinstance(error, ApiError):
        return error
    if disk_is_full(error):
        LOG.error("the disk is full: %s", error)
        return ApiError(507, "the disk of this server is full", code="disk_full")
    if isinstance(error, QueueFull):
        retry = {"Retry-After": str(max(1, math.ceil(error.retry_seconds)))}
        return ApiError(429, str(error), code="queue_full", headers=retry)
    if isinstance(error, EngineFailed):
        return ApiError(503, "the engine of this server has failed", code="engine_failed")
    if isinstance(error, EngineClosed):
        return ApiError(503, "the server is shutting down", code="shutting_down")
    if isinstance(error, TimedOut):
        return ApiError(504, str(error), code="timeout")
    if isinstance(error, Cancelled):
        return ApiError(499, str(error), code="cancelled")
    if isinstance(error, TextError):
        return ApiError(400, str(error), param="input", code="bad_text")
    if isinstance(error, AudioError):
        return ApiError(400, str(error), param="audio_sample", code="bad_audio")
    if isinstance(error, MissingResource):  # a voice that is not there is an ApiError already
        LOG.error("the model is not whole: %s", error)
        message = "the model of this server lacks what that needs"
        return ApiError(501, message, code="model_incomplete")
    # What the system said of a file of ours, with its path, is not the client's doing.
    if isinstance(error, UserError) and not isinstance(error.__cause__, OSError):
        return ApiError(400, str(error))
    if isinstance(error, GenerationError):
        return ApiError(503, str(error), code="generation_failed")
    LOG.error("internal error: %s", type(error).__name__, exc_info=error)
    return ApiError(500, "internal error", code="internal_error")


def install(app: FastAPI) -> None:
    """Answer every error so."""

    async def answer(request: Request, error: Exception) -> Response:
        return to_api_error(error).response()

    async def answer_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error, ApiError):
            return error.response()
        return ApiError(error.status_code, str(error.detail), headers=error.headers).response()

    async def answer_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(error.errors()).response()

    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    for kind in (UserError, GenerationError, EngineError, Exception):
        app.add_exception_handler(kind, answer)


def invalid(problems: Sequence[Any]) -> ApiError:
    """The first thing that is wrong with a body or a parameter."""
    problem = problems[0]
    where = [str(part) for part in problem["loc"] if part not in ("body", "query", "path")]
    param = where[0] if where and problem["type"] != "json_invalid" else None
    message = f"{param}: {problem['msg']}" if param else f"the request: {problem['msg']}"
    return ApiError(400, message, param=param, code=problem["type"])
