"""SDP of legs: what PJSIP wrote made fit for one leg, and which offers a leg takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

USUAL_PTIME_MS: Final = 20

_AUDIO: Final = re.compile(r"^m=audio (\d+)(?:/\d+)? (\S+) ([\d ]+?)\s*$", re.M)
_MAP: Final = re.compile(r"a=rtpmap:(\d+) ([^/\s]+)/(\d+)")
_OF_FORMAT: Final = re.compile(r"a=(?:rtpmap|fmtp):(\d+) ")
_STATIC: Final = {"0": "pcmu", "3": "gsm", "8": "pcma", "9": "g722"}
"""Formats that need no rtpmap (RFC 3551 §6)."""
_EVENTS: Final = "telephone-event"


def with_codecs(sdp: str, codecs: Sequence[str]) -> str:
    """Audio with these codecs alone, best first, and telephone-events of their clocks.

    Of Speex the ultra-wide band is left out.  SDP that has none of them is left as it is.
    """
    found = _live_audio(sdp)
    if found is None:
        return sdp
    section, following = _until_next_media(sdp[found.end() :])
    rank = {name.lower(): place for place, name in enumerate(codecs)}
    maps = {m[1]: (m[2].lower(), int(m[3])) for m in _MAP.finditer(section)}
    formats = [f for f in found[3].split() if f in maps]
    chosen = [f for f in formats if maps[f][0] in rank and maps[f] != ("speex", 32000)]
    if not chosen:
        return sdp
    chosen.sort(key=lambda f: (rank[maps[f][0]], -maps[f][1]))
    clocks = {maps[f][1] for f in chosen}
    chosen += [f for f in formats if maps[f][0] == _EVENTS and maps[f][1] in clocks]
    about: dict[str, list[str]] = {f: [] for f in formats}
    others: list[str] = []
    for line in section.strip().splitlines():
        format_of = _OF_FORMAT.match(line)
        if format_of is None:
            others.append(line)
        elif format_of[1] in about:
            about[format_of[1]].append(line)
    lines = [f"m=audio {found[1]} {found[2]} {' '.join(chosen)}", *others]
    lines += [line for f in chosen for line in about[f]]
    return sdp[: found.start()] + "".join(f"{line}\r\n" for line in lines) + following


def _live_audio(sdp: str) -> re.Match[str] | None:
    """The audio line that is used: of several all but one have port 0 (RFC 3264 §6)."""
    return next((m for m in _AUDIO.finditer(sdp) if m[1] != "0"), None)


def _until_next_media(sdp: str) -> tuple[str, str]:
    section, line, following = sdp.partition("\nm=")
    return section, f"m={following}" if line else ""


def has_codec(sdp: str, codecs: Sequence[str]) -> bool:
    """Whether an offer has one of them, or no live audio at all: that is not for us to judge."""
    offered = [m[3].split() for m in _AUDIO.finditer(sdp) if m[1] != "0"]
    if not offered:
        return True
    maps = _STATIC | {m[1]: m[2].lower() for m in _MAP.finditer(sdp)}
    ours = {name.lower() for name in codecs}
    return any(maps.get(f) in ours for formats in offered for f in formats)


def with_packet_time(sdp: str, wished_ms: int) -> str:
    """PJSIP never says what it wishes for; 20 ms need no saying (RFC 3551 §4.2)."""
    if wished_ms == USUAL_PTIME_MS or "a=ptime:" in sdp or "m=audio" not in sdp:
        return sdp
    return f"{sdp}a=ptime:{wished_ms}\r\n"


def rtp_port(sdp: str) -> int:
    """The port of the audio line that is used; 0: there is none."""
    found = _live_audio(sdp)
    return int(found[1]) if found else 0


def srtp_fits(sdp: str, srtp: Literal["off", "optional", "mandatory"]) -> bool:
    """Whether an offer's profile (RTP/AVP or RTP/SAVP) is one that the leg takes."""
    profiles = {m[2] for m in _AUDIO.finditer(sdp) if m[1] != "0"}
    if not profiles or srtp == "optional":
        return True
    return any(("SAVP" in p) is (srtp == "mandatory") for p in profiles)
