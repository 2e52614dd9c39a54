"""SIP legs whose far end speaks what PJSIP does not: DTLS-SRTP, ICE, Opus, G.729, IPv6.

The worker sees plain RTP on loopback; rtpengine stands between it and the far end, through every
offer and answer of the dialog (RFC 3264).
"""

from __future__ import annotations

import secrets
from ipaddress import ip_address
from typing import Final

from twisted.internet.defer import DeferredLock

from gateway.errors import MediaFailed, SdpUnusable
from gateway.media.browser_sdp import MAX_BYTES, parse
from gateway.media.engine_session import EngineSession, begun, sdp_of
from gateway.media.engines import Engines
from gateway.sip.sdp import MediaSection, without_ssrc
from gateway.values import CallId, FarSide, LegId

FAR: Final = "far"
WORKER: Final = "worker"
DECODED: Final = ("opus", "G722", "PCMU", "PCMA", "G729", "GSM", "speex", "iLBC", "AMR", "AMR-WB")
"""What rtpengine decodes; of these it is asked for the first that the far end offers."""
EVENTS: Final = "telephone-event"
_PLAIN: Final = frozenset({"RTP/AVP", "RTP/SAVP"})
_PROFILES: Final = ("RTP/AVP", "RTP/SAVP", "RTP/AVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")


class SipAnchors:
    """Implements ``ports.Anchors``; ``codecs`` are the worker's."""

    def __init__(self, engines: Engines, codecs: tuple[str, ...]) -> None:
        self._engines = engines
        self._codecs = codecs

    def needed(self, offer: str) -> bool:
        if not self._engines.all:
            return False
        try:
            audio = _audio(offer)
        except SdpUnusable:
            return False  # the worker says what is wrong with it
        family = ":" in (audio.connection or "")
        ice = audio.attribute("ice-ufrag") is not None and audio.attribute("rtcp-mux") is not None
        known = any(_is(c.name, self._codecs) for c in audio.codecs())
        return audio.proto.upper() not in _PLAIN or family or ice or not known

    def anchor(self, call: CallId, leg: LegId, far: FarSide | None) -> SipAnchor:
        return SipAnchor(call, leg, far, self._engines, self._codecs)


