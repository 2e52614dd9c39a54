"""Messages as others may see them: secrets struck out, byte for byte as long as before."""

from __future__ import annotations

import re
from typing import Final

_STAR: Final = re.compile(rb"[^\r\n\t ]")

_HEADERS: Final = re.compile(
    rb"^(?:Proxy-Authorization|Authorization|Identity|y|P-Access-Token|Cookie)[ \t]*:[ \t]*"
    rb"(.*(?:\r?\n[ \t].*)*)",
    re.I | re.M,
)
_KEPT: Final = re.compile(
    rb'(?:^|[\s,])(?:Digest|username="[^"]*"|realm="[^"]*"|uri="[^"]*"|algorithm=[\w-]+'
    rb"|qop=[\w-]+|nc=[0-9a-f]+)",
    re.I,
)
"""Of credentials (RFC 7616 §3.4): who signs in, where and how; not what proves it."""
_SDP: Final = re.compile(
    rb"(?<=inline:)[^\s;]+"  # an SDES key (RFC 4568 §9.1)
    rb"|(?<=a=ice-pwd:)\S+"
    rb"|(?<=a=key-mgmt:)[^\r\n]+"
)
_KEY_LINE: Final = re.compile(rb"^(k=)([^\r\n]+)", re.M)
_TYPE: Final = re.compile(rb"^(?:Content-Type|c)[ \t]*:[ \t]*([\w.+-]+/[\w.+-]+)", re.I | re.M)
_TOKENS: Final = re.compile(rb"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*|(?<=Bearer )[^\s,]+")
_PLAIN: Final = frozenset({b"application/sdp", b"message/sipfrag"})


def _starred(data: bytes) -> bytes:
    return _STAR.sub(b"*", data)


def _credentials(match: re.Match[bytes]) -> bytes:
    whole, value = match[0], match[1]
    head = whole[: len(whole) - len(value)]
    out, at = [], 0
    for kept in _KEPT.finditer(value):
        out += [_starred(value[at : kept.start()]), kept[0]]
        at = kept.end()
    return head + b"".join((*out, _starred(value[at:])))


def redacted(message: bytes) -> bytes:
    """What proves who someone is, keys of SRTP, and bodies that are not SDP (digits, texts).

    ``*`` stands for each byte, so that Content-Length stays true.
    """
    cut = message.find(b"\r\n\r\n")
    cut = len(message) if cut < 0 else cut + 4
    head, body = message[:cut], message[cut:]
    head = _TOKENS.sub(lambda m: _starred(m[0]), _HEADERS.sub(_credentials, head))
    if not body:
        return head
    kind = _TYPE.search(head)
    if kind is None or kind[1].lower() not in _PLAIN:
        return head + _starred(body)
    body = _SDP.sub(lambda m: _starred(m[0]), body)
    return head + _KEY_LINE.sub(lambda m: m[1] + _starred(m[2]), body)
