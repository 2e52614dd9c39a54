"""Header names and the values of those headers that have a structure (RFC 3261 §20)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from gateway.sip.errors import SipSyntaxError
from gateway.sip.uri import Params, SipUri, Uri, parse_uri, split_hostport

COMPACT: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
}
_SPECIAL: Final = {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate"}
# header fields whose comma separates values (RFC 3261 §7.3.1)
LISTS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "alert-info",
        "allow",
        "call-info",
        "contact",
        "content-encoding",
        "content-language",
        "error-info",
        "in-reply-to",
        "path",
        "proxy-require",
        "record-route",
        "require",
        "route",
        "supported",
        "unsupported",
        "via",
        "warning",
    }
)
TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_PARAM_NAME: Final = TOKEN
_PARAM_VALUE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\[[0-9A-Fa-f:.]+\]|[^\s;,"<>=]+', re.DOTALL)


def canonical(name: str) -> str:
    """``v`` and ``VIA`` are ``Via``."""
    low = name.lower()
    if low in COMPACT:
        return COMPACT[low]
    if low in _SPECIAL:
        return _SPECIAL[low]
    return "-".join(part.capitalize() for part in low.split("-"))


def split_list(value: str) -> list[str]:
    """Split at commas outside quotes and angle brackets; empty items are dropped."""
    if "," not in value:
        return [value.strip()] if value.strip() else []
    items: list[str] = []
    start, quoted, angled, escaped = 0, False, False, False
    for at, char in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            if char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "<":
            angled = True
        elif char == ">":
            angled = False
        elif char == "," and not angled:
            items.append(value[start:at].strip())
            start = at + 1
    items.append(value[start:].strip())
    return [item for item in items if item]


def parse_params(text: str) -> Params:
    """``;name[=value]`` pieces that follow a header's value; white space around is allowed."""
    params: list[tuple[str, str | None]] = []
    at, end = 0, len(text)
    while at < end:
        while at < end and text[at] in " \t":
            at += 1
        if at == end:
            break
        if text[at] != ";":
            raise SipSyntaxError(f"expected ';' before {text[at : at + 20]!r}")
        at += 1
        while at < end and text[at] in " \t":
            at += 1
        name = _PARAM_NAME.match(text, at)
        if name is None:
            raise SipSyntaxError(f"bad parameter at {text[at : at + 20]!r}")
        at = name.end()
        rest = at
        while rest < end and text[rest] in " \t":
            rest += 1
        if rest == end or text[rest] != "=":
            params.append((name[0], None))
            continue
        at = rest + 1
        while at < end and text[at] in " \t":
            at += 1
        value = _PARAM_VALUE.match(text, at)
        if value is None:
            raise SipSyntaxError(f"bad value of parameter {name[0]!r}")
        params.append((name[0], value[0]))
        at = value.end()
    return tuple(params)


def param(params: Params, name: str) -> str | None:
    """A parameter's value; ``""`` for one without a value, ``None`` for none at all."""
    for key, value in params:
        if key.lower() == name:
            return value or ""
    return None


def write_params(params: Params) -> str:
    return "".join(f";{k}" if v is None else f";{k}={v}" for k, v in params)


@dataclass(frozen=True, slots=True)
class NameAddr:
    """From, To, Contact, Route …: ``display`` is unquoted."""

    display: str
    uri: Uri
    params: Params = ()

    @property
    def tag(self) -> str | None:
        return param(self.params, "tag")

    def with_tag(self, tag: str) -> NameAddr:
        kept = tuple(p for p in self.params if p[0].lower() != "tag")
        return replace(self, params=(*kept, ("tag", tag)))

    def __str__(self) -> str:
        shown = ""
        if self.display:
            escaped = self.display.replace("\\", "\\\\").replace('"', '\\"')
            shown = f'"{escaped}" '
        return f"{shown}<{self.uri}>{write_params(self.params)}"


