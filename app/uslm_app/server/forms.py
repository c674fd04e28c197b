"""A form with a file in it (multipart/form-data, RFC 7578), read from memory into memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from uslm_app.server.errors import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 16
MAX_HEADER_BYTES = 4096


@dataclass
class Part:
    """A field, or a file."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)
    name: str = ""
    is_file: bool = False

    def text(self) -> str:
        """The content of a field. Raises ApiError unless it is UTF-8."""
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError:
            raise _refused(f"{self.name!r} must be UTF-8") from None


def read_form(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form, in order. Raises ApiError if it is none, or is not whole."""
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        raise ApiError(415, "what is sent here is multipart/form-data", code="not_multipart")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 200:
        raise _refused("it has no boundary of 1 to 200 characters")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise _refused("it is malformed") from None
    if not reader.is_whole:
        raise _refused("it breaks off")
    return reader.parts


class _Reader:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.is_whole = False
        self._name, self._value = bytearray(), bytearray()
        self._header_bytes = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._header(self._name, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(self._value, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": lambda data, start, end: self.parts[-1].content.extend(data[start:end]),
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise _refused(f"it has more than {MAX_PARTS} parts")
        self.parts.append(Part())
        self._header_bytes = 0

    def _header(self, text: bytearray, more: bytes) -> None:
        self._header_bytes += len(more)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _refused(f"a part has more than {MAX_HEADER_BYTES:,} bytes of headers")
        text.extend(more)

    def _end_header(self) -> None:
        self.parts[-1].headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _end_headers(self) -> None:
        part = self.parts[-1]
        _, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise _refused("a part has no name")
        part.name = options[b"name"].decode("utf-8", "replace")[:64]
        part.is_file = b"filename" in options

    def _end(self) -> None:
        self.is_whole = True


def _refused(why: str) -> ApiError:
    return ApiError(400, f"the form cannot be read: {why}", code="bad_form")
