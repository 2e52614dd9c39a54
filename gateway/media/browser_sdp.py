"""A browser's offer cut down to the one audio stream we take, and the answer that fits the whole.

RFC 3264 §6 (as many m-lines in the answer as in the offer, refused ones with port 0),
RFC 8843 (BUNDLE), RFC 8829 (JSEP).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import SdpUnusable
from gateway.media.opus_share import NARROW_BPS, OPUS, is_narrow
from gateway.sip.errors import SdpSyntaxError
from gateway.sip.sdp import Codec, MediaSection, Sdp, parse_sdp

MAX_BYTES: Final = 60_000
"""A session description has to fit an NG datagram and an AMP value, with room around it."""

_MAX_SECTIONS: Final = 32
_MAX_CANDIDATES: Final = 64
_KEPT: Final = frozenset(
    [
        "candidate",
        "end-of-candidates",
        "fingerprint",
        "ice-options",
        "ice-pwd",
        "ice-ufrag",
        "rtcp",
        "rtcp-mux",
        "setup",
        "ptime",
        "maxptime",
        "sendrecv",
        "sendonly",
        "recvonly",
        "inactive",
    ]
)
_FROM_SESSION: Final = ("fingerprint", "ice-options", "ice-pwd", "ice-ufrag", "setup")
_OURS: Final = ("mid:", "group:", "msid:", "msid-semantic:", "ssrc:", "ssrc-group:")
_OPUS_MAP: Final = re.compile(r"a=rtpmap:\d+ opus/48000/2", re.I)
_CHANNELS: Final = {"opus": (48_000, 2)}


Order = Callable[[float | None], Sequence[str]]


@dataclass(frozen=True, slots=True)
class BrowserOffer:
    """A browser's offer, read.

    ``engine_sdp`` is for rtpengine: one audio section with ``codec`` (what the browser will
    hear) and telephone-event alone.
    """

    engine_sdp: str
    codec: str
    narrow: bool
    """It allows no more bandwidth than Opus takes."""
    _sections: tuple[MediaSection, ...]
    _audio: int
    _bundled: bool

    def answer(self, engine_sdp: str) -> str:
        """The answer for the browser from rtpengine's answer to ``engine_sdp``.

        Every ``a=ssrc`` goes: a transcoded stream has another SSRC than the worker announced,
        and browsers then play silence.
        """
        session, audio = _split(engine_sdp)
        mid = self._sections[self._audio].attribute("mid")
        if self._bundled:
            session.append(f"a=group:BUNDLE {mid}")
        lines = session
        for index, section in enumerate(self._sections):
            if index == self._audio:
                lines += _thrifty(audio, self.narrow) if self.codec == OPUS else audio
                if mid is not None:
                    lines.append(f"a=mid:{mid}")
                lines.append("a=msid:gateway gateway-audio")
            else:
                lines += _refused(section)
        return "".join(f"{line}\r\n" for line in lines)


def read_offer(sdp: str, allowed: Sequence[str] | Order) -> BrowserOffer:
    """Read a browser's offer; the codec is the first of ``allowed`` that it has.

    ``allowed`` may depend on the bandwidth that the offer allows, in kbit/s.
    ``SdpUnusable`` says what is wrong.
    """
    parsed = parse(sdp)
    index, audio = _audio_of(parsed)
    if callable(allowed):
        allowed = allowed(audio.kbps)
    credentials = {name: _inherited(parsed, audio, name) for name in _FROM_SESSION}
    for name, meaning in (
        ("fingerprint", "DTLS fingerprint"),
        ("ice-ufrag", "ICE user fragment"),
        ("ice-pwd", "ICE password"),
    ):
        if not credentials[name]:
            raise SdpUnusable(f"the audio has no a={name} ({meaning})")
    codec = _choose(audio.codecs(), allowed)
    mid, bundle = audio.attribute("mid"), _bundle(parsed)
    bundled = mid is not None and mid in bundle
    candidates = audio.attributes_named("candidate")
    if bundled and not candidates:
        candidates = _bundled_candidates(parsed, bundle)
    return BrowserOffer(
        engine_sdp=_for_engine(audio, codec, credentials, candidates),
        codec=_canonical(codec.name, allowed),
        narrow=is_narrow(audio.kbps),
        _sections=parsed.media,
        _audio=index,
        _bundled=bundled,
    )


def parse(sdp: str) -> Sdp:
    """Bounded reading; ``SdpUnusable`` says what is wrong."""
    size = len(sdp.encode("utf-8", "surrogateescape"))
    if size > MAX_BYTES:
        raise SdpUnusable(f"SDP of {size} bytes; at most {MAX_BYTES} are taken")
    try:
        parsed = parse_sdp(sdp)
    except SdpSyntaxError as e:
        raise SdpUnusable(f"not SDP: {e}") from e
    if len(parsed.media) > _MAX_SECTIONS:
        raise SdpUnusable(f"{len(parsed.media)} m-lines; at most {_MAX_SECTIONS} are taken")
    return parsed


def _audio_of(parsed: Sdp) -> tuple[int, MediaSection]:
    """The first audio section that is on; port 0 with ``bundle-only`` is on (RFC 8843 §6)."""
    refused = False
    for index, section in enumerate(parsed.media):
        if section.kind == "audio":
            if section.port or section.attribute("bundle-only") is not None:
                return index, section
            refused = True
    if refused:
        raise SdpUnusable("the audio's port is 0: it is switched off")
    raise SdpUnusable("no audio: there is no m=audio line")


def _inherited(parsed: Sdp, section: MediaSection, name: str) -> str | None:
    own = section.attribute(name)
    return parsed.attribute(name) if own is None else own


def _bundle(parsed: Sdp) -> tuple[str, ...]:
    for name, value in parsed.attributes:
        if name == "group" and value is not None and value.startswith("BUNDLE "):
            return tuple(value.split()[1:])
    return ()


def _bundled_candidates(parsed: Sdp, bundle: Sequence[str]) -> tuple[str, ...]:
    for section in parsed.media:
        if section.attribute("mid") in bundle and section.attribute("candidate") is not None:
            return section.attributes_named("candidate")
    return ()


def _choose(offered: Sequence[Codec], allowed: Sequence[str]) -> Codec:
    for name in allowed:
        clock, channels = _CHANNELS.get(name, (8000, 1))
        for codec in offered:
            wanted = (codec.clock_hz, codec.channels) == (clock, channels)
            if codec.name.lower() == name.lower() and wanted:
                return codec
    names = ", ".join(dict.fromkeys(c.name for c in offered)) or "none"
    raise SdpUnusable(f"no common codec: {names[:200]} offered, {', '.join(allowed)} taken")


def _canonical(name: str, allowed: Sequence[str]) -> str:
    return next(a for a in allowed if a.lower() == name.lower())


def _for_engine(
    audio: MediaSection,
    codec: Codec,
    credentials: dict[str, str | None],
    candidates: Sequence[str],
) -> str:
    events = [c for c in audio.codecs() if c.name.lower() == "telephone-event"]
    kept = [codec, *(c for c in events if c.clock_hz in (8000, codec.clock_hz))]
    numbers = {str(c.payload_type) for c in kept}
    formats = " ".join(str(c.payload_type) for c in kept)
    address = audio.connection or "0.0.0.0"  # noqa: S104  # a browser's "not known yet"
    family = "IP6" if ":" in address else "IP4"
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"m=audio {audio.port or 9} {audio.proto} {formats}",
        f"c=IN {family} {address}",
    ]
    for name, value in credentials.items():
        if value is not None:
            lines.append(f"a={name}:{value}")
    for entry in kept:
        channels = f"/{entry.channels}" if entry.channels > 1 else ""
        lines.append(f"a=rtpmap:{entry.payload_type} {entry.name}/{entry.clock_hz}{channels}")
    for text in audio.attributes_named("fmtp"):
        if text.partition(" ")[0] in numbers:
            lines.append(f"a=fmtp:{text}")
    for name, value in audio.attributes:
        if name in _KEPT and name not in credentials and name != "candidate":
            lines.append(f"a={name}" if value is None else f"a={name}:{value}")
    if audio.attribute("rtcp-mux") is None:
        raise SdpUnusable("the audio has no a=rtcp-mux: separate RTCP is not taken from browsers")
    lines += [f"a=candidate:{text}" for text in candidates[:_MAX_CANDIDATES]]
    return "".join(f"{line}\r\n" for line in lines)


def _split(engine_sdp: str) -> tuple[list[str], list[str]]:
    """rtpengine's answer as session lines and audio lines, without what we write ourselves."""
    session: list[str] = []
    audio: list[str] = []
    for line in engine_sdp.splitlines():
        if line.startswith("m=") and audio:
            raise SdpUnusable("the answer has more m-lines than were offered")
        if line.startswith("a=") and line[2:].startswith(_OURS):
            continue
        (audio if audio or line.startswith("m=") else session).append(line)
    if not audio:
        raise SdpUnusable("the answer has no m-line")
    return session, audio


