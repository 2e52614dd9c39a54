"""Messages out of a byte stream (RFC 3261 §18.3) and keep-alives (RFC 5626 §3.5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.sip.errors import FramingError, SipParseError
from gateway.sip.message import Message
from gateway.sip.parser import MAX_HEADER_BYTES, content_length, parse_head, with_body


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A double CRLF between messages: to be answered with one CRLF."""


class StreamFramer:
    """Feed it what arrives; it holds at most one unfinished message of ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._head: Message | None = None
        self._body_length = 0

    def feed(self, data: bytes) -> Iterator[Message | KeepAlive | SipParseError]:
        """The messages that are complete now, one after the other.

        A message with a known length that is wrong otherwise comes as the ``SipParseError``
        it raised, and the stream goes on.  ``FramingError``, after the messages before it, when
        it cannot.
        """
        self._buffer += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Message | KeepAlive | SipParseError | None:
        if self._head is None:
            if self._buffer[:4] == b"\r\n\r\n":
                del self._buffer[:4]
                return KeepAlive()
            if self._buffer[:2] == b"\r\n" and len(self._buffer) > 2 and self._buffer[2] != 13:
                del self._buffer[:2]
            if self._buffer[:1] == b"\r" and len(self._buffer) < 4:
                return None
            end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
            if end < 0:
                self._searched = len(self._buffer)
                if len(self._buffer) > MAX_HEADER_BYTES:
                    raise FramingError(f"no end of headers within {MAX_HEADER_BYTES} bytes")
                return None
            head = bytes(self._buffer[:end])
            del self._buffer[: end + 4]
            self._searched = 0
            return self._began(head)
        return self._finish(self._head)

    def _began(self, head: bytes) -> Message | SipParseError | KeepAlive | None:
        try:
            message = parse_head(head.lstrip(b"\r\n"))
            length = content_length(message)
        except SipParseError as e:
            return self._skip(e)
        if length is None:
            raise FramingError("no Content-Length on a stream (RFC 3261 §18.3)")
        if length > self._max:
            raise FramingError(f"a body of {length} bytes; {self._max} are allowed")
        self._head, self._body_length = message, length
        return self._finish(message)

    def _skip(self, error: SipParseError) -> SipParseError:
        """Only a broken message without a body leaves the stream where it was."""
        request = error.request
        if request is None:
            raise FramingError(error.what) from None
        try:
            length = request.number("Content-Length")
        except ValueError:
            length = None
        if length != 0:
            raise FramingError(error.what) from None
        return error

    def _finish(self, message: Message) -> Message | None:
        if len(self._buffer) < self._body_length:
            return None
        body = bytes(self._buffer[: self._body_length])
        del self._buffer[: self._body_length]
        self._head = None
        return with_body(message, body)
