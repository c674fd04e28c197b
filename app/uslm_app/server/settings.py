"""Settings of what the server allows, and for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from uslm.serving.local_requests import is_this_machine
from uslm_app.cli.exit_codes import UsageError

MIN_TOKEN_LENGTH = 16
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(:\d{1,5})?")
OPENAI_VOICES = {
    "alloy": "jonas",
    "ash": "hugo",
    "ballad": "theo",
    "cedar": "ben",
    "coral": "clara",
    "echo": "hugo",
    "fable": "theo",
    "marin": "ada",
    "nova": "ada",
    "onyx": "ben",
    "sage": "ines",
    "shimmer": "maya",
    "verse": "jonas",
}
"""OpenAI's names of voices, and the stock voices that answer to them: high ones to high ones, low
ones to low ones. They do not sound like OpenAI's."""


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Limits of one server; the defaults suit a machine on which only one person works."""

    host: str = "127.0.0.1"
    """Address to listen at."""
    port: int = 8000
    """Port to listen at; 0 takes any that is free."""
    wyoming: tuple[str, int] | None = None
    """Address and port at which the Wyoming protocol is answered, too; it knows no token."""
    token: str | None = None
    """What a client has to show (`Authorization: Bearer ...`); None: nothing, on this machine."""
    max_chars: int = 4096
    """Longest text of a request, characters."""
    max_upload_bytes: int = 10 * 2**20
    """Largest upload: a recording and what is said of it."""
    max_json_bytes: int = 128 * 2**10
    """Largest body of any other request."""
    max_recording_seconds: float = 60.0
    """So much of a recording is read; what is after it is not even decoded."""
    max_voices: int = 256
    """Voices in the folder from which on uploads are refused."""
    voice_aliases: Mapping[str, str] = field(default_factory=lambda: dict(OPENAI_VOICES))
    """What clients call voices by, and which voice of here speaks; a kept voice goes before."""
    any_language: bool = False
    """Whether texts are spoken that are in no language of the model's, unless a request says so."""
    strict: bool = False
    """Whether requests with unknown fields are refused, in place of a header that names them."""
    allowed_origins: tuple[str, ...] = ()
    """Sites whose pages may ask, as `https://example.org`."""
    change_voices: bool = True
    """Whether voices can be uploaded and deleted."""
    max_connections: int = 512
    """Open connections; one more is told to come back."""
    header_seconds: float = 10.0
    """A client that takes longer to send its headers is cut off."""
    body_seconds: float = 60.0
    """A client that takes longer to send its body is refused."""
    send_seconds: float = 30.0
    """A client that does not read what it is sent for so long is cut off."""
    idle_seconds: float = 15.0
    """A client of a conversation that sends nothing for so long is cut off."""
    finish_seconds: float = 30.0
    """Time to finish in, once the server is to stop."""

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN_LENGTH:
            raise UsageError(
                f"the token must have {MIN_TOKEN_LENGTH} characters or more, but has "
                f"{len(self.token)}"
            )
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise UsageError("the token must be of printable ASCII characters")
        for origin in self.allowed_origins:
            if not ORIGIN.fullmatch(origin):
                raise UsageError(
                    "an allowed origin must be like https://example.org or http://localhost:3000, "
                    f"but is {origin!r}"
                )
        if self.token is None and not self.is_local:
            raise UsageError(
                f"others can reach {self.host}, so a token is needed: set USLM_API_KEY or give "
                "--token-file; or listen at 127.0.0.1"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_this_machine(self.host)
