"""In-app clients' media paths: browsers through rtpengine, plain RTP straight to the worker."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Final

import structlog
from twisted.internet.defer import DeferredLock

from gateway.calls.ports import AppMedia, PlainOffer
from gateway.errors import MediaFailed, SdpUnusable
from gateway.media.browser_sdp import MAX_BYTES, BrowserOffer, parse, read_offer
from gateway.media.engine_session import EngineSession, begun, sdp_of
from gateway.media.engines import Engines
from gateway.media.ng import NgRefused, NgSilent
from gateway.media.opus_share import LEGS_A_CORE, OpusShare
from gateway.media.rtp_stats import leg_stats
from gateway.settings import Settings
from gateway.values import CallId, LegId, LegStats

log = structlog.get_logger()

_DTLS: Final = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"})
_PLAIN: Final = frozenset({"RTP/AVP", "RTP/SAVP"})
_ENGINE_CODECS: Final = ("G722", "PCMU", "PCMA", "GSM", "speex")
"""Of the worker's codecs, those that rtpengine can encode."""


def profile(sdp: str) -> str:
    """The transport of the first audio section, in capitals; ``SdpUnusable`` for garbage."""
    parsed = parse(sdp)
    for section in parsed.media:
        if section.kind == "audio":
            return section.proto.upper()
    raise SdpUnusable("no audio: there is no m=audio line")


