"""Guards in front of the routes: who may come in, how much they may bring, how slowly."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from contextlib import nullcontext

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from uslm.serving.local_requests import READING, why_refused
from uslm_app.server.bodies import Bodies, hear_out
from uslm_app.server.errors import ApiError, to_api_error
from uslm_app.server.metrics import Metrics
from uslm_app.server.settings import ServeSettings

OPEN_PATHS = ("/health", "/", "/try.js")
"""What anybody may ask for without a token: a load balancer, and who is to type it on the page."""
UPLOAD_PATH = "/v1/audio/voices"
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
        self._bodies = Bodies(settings)
        self._uploads = asyncio.Semaphore(2)  # a form in work takes its size a few times over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                own = {name.lower() for name, _ in headers}  # a page may need a policy of its own
                message["headers"] = headers + [h for h in SAFETY_HEADERS if h[0] not in own]
            await send(message)

        try:
            await self._answer(scope, receive, send_noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.request(route, status, time.perf_counter() - begin)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket, if its client may come in: with what a request that changes something
        needs."""
        try:
            headers = dict(scope["headers"])
            self._check_site("POST", headers)
            self._check_token(headers.get(b"authorization", b""))
        except ApiError as error:
            await receive()  # its wish to be let in
            await _refuse(error, scope, send)
            return
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if not await self._let_in(scope, receive):
                # Whoever asks this has shown nothing: what they send with it is not waited for.
                await self._app(scope, _replay(b"", receive), send)
                return
            is_upload = scope["path"] == UPLOAD_PATH and scope["method"] == "POST"
            limits = self._settings
            limit = limits.max_upload_bytes if is_upload else limits.max_json_bytes
            async with (
                self._bodies.whole(scope, receive, limit) as body,
                self._uploads if is_upload else nullcontext(),
            ):
                await self._app(scope, _replay(body, receive), send)
        except ApiError as error:
            # The rest of a refused body is not waited for.
            error.headers = {**(error.headers or {}), "Connection": "close"}
            await error.response()(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive) -> bool:
        """Whether it may send something; False where anybody may ask. ApiError if it may not."""
        headers = dict(scope["headers"])
        try:
            self._check_site(scope["method"], headers)
            if scope["path"] in OPEN_PATHS and scope["method"] in READING:
                return False
            self._check_token(headers.get(b"authorization", b""))
        except ApiError:
            await hear_out(receive)
            raise
        return True

    def _check_site(self, method: str, headers: dict[bytes, bytes]) -> None:
        """A page of another site is not let in; with a token, which no page has, nobody is."""
        if self._digest is not None:
            return
        allowed = self._settings.allowed_origins
        if (why := why_refused(method, headers, allowed)) is not None:
            raise ApiError(403, why, code="bad_host" if "Host" in why else "other_site")

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


async def _refuse(error: ApiError, scope: Scope, send: Send) -> None:
    """Answer a WebSocket's handshake with an error, in words where the server can."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    response = error.response()
    start = {"status": response.status_code, "headers": response.raw_headers}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": response.body})


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
