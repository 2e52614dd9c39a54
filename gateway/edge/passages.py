"""SDP on its way through a dialog whose media is anchored in rtpengine: rewritten, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from twisted.internet.defer import Deferred, DeferredLock

from gateway.calls.ports import Anchor
from gateway.errors import GatewayError
from gateway.sip.message import Request, Response

log = structlog.get_logger()

M = TypeVar("M", Request, Response)


class Passage:
    """Of one dialog.  What comes while SDP is being rewritten waits behind it."""

    def __init__(self, anchor: Anchor, leg: str) -> None:
        self._anchor = anchor
        self.leg = leg
        self._queue = DeferredLock()
        self._made: dict[tuple[bytes, bool, bool], bytes] = {}  # lately, for what is repeated
        self.over = False

    @property
    def idle(self) -> bool:
        return not self._queue.locked

    async def rewritten(self, message: M, *, offer: bool, from_worker: bool) -> M:
        """With the other side's body; ``GatewayError`` where it cannot be."""
        await self._queue.acquire()
        try:
            body = message.body
            if not _describes(message):
                return message
            key = (body, offer, from_worker)
            made = self._made.get(key)
            if made is None:
                text = body.decode("utf-8", "replace")
                turn = self._anchor.offer if offer else self._anchor.answer
                made = (await turn(text, from_worker=from_worker)).encode()
                self._made = {**dict(list(self._made.items())[-3:]), key: made}
            return message.replaced(body=made)
        finally:
            self._queue.release()


def _describes(message: Request | Response) -> bool:
    """Whether it has SDP, alone or among others; an INFO's digits are none."""
    kind = (message.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    return bool(message.body) and (kind in ("", "application/sdp") or kind.startswith("multipart/"))


def pass_on(
    passage: Passage | None,
    message: M,
    *,
    offer: bool,
    from_worker: bool,
    go: Callable[[M], None],
    broke: Callable[[GatewayError], None],
) -> None:
    """Call ``go`` with the message as the other side is to see it, at once where it stays.

    ``broke`` is called instead where its SDP cannot be passed on.
    """
    if passage is None or (passage.idle and not _describes(message)):
        go(message)
        return

    async def work() -> None:
        try:
            ready = await passage.rewritten(message, offer=offer, from_worker=from_worker)
        except GatewayError as e:
            log.warning("sdp_not_passed_on", leg=passage.leg, why=str(e))
            broke(e)
            return
        if not passage.over:
            go(ready)

    Deferred.fromCoroutine(work()).addErrback(
        lambda f: log.error("sdp_broke", traceback=f.getTraceback())
    )
