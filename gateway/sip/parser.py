"""Bytes to messages (RFC 3261 §7, §25): one whole message, as a datagram carries it."""

from __future__ import annotations

import re
from typing import Final

from gateway.sip.errors import SipParseError, SipSyntaxError
from gateway.sip.headers import TOKEN, canonical
from gateway.sip.message import Headers, Message, Request, Response

MAX_HEADERS: Final = 256
MAX_HEADER_BYTES: Final = 32_768

_STATUS: Final = re.compile(r"SIP/(\d{1,3}\.\d{1,3}) (\d{1,20}) ?(.*)", re.IGNORECASE)
_REQUEST: Final = re.compile(r"([^ \t]+) (.+) SIP/(\d{1,3}\.\d{1,3})([ \t]*)", re.IGNORECASE)
_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_MANDATORY: Final = ("Via", "From", "To", "Call-ID", "CSeq")
_ONCE: Final = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type")


def parse_datagram(data: bytes) -> Message:
    """Read one message that is the whole of ``data``; bytes after its body are dropped.

    Raises ``SipParseError``.
    """
    start = 0
    while data[start : start + 2] == b"\r\n":  # RFC 3261 §7.5
        start += 2
    end = data.find(b"\r\n\r\n", start)
    if end < 0:
        raise SipParseError("no empty line ends the headers")
    message = parse_head(data[start:end])
    body = data[end + 4 :]
    length = content_length(message)
    if length is None:
        length = len(body)
    if length > len(body):
        what = f"Content-Length is {length}, but {len(body)} bytes are there"
        raise SipParseError(what, 400, message if isinstance(message, Request) else None)
    return with_body(message, body[:length])


def with_body(message: Message, body: bytes) -> Message:
    return message.replaced(body=body) if body else message


def content_length(message: Message) -> int | None:
    request = message if isinstance(message, Request) else None
    try:
        return message.number("Content-Length")
    except SipSyntaxError as e:
        raise SipParseError(str(e), 400, request) from None


def parse_head(head: bytes) -> Message:
    """Read start line and headers, without the empty line that ends them."""
    if len(head) > MAX_HEADER_BYTES:
        raise SipParseError(f"headers of {len(head)} bytes; {MAX_HEADER_BYTES} are allowed", 513)
    text = head.decode("utf-8", "surrogateescape")
    line, _, rest = text.partition("\r\n")
    status = _STATUS.fullmatch(line)
    request_line = None if status else _REQUEST.fullmatch(line)
    if status is None and request_line is None:
        raise SipParseError(f"neither a request line nor a status line: {line[:60]!r}")
    headers, broken = _headers(rest)
    if status is not None:
        return _response(status, headers, broken)
    if request_line is None:
        raise AssertionError("one of both has matched")
    return _request(request_line, headers, broken)


def _headers(text: str) -> tuple[Headers, str | None]:
    """The header fields, and what is wrong with the first line that is none."""
    if not text:
        return Headers(), None
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    items: list[tuple[str, str]] = []
    broken: str | None = None
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not TOKEN.fullmatch(name):
            broken = broken or f"not a header field: {line[:60]!r}"
            continue
        items.append((canonical(name), value.strip(" \t")))
        if len(items) > MAX_HEADERS:
            broken = broken or f"more than {MAX_HEADERS} header fields"
            break
    return Headers(tuple(items)), broken


def _response(match: re.Match[str], headers: Headers, broken: str | None) -> Response:
    if match[1] != "2.0":
        raise SipParseError(f"response of version {match[1]}")
    code = int(match[2])
    if not 100 <= code <= 699:
        raise SipParseError(f"status code {match[2][:20]} is not between 100 and 699")
    response = Response(headers=headers, code=code, reason=match[3])
    if broken:
        raise SipParseError(broken)
    _check(response, None)
    return response


def _request(match: re.Match[str], headers: Headers, broken: str | None) -> Request:
    method, uri = match[1], match[2]
    request = Request(headers=headers, method=method, uri=uri)
    if match[3] != "2.0":
        raise SipParseError(f"version {match[3]} is not 2.0", 505, _answerable(request))
    if not TOKEN.fullmatch(method):
        raise SipParseError(f"bad method {method[:40]!r}", 400, _answerable(request))
    if match[4]:
        raise SipParseError("white space ends the request line", 400, _answerable(request))
    if re.search(r"[\s<>\"]", uri):
        raise SipParseError(f"bad Request-URI {uri[:60]!r}", 400, _answerable(request))
    if broken:
        raise SipParseError(broken, 400, _answerable(request))
    _check(request, request)
    if request.cseq.method != method:
        what = f"CSeq is of {request.cseq.method}, the request is {method}"
        # a request whose own method is unknown is refused for that first (RFC 4475 §3.1.2.17/18)
        raise SipParseError(what, 400, request)
    return request


def _check(message: Message, request: Request | None) -> None:
    for name in _MANDATORY:
        if message.headers.get(name) is None:
            raise SipParseError(f"no {name}", 400, None if name == "Via" else _answerable(request))
    for name in _ONCE:
        if len(message.headers.fields(name)) > 1:
            raise SipParseError(f"{name} is there twice", 400, _answerable(request))
    try:
        if not message.vias:
            raise SipSyntaxError("no Via")
        _ = (message.from_, message.to, message.cseq, message.max_forwards)
        if message.number("Content-Length") is not None and len(message.call_id) > 1024:
            raise SipSyntaxError("Call-ID is over 1024 characters")
    except SipSyntaxError as e:
        raise SipParseError(str(e), 400, _answerable(request)) from None


def _answerable(request: Request | None) -> Request | None:
    """The request, if a response to it can find its way: its Via can be read."""
    if request is None:
        return None
    try:
        return request if request.vias else None
    except SipSyntaxError:
        return None