class SipAnchor:
    """Implements ``ports.Anchor``."""

    def __init__(
        self,
        call: CallId,
        leg: LegId,
        far: FarSide | None,
        engines: Engines,
        codecs: tuple[str, ...],
    ) -> None:
        self._name = f"{call}/{leg}/{secrets.token_hex(4)}"
        self._far = far
        self._engines = engines
        self._codecs = codecs
        self._one_at_a_time = DeferredLock()
        self._session: EngineSession | None = None
        self._closed = False

    async def offer(self, sdp: str, *, from_worker: bool) -> str:
        audio = _audio(sdp)
        if not from_worker:
            tones = self._far is not None and self._far.tones
            self._far = _as_offered(audio, tones=tones)
        elif self._far is None:
            self._far = FarSide()
        return await self._through("offer", sdp, audio, from_worker=from_worker)

    async def answer(self, sdp: str, *, from_worker: bool) -> str:
        return await self._through("answer", sdp, _audio(sdp), from_worker=from_worker)

    async def close(self) -> None:
        self._closed = True
        await self._one_at_a_time.acquire()
        try:
            session, self._session = self._session, None
            if session is not None:
                await session.delete()
        finally:
            self._one_at_a_time.release()

    async def _through(
        self, command: str, sdp: str, audio: MediaSection, *, from_worker: bool
    ) -> str:
        await self._one_at_a_time.acquire()
        try:
            if self._closed:
                raise MediaFailed("the media path is closed")
            if self._session is None:
                if command == "answer":
                    raise MediaFailed("there is no offer to answer")
                self._session, made = await begun(
                    self._engines,
                    self._name,
                    WORKER if from_worker else FAR,
                    lambda new: self._request(new, command, sdp, audio, from_worker),
                )
            else:
                session = self._session
                request = self._request(session, command, sdp, audio, from_worker)
                made = sdp_of(await session.ask(command, **request))
        finally:
            self._one_at_a_time.release()
        # a transcoded stream has another SSRC than was announced
        return without_ssrc(made)

    def _request(
        self, session: EngineSession, command: str, sdp: str, audio: MediaSection, worker: bool
    ) -> dict[str, object]:
        ours, theirs = (WORKER, FAR) if worker else (FAR, WORKER)
        tags = {"from_tag": ours} if command == "offer" else {"from_tag": theirs, "to_tag": ours}
        request: dict[str, object] = {
            **tags,
            "sdp": sdp,
            "replace": ["origin", "session-connection"],
            "flags": ["trust-address", "strict-source", *_unlearned(audio)],
        }
        request |= self._towards_far(command) if worker else self._towards_worker(command, audio)
        if self._far is not None and self._far.tones:
            flags = request["flags"]
            assert isinstance(flags, list)
            flags.append("always-transcode")  # else nobody listens to the sound
        if command == "offer" and session.engine.split:
            request["direction"] = ["priv", "pub"] if worker else ["pub", "priv"]
        return request

    def _towards_far(self, command: str) -> dict[str, object]:
        far = self._far or FarSide()
        dtls = far.profile.startswith("UDP/TLS")
        request: dict[str, object] = {
            "transport_protocol": far.profile,
            "ICE": "force" if far.ice else "remove",
            "address_family": far.family,
            "rtcp_mux": [("offer" if command == "offer" else "accept") if dtls else "demux"],
        }
        if dtls and command == "answer":
            request["DTLS"] = "passive"
        codec: dict[str, list[str]] = {}
        if command == "offer" and far.codecs:
            codec["transcode"] = list(far.codecs)
        if command == "offer" and far.tones:
            codec["mask"] = [EVENTS]  # ours has them, the far end is not told of any
        if codec:
            request["codec"] = codec
        return request

    def _towards_worker(self, command: str, audio: MediaSection) -> dict[str, object]:
        request: dict[str, object] = {
            "transport_protocol": "RTP/AVP",
            "ICE": "remove",
            "address_family": "IP4",
            "rtcp_mux": ["demux"],
        }
        if command == "offer":
            request["DTLS_reverse"] = "passive"
            names = [c.name for c in audio.codecs()]
            codec: dict[str, list[str]] = {}
            if not any(_is(name, self._codecs) for name in names):
                codec = self._transcoded(names)
            if self._far is not None and self._far.tones and not _is(EVENTS, names):
                codec["transcode"] = [*codec.get("transcode", ()), EVENTS]
            if codec:
                request["codec"] = codec
        return request

    def _transcoded(self, names: list[str]) -> dict[str, list[str]]:
        for name in DECODED:
            if _is(name, names):
                return {"consume": [name], "transcode": [self._codecs[0]]}
        offered = ", ".join(dict.fromkeys(names)) or "none"
        raise SdpUnusable(f"no common codec: {offered[:200]} offered")


def _unlearned(audio: MediaSection) -> tuple[str, ...]:
    """Whether rtpengine is to believe the SDP alone, and not who speaks first.

    Of plain RTP anybody can be the first, who knows a port.  Behind a NAT the address says nothing;
    with DTLS or SDES others are not understood, and ICE finds the way by itself.
    """
    if audio.proto.upper() not in ("RTP/AVP", "RTP/AVPF"):
        return ()
    try:
        at = ip_address(audio.connection or "")
    except ValueError:
        return ()
    behind = at.is_private and not at.is_loopback
    return () if behind or at.is_unspecified else ("asymmetric",)


def _audio(sdp: str) -> MediaSection:
    if len(sdp) > MAX_BYTES:
        raise SdpUnusable(f"SDP of {len(sdp)} bytes; at most {MAX_BYTES} are taken")
    audio = parse(sdp).audio
    if audio is None:
        raise SdpUnusable("no audio: there is no m=audio line, or its port is 0")
    return audio


def _as_offered(audio: MediaSection, *, tones: bool) -> FarSide:
    profile = next((p for p in _PROFILES if p == audio.proto.upper()), None)
    if profile is None:
        raise SdpUnusable(f"profile {audio.proto[:40]} is not taken")
    plain = "RTP/AVP" if profile == "RTP/AVPF" else profile
    return FarSide(
        profile=plain,
        ice=audio.attribute("ice-ufrag") is not None,
        family="IP6" if ":" in (audio.connection or "") else "IP4",
        tones=tones,
    )


def _is(name: str, names: list[str] | tuple[str, ...]) -> bool:
    return name.lower() in (n.lower() for n in names)
