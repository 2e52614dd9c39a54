"""What can be wrong with SIP bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.sip.message import Request


class SipSyntaxError(ValueError):
    """A value (URI, header) does not follow its grammar; the text says what and where."""


class SipParseError(SipSyntaxError):
    """A message cannot be used.

    ``code`` is the status to answer with, ``request`` a request good enough to answer, or
    ``None`` when the bytes must be dropped (responses, and what cannot be answered).
    """

    def __init__(self, what: str, code: int = 400, request: Request | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.code = code
        self.request = request


class FramingError(SipSyntaxError):
    """A stream has lost its message boundaries; the connection has to be closed."""


class SdpSyntaxError(ValueError):
    """An SDP body does not follow RFC 8866; the text names the line."""