def parse_name_addr(text: str) -> NameAddr:
    """``"Name" <uri>;params``, ``Name <uri>``, or a bare URI, whose parameters are the header's."""
    text = text.strip()
    display = ""
    if text.startswith('"'):
        quoted = re.match(r'"((?:[^"\\]|\\.)*)"', text, re.DOTALL)
        if quoted is None:
            raise SipSyntaxError("a quoted display name is not closed")
        display = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
        text = text[quoted.end() :].lstrip()
        if not text.startswith("<"):
            raise SipSyntaxError("no '<' after a quoted display name")
    if "<" in text:
        before, _, rest = text.partition("<")
        inner, closed, after = rest.partition(">")
        if not closed:
            raise SipSyntaxError("'<' is not closed")
        if before.strip():
            # tokens and white space (RFC 3261 §25.1); other characters are met in the wild and
            # harmless, but a comma, a quote or a colon means that the value is broken
            if re.search(r'[",;:@]', before):
                raise SipSyntaxError(f"bad display name {before[:40]!r}; it needs quotes")
            display = " ".join(before.split())
        return NameAddr(display, parse_uri(inner), parse_params(after))
    bare, semicolon, after = text.partition(";")
    if "?" in bare or "," in bare:
        raise SipSyntaxError("a URI with '?' or ',' needs angle brackets")
    return NameAddr("", parse_uri(bare.strip()), parse_params(semicolon + after))


def parse_name_addr_list(value: str) -> tuple[NameAddr, ...]:
    return tuple(parse_name_addr(item) for item in split_list(value))


@dataclass(frozen=True, slots=True)
class Via:
    """One hop (RFC 3261 §20.42); ``transport`` in upper case."""

    transport: str
    host: str
    port: int | None
    params: Params = ()

    @property
    def branch(self) -> str | None:
        return param(self.params, "branch")

    @property
    def received(self) -> str | None:
        return param(self.params, "received")

    @property
    def rport(self) -> str | None:
        """``None``: absent; ``""``: asked for and not filled in (RFC 3581)."""
        return param(self.params, "rport")

    def with_param(self, name: str, value: str | None) -> Via:
        kept = tuple(p for p in self.params if p[0].lower() != name)
        return replace(self, params=(*kept, (name, value)))

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{write_params(self.params)}"


_VIA: Final = re.compile(
    r"\s*([A-Za-z0-9\-.!%*_+`'~]+)\s*/\s*([0-9.]+)\s*/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+([^;]+)"
)


def parse_via_list(value: str) -> tuple[Via, ...]:
    return tuple(_via(item) for item in split_list(value))


def _via(text: str) -> Via:
    match = _VIA.match(text)
    if match is None:
        raise SipSyntaxError(f"bad Via {text[:80]!r}")
    if match[1].upper() != "SIP" or match[2] != "2.0":
        raise SipSyntaxError(f"Via of another protocol {match[1]}/{match[2]}")
    host, port = split_hostport(re.sub(r"\s*:\s*", ":", match[4].strip()))
    return Via(match[3].upper(), host, port, parse_params(text[match.end() :]))


@dataclass(frozen=True, slots=True)
class CSeq:
    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_cseq(text: str) -> CSeq:
    """RFC 3261 §20.16: the number is below 2**31 (§8.1.1.5)."""
    number, _, method = text.strip().partition(" ")
    method = method.strip()
    if not number.isascii() or not number.isdigit() or not TOKEN.fullmatch(method):
        raise SipSyntaxError(f"bad CSeq {text[:40]!r}")
    if len(number) > 20 or int(number) >= 2**31:
        raise SipSyntaxError(f"CSeq number {number[:24]} is not below 2**31")
    return CSeq(int(number), method)


_AUTH: Final = re.compile(
    r"\s*([A-Za-z0-9\-.!%*_+`'~]+)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s,\"]+)\s*(?:,|$)"
)


def parse_auth(value: str) -> tuple[str, dict[str, str]]:
    """``Digest a="b", c=d`` as ``("digest", {...})``; keys in lower case, values unquoted."""
    scheme, _, rest = value.strip().partition(" ")
    if not TOKEN.fullmatch(scheme):
        raise SipSyntaxError("no scheme in credentials")
    members: dict[str, str] = {}
    at = 0
    rest = rest.strip()
    while at < len(rest):
        match = _AUTH.match(rest, at)
        if match is None:
            raise SipSyntaxError("bad credentials")
        text = match[2]
        if text.startswith('"'):
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        if match[1].lower() in members:
            raise SipSyntaxError(f"{match[1]} is there twice in credentials")
        members[match[1].lower()] = text
        at = match.end()
    return scheme.lower(), members


def is_sip(uri: Uri) -> bool:
    return isinstance(uri, SipUri)
