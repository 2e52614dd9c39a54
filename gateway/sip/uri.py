"""SIP and SIPS URIs (RFC 3261 §19.1), and others kept as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.sip.errors import SipSyntaxError

Params = tuple[tuple[str, str | None], ...]

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_USER: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]|[\x80-\U0010ffff]|%[0-9A-Fa-f]{2})+")
_PASSWORD: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})*")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.\-_]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]")
_PARAM: Final = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$`^]|%[0-9A-Fa-f]{2})+")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
# compared only when both URIs have them, or either does (RFC 3261 §19.1.4)
_ALWAYS_COMPARED: Final = ("user", "ttl", "method", "maddr", "transport")


def unescape(text: str) -> str:
    """Undo %XX; NUL and bytes over 127 included (latin-1)."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), text)


@dataclass(frozen=True, slots=True)
class SipUri:
    """``user`` and ``password`` are as on the wire, escapes kept; ``headers`` without its ``?``."""

    scheme: Literal["sip", "sips"]
    user: str | None
    password: str | None
    host: str
    port: int | None = None
    params: Params = ()
    headers: str = ""

    def param(self, name: str) -> str | None:
        """A parameter's value; ``""`` for one without a value, ``None`` for none at all."""
        for key, value in self.params:
            if key.lower() == name:
                return value or ""
        return None

    @property
    def transport(self) -> str | None:
        value = self.param("transport")
        return value.lower() if value else None

    def __str__(self) -> str:
        userinfo = ""
        if self.user is not None:
            secret = "" if self.password is None else f":{self.password}"
            userinfo = f"{self.user}{secret}@"
        port = "" if self.port is None else f":{self.port}"
        params = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.params)
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{userinfo}{self.host}{port}{params}{headers}"

    def equivalent(self, other: SipUri) -> bool:
        """RFC 3261 §19.1.4."""
        if self.scheme != other.scheme or self.host.lower() != other.host.lower():
            return False
        if self.port != other.port:
            return False
        if unescape(self.user or "") != unescape(other.user or ""):
            return False
        if (self.user is None) != (other.user is None) or self.password != other.password:
            return False
        mine = {k.lower(): unescape(v or "").lower() for k, v in self.params}
        theirs = {k.lower(): unescape(v or "").lower() for k, v in other.params}
        for name in _ALWAYS_COMPARED:
            if mine.get(name) != theirs.get(name):
                return False
        if any(mine[k] != theirs[k] for k in mine.keys() & theirs.keys()):
            return False
        return sorted(self.headers.lower().split("&")) == sorted(other.headers.lower().split("&"))


@dataclass(frozen=True, slots=True)
class OtherUri:
    """Any other scheme (``tel:``, ``http:`` …), not looked into."""

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"


Uri = SipUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Read an absolute URI; ``SipSyntaxError`` says what is wrong with it."""
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise SipSyntaxError(f"no scheme in URI {text[:80]!r}")
    low = scheme.lower()
    if low not in ("sip", "sips"):
        if not rest or re.search(r"[\s<>]", rest):
            raise SipSyntaxError(f"bad character in URI {text[:80]!r}")
        return OtherUri(low, rest)
    return _sip("sips" if low == "sips" else "sip", rest, text)


def _sip(scheme: Literal["sip", "sips"], rest: str, whole: str) -> SipUri:
    user: str | None = None
    password: str | None = None
    # the user part may hold ; and ?, so the @ is looked for first
    userinfo, at, after = rest.rpartition("@")
    if at and "@" not in userinfo:
        rest = after
        user, colon, secret = userinfo.partition(":")
        if not _USER.fullmatch(user):
            raise SipSyntaxError(f"bad user part in URI {whole[:80]!r}")
        if colon:
            if not _PASSWORD.fullmatch(secret):
                raise SipSyntaxError(f"bad password in URI {whole[:80]!r}")
            password = secret
    elif at:
        raise SipSyntaxError(f"two @ in URI {whole[:80]!r}")
    host_part, question, headers = rest.partition("?")
    hostport, *raw = host_part.split(";")
    host, port = split_hostport(hostport)
    params: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    for piece in raw:
        name, equals, value = piece.partition("=")
        if not _PARAM.fullmatch(name) or (equals and not _PARAM.fullmatch(value)):
            raise SipSyntaxError(f"bad parameter {piece[:40]!r} in URI {whole[:80]!r}")
        if name.lower() in seen:
            raise SipSyntaxError(f"parameter {name[:40]!r} is there twice in URI")
        seen.add(name.lower())
        params.append((name, value if equals else None))
    if question and re.search(r"[\s<>]", headers):
        raise SipSyntaxError(f"bad headers part in URI {whole[:80]!r}")
    return SipUri(scheme, user, password, host, port, tuple(params), headers)


def split_hostport(text: str) -> tuple[str, int | None]:
    """``host[:port]`` of a URI or a Via (RFC 3261 §25.1)."""
    match = _HOST.match(text)
    if match is None:
        raise SipSyntaxError(f"bad host {text[:80]!r}")
    host, rest = match[0], text[match.end() :].strip()
    if not rest:
        return host, None
    digits = rest[1:].strip()
    if rest[0] != ":" or not digits.isascii() or not digits.isdigit() or len(digits) > 5:
        raise SipSyntaxError(f"bad port in {text[:80]!r}")
    port = int(digits)
    if port > 65535:
        raise SipSyntaxError(f"port {port} is over 65535")
    return host, port