def _thrifty(audio: Sequence[str], narrow: bool) -> list[str]:
    """Ask for Opus with in-band FEC, and for next to nothing in silence (RFC 7587 §6.1)."""
    at = next((n for n, line in enumerate(audio) if _OPUS_MAP.fullmatch(line)), None)
    if at is None:
        return list(audio)
    named = f"a=fmtp:{audio[at].partition(':')[2].partition(' ')[0]} "
    wanted = {"useinbandfec": "1", "usedtx": "1"}
    if narrow:
        wanted["maxaveragebitrate"] = str(NARROW_BPS)
    said = ";".join(line[len(named) :] for line in audio if line.startswith(named))
    kept = [p.strip() for p in said.split(";") if p.strip()]
    kept = [p for p in kept if p.partition("=")[0] not in wanted]
    fmtp = named + ";".join([*kept, *(f"{name}={value}" for name, value in wanted.items())])
    lines = [*audio[: at + 1], fmtp, *audio[at + 1 :]]
    return [line for line in lines if line is fmtp or not line.startswith(named)]


def _refused(section: MediaSection) -> list[str]:
    lines = [
        f"m={section.kind} 0 {section.proto} {' '.join(section.formats)}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
    ]
    mid = section.attribute("mid")
    return lines if mid is None else [*lines, f"a=mid:{mid}"]
