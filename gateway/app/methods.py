"""What each request of a signed-in client does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from gateway.app import messages, rpc
from gateway.app.pass_methods import PassMethods
from gateway.app.people_methods import PeopleMethods
from gateway.app.pin_methods import PinMethods
from gateway.app.relay import Relay
from gateway.app.review_methods import ReviewMethods
from gateway.app.rpc import RpcFailure
from gateway.app.session import Session
from gateway.app.sessions import Sessions
from gateway.calls.ports import DmCalls, History
from gateway.calls.record import HistoryItem
from gateway.errors import BadAddress, GatewayError, RateLimited
from gateway.values import Client

log = structlog.get_logger()

Result = dict[str, Any]
Work = Callable[[], Awaitable[Result]]

LONG: Final = frozenset({"call.dtmf", "call.transfer"})
"""Methods that may take seconds and must not hold up the client's others."""
UNDER_WAY: Final = frozenset(
    {
        "call.accept",
        "call.decline",
        "call.hangup",
        "call.mute",
        "call.hold",
        "call.dtmf",
        "call.media",
        "call.feedback",
        "call.report",
    }
)
"""Methods about a call that there is: whoever is taken out of the rollout meanwhile can end it."""
_BUSY_RETRY_S = 1.0


class Methods:
    def __init__(
        self,
        calls: DmCalls,
        history: History,
        sessions: Sessions,
        pins: PinMethods,
        reviews: ReviewMethods,
        people: PeopleMethods,
        passes: PassMethods,
        relay: Relay | None = None,
    ) -> None:
        self._included = people.included
        self._calls = calls
        self._history = history
        self._sessions = sessions
        self._readers: dict[str, Callable[[Client, Any], Work]] = {
            "call.invite": self._invite,
            "call.accept": self._accept,
            "call.decline": self._decline,
            "call.hangup": self._hangup,
            "call.mute": self._mute,
            "call.hold": self._hold,
            "call.dtmf": self._dtmf,
            "call.media": self._media,
            "call.transfer": self._transfer,
            "call.add": self._add,
            "call.whisper": self._whisper,
            "call.listen": self._listen,
            "call.mute_all": self._mute_all,
            "call.feedback": reviews.feedback,
            "call.report": reviews.report,
            "history.list": self._list,
            "history.delete": reviews.delete,
            "pin.create": pins.create,
            "pin.list": pins.list,
            "pin.revoke": pins.revoke,
            **people.readers(),
            **passes.readers(),
            **(relay.readers() if relay is not None else {}),
        }

    def take(self, session: Session, request: rpc.Request) -> None:
        """Work on a request in its turn, and answer it through the session."""

        def tell(refused: RpcFailure) -> None:
            if request.answered:
                session.tell(rpc.failure(request.id, refused))

        def too_many() -> None:
            tell(refusal(RateLimited("requests that wait for their turn", _BUSY_RETRY_S)))

        reader = self._readers.get(request.method)
        here = request.method in UNDER_WAY or self._included(session.client.principal)
        if reader is None or not here:
            tell(RpcFailure(rpc.METHOD_NOT_FOUND, "no such method"))
            return
        try:
            work = reader(session.client, request.params)
        except RpcFailure as refused:
            tell(refused)
            return

        async def job() -> None:
            try:
                value = await work()
            except GatewayError as e:
                tell(refusal(e))
            except Exception:  # a fault of ours must not end the socket, nor pass unseen
                log.exception("request_failed", method=request.method, client=session.client.id)
                tell(RpcFailure(rpc.INTERNAL_ERROR, "the gateway failed; the fault is logged"))
            else:
                if request.answered:
                    session.tell(rpc.result(request.id, value))

        if not session.lanes.submit(job, long=request.method in LONG, full=too_many):
            too_many()

    # -- one reader a method: checks the params at once, and says what is to be done

    def _invite(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallInvite, params)

        async def work() -> Result:
            self._sessions.take_invite(client.principal.handle)
            call = await self._calls.invite(client, m.address, m.thread, m.sdp)
            return {"call": call, "state": "inviting"}

        return work

    def _accept(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallAccept, params)
        return _empty(lambda: self._calls.accept(client, m.id, m.sdp))

    def _decline(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallDecline, params)
        return _empty(lambda: self._calls.decline(client, m.id, m.reason))

    def _hangup(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallHangup, params)
        return _empty(lambda: self._calls.hangup(client, m.id))

    def _mute(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallMute, params)
        return _empty(lambda: self._calls.mute(client, m.id, m.muted))

    def _hold(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallHold, params)
        return _empty(lambda: self._calls.hold(client, m.id, m.held))

    def _dtmf(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallDtmf, params)
        return _empty(lambda: self._calls.dtmf(client, m.id, m.digits, m.duration_ms))

    def _media(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallMedia, params)

        async def work() -> Result:
            return {"sdp": await self._calls.media(client, m.id, m.sdp)}

        return work

    def _transfer(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallTransfer, params)
        return _empty(lambda: self._calls.transfer(client, m.id, m.to))

    def _add(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallAdd, params)
        return _empty(lambda: self._calls.add(client, m.id, m.to))

    def _whisper(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallWhisper, params)
        return _empty(lambda: self._calls.whisper(client, m.id, m.to))

    def _listen(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallListen, params)
        return _empty(lambda: self._calls.listen(client, m.id, m.listening))

    def _mute_all(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.CallMuteAll, params)
        return _empty(lambda: self._calls.mute_all(client, m.id, m.muted))

    def _list(self, client: Client, params: Any) -> Work:
        m = messages.read(messages.HistoryList, params)

        async def work() -> Result:
            limit = m.limit
            while True:
                page = await self._history.list(
                    client.principal.address, m.before, limit, m.with_, m.missed
                )
                result: Result = {"calls": [_history_item(item) for item in page.calls]}
                if page.next is not None:
                    result["next"] = page.next
                # a page must fit in a frame: names and threads may be long
                if limit == 1 or len(rpc.result(None, result).encode()) <= rpc.PAGE_BYTES:
                    return result
                limit //= 2

        return work


def _empty(act: Callable[[], Awaitable[None]]) -> Work:
    async def work() -> Result:
        await act()
        return {}

    return work


def _history_item(item: HistoryItem) -> Result:
    out: Result = {
        "call": item.call,
        "direction": item.direction,
        "with": {"address": str(item.with_), "name": item.with_name},
        "at": item.at,
        "missed": item.missed,
        "duration_s": item.duration_s,
    }
    if item.thread is not None:
        out["thread"] = item.thread
    if item.connected_at is not None:
        out["connected_at"] = item.connected_at
    if item.reason is not None:
        out["reason"] = str(item.reason)
    if item.rule is not None:
        out["rule"] = item.rule
    return out


def refusal(e: GatewayError) -> RpcFailure:
    """What a client is told of one of our errors."""
    if isinstance(e, BadAddress):
        return rpc.bad_fields([("to", str(e))])
    if e.rpc_code == rpc.INTERNAL_ERROR:
        log.error("request_failed", error=str(e), kind=type(e).__name__)
    return RpcFailure(e.rpc_code, str(e), e.data())
