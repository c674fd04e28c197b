"""What stands in front of the routes: who may come in, how much they may bring, how slowly."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from uslm_app.server.errors import ApiError, to_api_error
from uslm_app.server.metrics import Metrics
from uslm_app.server.settings import ServeSettings

OPEN_PATHS = ("/health",)
"""What a load balancer asks for without a token."""
UPLOAD_PATH = "/v1/audio/voices"
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
SAFETY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
)


class Guard:
    """Checks each request before any of it is believed, and hands on a body that is whole."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._digest = None if settings.token is None else _digest(settings.token.encode())
        self._uploads = asyncio.Semaphore(2)  # each holds its whole body in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websockets here
        begin, status = time.perf_counter(), 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *SAFETY_HEADERS]
            await send(message)

        try:
            await self._answer(scope, receive, send_noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.request(route, status, time.perf_counter() - begin)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            self._check_host(headers.get(b"host", b""))
            if scope["path"] not in OPEN_PATHS:
                self._check_token(headers.get(b"authorization", b""))
            if scope["path"] == UPLOAD_PATH and scope["method"] == "POST":
                async with self._uploads:
                    body = await self._read(scope, receive, self._settings.max_upload_bytes)
                    await self._app(scope, _replay(body, receive), send)
                return
            body = await self._read(scope, receive, self._settings.max_json_bytes)
        except ApiError as error:
            # The rest of a refused body is not waited for.
            error.headers = {**(error.headers or {}), "Connection": "close"}
            await error.response()(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _check_host(self, host: bytes) -> None:
        """A page of another site, whose name was made to point here, is not let in."""
        if self._digest is not None:
            return
        name, _, port = host.decode("latin-1").rpartition(":")
        if (name if port.isdigit() else host.decode("latin-1")).lower() not in LOCAL_NAMES:
            raise ApiError(403, "the Host header must name this machine", code="bad_host")

    def _check_token(self, authorization: bytes) -> None:
        if self._digest is None:
            return
        scheme, _, token = authorization.partition(b" ")
        # Digests are of one length, and are compared in a time that tells nothing.
        is_right = hmac.compare_digest(_digest(token.strip()), self._digest)
        if scheme.lower() != b"bearer" or not is_right:
            challenge = {"WWW-Authenticate": "Bearer"}
            message = "a valid token is needed: Authorization: Bearer TOKEN"
            raise ApiError(401, message, code="invalid_api_key", headers=challenge)

    async def _read(self, scope: Scope, receive: Receive, limit: int) -> bytes:
        """The whole body. Raises ApiError if it is too large or comes too slowly."""
        too_large = ApiError(
            413, f"the request must have at most {limit:,} bytes", code="request_too_large"
        )
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise too_large
        body, is_whole = bytearray(), False
        try:
            with anyio.fail_after(self._settings.body_seconds):
                while not is_whole:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(499, "the client has left", code="cancelled")
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise too_large
                    is_whole = not message.get("more_body", False)
        except TimeoutError:
            seconds = self._settings.body_seconds
            raise ApiError(
                408, f"the request took more than {seconds:g} s to arrive", code="too_slow"
            ) from None
        return bytes(body)


class LastResort:
    """Answers errors that nobody expected; what they say is for the log only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception as error:
            # FastAPI raises again what it has answered, and logged, already.
            if not has_begun and scope["type"] == "http":
                await to_api_error(error).response()(scope, receive, send)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once, whole; then what the connection says: that the client has left."""
    is_told = False

    async def tell() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return tell


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
