"""An in-app client's leg: its media path and its leg in the worker, as one."""

from __future__ import annotations

from typing import Protocol

import structlog
from twisted.internet.defer import DeferredLock

from gateway.calls.events import AppEvent, Media
from gateway.calls.legs import LegOwner, LegTable
from gateway.calls.ports import AppMedia, AppMediaPaths, LegAnswer, PlainOffer, WorkerLease
from gateway.errors import WrongState
from gateway.values import CallId, LegId, LegKind, LegMedia, LegStats

log = structlog.get_logger()


class AppLegRoom(Protocol):
    """What of its call an app leg uses."""

    id: CallId
    lease: WorkerLease
    legs: LegTable
    paths: AppMediaPaths


class AppLeg:
    """Made at the client's first offer; later offers (ICE restart) go over the same leg."""

    def __init__(self, room: AppLegRoom, owner: LegOwner) -> None:
        self._room = room
        self._owner = owner
        self._path: AppMedia | None = None
        self._one_at_a_time = DeferredLock()
        self._closed = False
        self.id: LegId | None = None
        self.media: LegMedia | None = None

    async def offer(self, sdp: str) -> AppEvent:
        """Negotiate a client's offer; the answer is the event to send.

        ``SdpUnusable`` (nothing is left of a first offer that fails), ``WrongState``
        once the leg is closed.
        """
        await self._one_at_a_time.acquire()
        try:
            if self._closed:
                raise WrongState("media", "ended")
            return await (self._first(sdp) if self.id is None else self._again(self.id, sdp))
        finally:
            self._one_at_a_time.release()

    async def _first(self, sdp: str) -> AppEvent:
        room = self._room
        leg = room.legs.new(self._owner, LegKind.APP)
        path: AppMedia | None = None
        opened = False
        try:
            self._path = path = room.paths.path_for(room.id, leg, sdp)
            plain = await path.offer(sdp)
            answer = await room.lease.open_app_leg(leg, plain.sdp)
            opened = True
            if self._closed:  # the call ended meanwhile
                raise WrongState("media", "ended")
            event = await self._answered(path, plain, answer)
        except BaseException:
            self._path = None
            room.legs.forget(leg)  # first, so that its closing is not taken for a hang-up
            if opened:
                await room.lease.close_leg(leg, 488, "Not Acceptable Here")
            if path is not None:
                await path.close()
            raise
        self.id = leg
        return event

    async def _again(self, leg: LegId, sdp: str) -> AppEvent:
        path = self._path
        if path is None:
            raise WrongState("media", "ended")
        plain = await path.offer(sdp)
        answer = await self._room.lease.reoffer(leg, plain.sdp)
        return await self._answered(path, plain, answer)

    async def _answered(self, path: AppMedia, plain: PlainOffer, answer: LegAnswer) -> AppEvent:
        sdp = await path.answer(answer.sdp)
        codec = plain.codec or answer.media.codec
        self.media = LegMedia(
            codec=codec,
            clock_hz=answer.media.clock_hz,
            secure=plain.secure or answer.media.secure,
        )
        return Media(call=self._room.id, sdp=sdp, codec=codec)

    async def path_stats(self) -> LegStats | None:
        return None if self._path is None else await self._path.stats()

    async def close(self) -> None:
        """Close the worker's leg, then the path.  Idempotent."""
        self._closed = True
        path, self._path = self._path, None
        try:
            if self.id is not None and self.id in self._room.legs:
                await self._room.lease.close_leg(self.id, 200, "OK")
        finally:
            if path is not None:
                await path.close()
