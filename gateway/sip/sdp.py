"""Looking into session descriptions (RFC 8866, RFC 3264): no negotiation happens here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.sip.errors import SdpSyntaxError

MAX_BYTES: Final = 65_536
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

# static payload types of RFC 3551 §6 that need no rtpmap
_STATIC: Final = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    13: ("CN", 8000),
    18: ("G729", 8000),
}
_LINE: Final = re.compile(r"([a-zA-Z])=(.*)")
_MEDIA: Final = re.compile(
    r"([A-Za-z0-9]+) (-?\d{1,10})(?:/(\d{1,5}))? ([A-Za-z0-9/\-]+)((?: \S+)*)"
)


@dataclass(frozen=True, slots=True)
class Codec:
    payload_type: int
    name: str
    clock_hz: int
    channels: int = 1


@dataclass(frozen=True, slots=True)
class MediaSection:
    """One ``m=`` section; ``connection`` is its own address or the session's.

    ``kbps`` is the bandwidth that its sender allows, its own or the session's (RFC 8866 §5.8).
    """

    kind: str
    port: int
    proto: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str | None], ...]
    connection: str | None
    kbps: float | None = None

    def attribute(self, name: str) -> str | None:
        """The first of this name; ``""`` for a property attribute, ``None`` for none."""
        for key, value in self.attributes:
            if key == name:
                return value or ""
        return None

    def attributes_named(self, name: str) -> tuple[str, ...]:
        return tuple(v or "" for k, v in self.attributes if k == name)

    @property
    def direction(self) -> Direction:
        """RFC 3264 §5.1; an address of 0.0.0.0 is the hold of RFC 2543."""
        found: Direction = "sendrecv"
        for name, _ in self.attributes:
            if name in ("sendrecv", "sendonly", "recvonly", "inactive"):
                found = name  # type: ignore[assignment]  # one of the four, as just seen
        if self.connection == "0.0.0.0" and found in ("sendrecv", "recvonly"):  # noqa: S104  # compared, not bound
            return "sendonly" if found == "sendrecv" else "inactive"
        return found

    def codecs(self) -> tuple[Codec, ...]:
        """In the order of preference; dynamic types without an rtpmap are left out."""
        maps: dict[int, Codec] = {}
        for text in self.attributes_named("rtpmap"):
            match = re.fullmatch(r"(\d{1,3}) ([^/\s]+)/(\d{1,6})(?:/(\d{1,2}))?\s*", text)
            if match:
                number = int(match[1])
                maps[number] = Codec(number, match[2], int(match[3]), int(match[4] or 1))
        found: list[Codec] = []
        for text in self.formats:
            if not text.isascii() or not text.isdigit() or int(text) > 127:
                continue
            number = int(text)
            if number in maps:
                found.append(maps[number])
            elif number in _STATIC:
                found.append(Codec(number, *_STATIC[number]))
        return tuple(found)

    @property
    def is_dtls(self) -> bool:
        return self.proto.upper() in ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP")

    @property
    def has_crypto(self) -> bool:
        """SDES keys are offered (RFC 4568)."""
        return self.attribute("crypto") is not None


@dataclass(frozen=True, slots=True)
class Sdp:
    attributes: tuple[tuple[str, str | None], ...]
    media: tuple[MediaSection, ...]

    @property
    def audio(self) -> MediaSection | None:
        """The first audio section that is not refused (port 0)."""
        for section in self.media:
            if section.kind == "audio" and section.port:
                return section
        return None

    def attribute(self, name: str) -> str | None:
        for key, value in self.attributes:
            if key == name:
                return value or ""
        return None


def parse_sdp(body: bytes | str) -> Sdp:
    """Read a description; ``SdpSyntaxError`` names the line."""
    if len(body) > MAX_BYTES:
        raise SdpSyntaxError(f"SDP of {len(body)} bytes; {MAX_BYTES} are allowed")
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    session: list[tuple[str, str | None]] = []
    session_address: str | None = None
    session_kbps: float | None = None
    sections: list[_Open] = []
    for number, line in enumerate(text.replace("\r\n", "\n").rstrip("\n").split("\n"), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise SdpSyntaxError(f"SDP line {number}: {line[:40]!r} is not of the form x=...")
        kind, value = match[1], match[2]
        if number == 1 and (kind, value.strip()) != ("v", "0"):
            raise SdpSyntaxError("SDP line 1: must be v=0")
        if kind == "m":
            sections.append(_Open(*_media_line(value, number)))
        elif kind == "c":
            address = _address(value, number)
            if sections:
                sections[-1].connection = address
            else:
                session_address = address
        elif kind == "b":
            kbps = _kbps(value)
            if sections:
                sections[-1].kbps = kbps if kbps is not None else sections[-1].kbps
            else:
                session_kbps = kbps if kbps is not None else session_kbps
        elif kind == "a":
            name, colon, rest = value.partition(":")
            pair = (name, rest if colon else None)
            (sections[-1].attributes if sections else session).append(pair)
    # attributes of the session hold for sections that do not say otherwise (RFC 8866 §6)
    directions = {"sendrecv", "sendonly", "recvonly", "inactive"}
    inherited = [a for a in session if a[0] in directions]
    return Sdp(
        attributes=tuple(session),
        media=tuple(
            s.closed(session_address, session_kbps, inherited, directions) for s in sections
        ),
    )


class _Open:
    """A section that is still being read."""

    def __init__(self, kind: str, port: int, proto: str, formats: tuple[str, ...]) -> None:
        self.head = (kind, port, proto, formats)
        self.attributes: list[tuple[str, str | None]] = []
        self.connection: str | None = None
        self.kbps: float | None = None

    def closed(
        self,
        address: str | None,
        kbps: float | None,
        inherited: list[tuple[str, str | None]],
        directions: set[str],
    ) -> MediaSection:
        own = any(name in directions for name, _ in self.attributes)
        attributes = self.attributes if own else [*inherited, *self.attributes]
        connection = self.connection or address
        kbps = self.kbps if self.kbps is not None else kbps
        return MediaSection(*self.head, tuple(attributes), connection, kbps)


def _kbps(value: str) -> float | None:
    """Of ``AS`` and ``TIAS`` (RFC 3890); others are for others."""
    kind, _, figure = value.strip().partition(":")
    if not figure.isascii() or not figure.isdigit() or len(figure) > 9:
        return None
    match kind:
        case "AS":
            return float(figure)
        case "TIAS":
            return float(figure) / 1000
        case _:
            return None


def _media_line(value: str, number: int) -> tuple[str, int, str, tuple[str, ...]]:
    match = _MEDIA.fullmatch(value.strip())
    if match is None:
        raise SdpSyntaxError(f"SDP line {number}: bad m= line {value[:40]!r}")
    port = int(match[2])
    if not 0 <= port <= 65535:
        raise SdpSyntaxError(f"SDP line {number}: port {port} is not between 0 and 65535")
    formats = tuple(match[5].split())
    if not formats:
        raise SdpSyntaxError(f"SDP line {number}: no format in m= line")
    return match[1], port, match[4], formats


def _address(value: str, number: int) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
        raise SdpSyntaxError(f"SDP line {number}: bad c= line {value[:40]!r}")
    return parts[2].partition("/")[0]


def without_ssrc(sdp: str) -> str:
    """Drop ``a=ssrc`` lines (RFC 5576): a transcoder's stream has another SSRC."""
    return "".join(
        line
        for line in sdp.splitlines(keepends=True)
        if not line.startswith(("a=ssrc:", "a=ssrc-"))
    )


LONGEST_HOST: Final = 253
"""Of a host name in text (RFC 1035 §2.3.4)."""
_LONG_HOST: Final = re.compile(
    rb"^(?:c=|a=rtcp:|a=candidate:)[^\r\n]*[^\s]{%d}" % (LONGEST_HOST + 1), re.M
)


def has_long_host(body: bytes) -> bool:
    """An address that is longer than any can be; workers must not be shown it."""
    return _LONG_HOST.search(body) is not None