class WebRtcPaths:
    """Implements ``AppMediaPaths``."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        count: Callable[[int], None] = lambda _legs: None,
    ) -> None:
        """``count`` is told how many browsers have Opus."""
        self._settings = settings
        self._share = OpusShare(_most_opus(settings), count)
        self._engines = engines
        worker = [c for c in settings.media.codecs if c in _ENGINE_CODECS]
        self._worker_codecs: tuple[str, ...] = tuple(worker) or ("G722",)

    def path_for(self, call: CallId, leg: LegId, offer: str) -> AppMedia:
        proto = profile(offer)
        if proto in _DTLS:
            if not self._engines.all:
                raise SdpUnusable(f"{proto} is not taken here: webrtc.rtpengine is off")
            codecs = tuple(self._settings.webrtc.codecs)
            engines, share = self._engines, self._share
            return BrowserPath(call, leg, engines, share, codecs, self._worker_codecs)
        if proto in _PLAIN:
            if not self._settings.app.plain_rtp:
                raise SdpUnusable(
                    f"{proto} is not taken here (app.plain_rtp is off); "
                    "offer UDP/TLS/RTP/SAVPF as browsers do"
                )
            return StraightPath(proto)
        raise SdpUnusable(
            f"profile {proto[:40]} is not taken; right are UDP/TLS/RTP/SAVPF, and where "
            "app.plain_rtp is on RTP/AVP and RTP/SAVP"
        )


def _most_opus(settings: Settings) -> int | None:
    """As set; else by the cores that a managed rtpengine shares with us."""
    if settings.webrtc.opus_legs is not None:
        return settings.webrtc.opus_legs
    cores = len(os.sched_getaffinity(0))
    return LEGS_A_CORE * cores if settings.webrtc.rtpengine == "managed" else None


class StraightPath:
    """Implements ``AppMedia``: the worker speaks with the client itself."""

    def __init__(self, proto: str) -> None:
        self._proto = proto

    async def offer(self, sdp: str) -> PlainOffer:
        if profile(sdp) != self._proto:
            raise SdpUnusable(f"the call began with {self._proto} and keeps it")
        audio = parse(sdp).audio
        if audio is None:
            raise SdpUnusable("the audio's port is 0: it is switched off")
        if self._proto == "RTP/SAVP" and not audio.has_crypto:
            raise SdpUnusable("RTP/SAVP without a=crypto (RFC 4568): there is no key")
        return PlainOffer(sdp=sdp, secure=self._proto == "RTP/SAVP", codec=None)

    async def answer(self, sdp: str) -> str:
        return sdp

    async def stats(self) -> LegStats | None:
        return None

    async def close(self) -> None:
        return


BROWSER: Final = "browser"
WORKER: Final = "worker"


class BrowserPath:
    """Implements ``AppMedia``: DTLS-SRTP and ICE end in rtpengine, which relays or transcodes."""

    def __init__(
        self,
        call: CallId,
        leg: LegId,
        engines: Engines,
        share: OpusShare,
        codecs: tuple[str, ...],
        worker_codecs: tuple[str, ...],
    ) -> None:
        # unlike any other, also of a gateway that used this rtpengine before
        self._name = f"{call}/{leg}/{secrets.token_hex(4)}"
        self._engines = engines
        self._share = share
        self._codecs = codecs
        self._worker_codecs = worker_codecs
        self._one_at_a_time = DeferredLock()
        self._session: EngineSession | None = None
        self._offered: BrowserOffer | None = None
        self._closed = False

    async def offer(self, sdp: str) -> PlainOffer:
        if profile(sdp) not in _DTLS:
            raise SdpUnusable("the call began with DTLS-SRTP and keeps it")
        await self._one_at_a_time.acquire()
        try:
            if self._closed:
                raise MediaFailed("the media path is closed")
            before = None if self._offered is None else self._offered.codec
            offered = read_offer(sdp, lambda kbps: self._share.order(self._codecs, kbps, before))
            self._share.has(self._name, offered.codec)
            plain = await self._offer(offered)
            self._offered = offered
        finally:
            self._one_at_a_time.release()
        heard = offered.codec if self._transcodes(offered) else None
        return PlainOffer(sdp=plain, secure=True, codec=heard)

    async def answer(self, sdp: str) -> str:
        if len(sdp) > MAX_BYTES:
            raise MediaFailed(f"the worker's answer has {len(sdp)} bytes")
        await self._one_at_a_time.acquire()
        try:
            session, offered = self._session, self._offered
            if self._closed or session is None or offered is None:
                raise MediaFailed("there is no offer to answer")
            reply = await session.ask(
                "answer",
                from_tag=BROWSER,
                to_tag=WORKER,
                sdp=sdp,
                ICE="force",
                DTLS="passive",
                transport_protocol="UDP/TLS/RTP/SAVPF",
                rtcp_mux=["require"],
                replace=["origin"],
                flags=["trust-address"],
            )
            return offered.answer(sdp_of(reply))
        finally:
            self._one_at_a_time.release()

    async def stats(self) -> LegStats | None:
        """``None`` where rtpengine relays: RTCP then passes it, and the worker's leg knows.

        ``MediaFailed`` when rtpengine has lost the session.
        """
        session, offered = self._session, self._offered
        if session is None or offered is None or self._closed:
            return None
        try:
            reply = await session.ask("query")
        except NgSilent:
            return None  # late is not lost
        except NgRefused as e:
            if self._session is not session:
                return None
            raise MediaFailed(f"rtpengine lost this call: {e.reason}") from e
        if not self._transcodes(offered):
            return None
        return leg_stats(reply, BROWSER, WORKER, offered.codec)

    def _transcodes(self, offered: BrowserOffer) -> bool:
        return offered.codec not in self._worker_codecs

    async def close(self) -> None:
        self._closed = True
        self._share.gone(self._name)
        await self._one_at_a_time.acquire()
        try:
            await self._drop()
        finally:
            self._one_at_a_time.release()

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.delete()

    async def _offer(self, offered: BrowserOffer) -> str:
        """By the engine that has the call, or by the best one for a new (or lost) call."""
        session = self._session
        if session is not None and (session.gone or not session.engine.up):
            log.warning("rtpengine_session_lost", session=self._name, engine=session.engine.name)
            await self._drop()
        if self._session is None:
            self._session, plain = await begun(
                self._engines, self._name, BROWSER, lambda new: self._request(offered, new)
            )
            return plain
        session = self._session
        return sdp_of(await session.ask("offer", **self._request(offered, session)))

    def _request(self, offered: BrowserOffer, session: EngineSession) -> dict[str, object]:
        request: dict[str, object] = {
            "from_tag": BROWSER,
            "sdp": offered.engine_sdp,
            "ICE": "remove",
            "DTLS_reverse": "passive",
            "transport_protocol": "RTP/AVP",
            "rtcp_mux": ["demux"],
            "replace": ["origin"],
            "flags": ["trust-address"],
        }
        if session.engine.split:
            request["direction"] = ["pub", "priv"]
        if self._transcodes(offered):
            request["flags"] = ["trust-address", "generate-RTCP"]
            request["codec"] = {
                "consume": [offered.codec],
                "transcode": [self._worker_codecs[0]],
            }
        return request
