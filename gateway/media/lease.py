"""One call's share of a worker; implements ``ports.WorkerLease``."""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ProcessDone, ProcessTerminated
from twisted.protocols.amp import Command, UnknownRemoteError

from gateway.calls.ports import LegAnswer, LegEvents, Sound
from gateway.errors import GatewayError, MediaFailed, SdpUnusable, WorkerLost
from gateway.media import commands as c
from gateway.media.peer_sdp import unusable
from gateway.media.process import WorkerProcess
from gateway.values import EXPECTED, HostPort, LegId, LegMedia, LegProfile, SipTarget, WorkerId

_NOT_TEXT: Final = re.compile(r"[\x00\ud800-\udfff]")


class Lease:
    def __init__(
        self, worker: WorkerProcess, sip: HostPort, legs: int, events: LegEvents, spare: int = 0
    ) -> None:
        """``spare`` of the legs are kept for those who join later."""
        self.worker: WorkerId = worker.id
        self.sip = sip
        self._process = worker
        self._legs = legs
        self._spare = spare
        self._events = events
        self._open: set[LegId] = set()
        self._releasing = self._released = False
        worker.lent(events, legs)

    async def _ask(self, command: type[Command], **values: Any) -> dict[str, Any]:
        if self._process.ended or self._released:
            raise WorkerLost("the media worker is gone")
        try:
            asked: Deferred[dict[str, Any]] = self._process.amp.callRemote(command, **values)
            return await asked
        except (ConnectionDone, ConnectionLost, ProcessDone, ProcessTerminated) as e:
            raise WorkerLost("the media worker is gone") from e
        except UnknownRemoteError as e:
            raise MediaFailed("the media worker failed at it") from e

    def _watch(self, leg: LegId) -> None:
        self._open.add(leg)
        self._process.watch(leg, self._events)

    def _unwatch(self, leg: LegId) -> None:
        self._process.unwatch(leg)

    async def open_sip_leg(self, leg: LegId, target: SipTarget) -> None:
        self._watch(leg)
        try:
            await self._ask(
                c.OpenLeg,
                leg=leg,
                uri=target.uri,
                to=target.to,
                from_uri=target.from_uri,
                from_name=target.from_name,
                flow=target.flow or "",
                joins=target.joins or "",
                headers=[{"name": n, "value": v} for n, v in target.headers],
                **c.profile_fields(target.profile),
            )
        except MediaFailed:
            self._unwatch(leg)
            raise

    async def expect_sip_leg(
        self, leg: LegId, profile: LegProfile = EXPECTED, joined: HostPort | None = None
    ) -> None:
        self._watch(leg)
        try:
            source = "" if joined is None else str(joined)
            await self._ask(c.ExpectLeg, leg=leg, source=source, **c.profile_fields(profile))
        except MediaFailed:
            self._unwatch(leg)
            raise

    async def answer(self, leg: LegId, code: int, text: str = "") -> None:
        await self._ask(c.Answer, leg=leg, code=code, text=text)

    async def open_app_leg(self, leg: LegId, offer: str) -> LegAnswer:
        self._watch(leg)
        try:
            return await self._offer(leg, offer, again=False)
        except BaseException:
            self._unwatch(leg)
            raise

    async def reoffer(self, leg: LegId, offer: str) -> LegAnswer:
        return await self._offer(leg, offer, again=True)

    async def _offer(self, leg: LegId, offer: str, *, again: bool) -> LegAnswer:
        size = len(offer.encode("utf-8", "replace"))
        if size > c.MAX_SDP:
            raise SdpUnusable(f"an offer of {size} bytes; {c.MAX_SDP} are allowed")
        if not offer.startswith("v=0") or _NOT_TEXT.search(offer):
            raise SdpUnusable("this is not SDP (RFC 8866)")
        if unusable(offer):
            raise SdpUnusable("no usable IPv4 address")
        answer = await self._ask(c.Offer, leg=leg, sdp=offer, again=again)
        media = LegMedia(answer["codec"], answer["clock_hz"], answer["secure"])
        return LegAnswer(answer["sdp"], media)

    async def connect(self, a: LegId, b: LegId) -> None:
        await self._ask(c.Connect, a=a, b=b)

    async def disconnect(self, a: LegId, b: LegId) -> None:
        await self._ask(c.Disconnect, a=a, b=b)

    async def listen(self, source: LegId, sink: LegId) -> None:
        await self._ask(c.Listen, source=source, sink=sink)

    async def unlisten(self, source: LegId, sink: LegId) -> None:
        await self._ask(c.Unlisten, source=source, sink=sink)

    async def mute(self, leg: LegId, muted: bool) -> None:
        await self._ask(c.Mute, leg=leg, muted=muted)

    async def hold(self, leg: LegId, held: bool) -> None:
        await self._ask(c.Hold, leg=leg, held=held)

    async def dtmf(self, leg: LegId, digits: str, duration_ms: int) -> None:
        await self._ask(c.SendDtmf, leg=leg, digits=digits, duration_ms=duration_ms)

    async def play(self, leg: LegId, sound: Sound) -> None:
        await self._ask(c.Play, leg=leg, sound=sound)

    async def stop(self, leg: LegId) -> None:
        await self._ask(c.Stop, leg=leg)

    async def close_leg(
        self,
        leg: LegId,
        code: int,
        text: str,
        cause: int | None = None,
        *,
        why: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        if self._process.ended or self._released:
            return
        await self._ask(
            c.CloseLeg,
            leg=leg,
            code=code,
            text=text,
            why=why or (f"SIP;cause={cause}" if cause else ""),
            retry_after_s=retry_after_s or 0,
        )

    async def notify(self, leg: LegId, code: int, text: str, *, final: bool) -> None:
        await self._ask(c.Notify, leg=leg, code=code, text=text, final=final)

    def widen(self, legs: int) -> bool:
        if not self._has_room(legs):
            return False
        self._process.widened(legs)
        self._legs += legs
        return True

    def share(self, legs: int, events: LegEvents) -> Lease | None:
        if not self._has_room(legs):
            return None
        return Lease(self._process, self.sip, legs, events)

    def _has_room(self, legs: int) -> bool:
        """Whether so many can be begun now; what was spared for it is there to be taken then."""
        if self._released or self._process.ended:
            return False
        spared = min(self._spare, legs)
        self._process.narrowed(spared)
        if self._process.free < legs:
            self._process.narrowed(-spared)
            return False
        self._spare -= spared
        self._legs -= spared
        return True

    async def release(self) -> None:
        if self._releasing:
            return
        self._releasing = True
        for leg in tuple(self._open):
            if self._process.events_of(leg) is not None:
                self._process.unwatch(leg)
                try:
                    await self.close_leg(leg, 480, "Temporarily Unavailable")
                except GatewayError:
                    break  # the worker is gone, and all with it
        self._released = True
        self._process.given_back(self._events, self._legs, self._open)
