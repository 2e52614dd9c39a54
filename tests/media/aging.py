"""Legs that grow old while other tests run: RFC 4028 allows no session shorter than 90 s."""

from __future__ import annotations

from gateway.media.lease import Lease
from gateway.values import LegEnd, LegId, LegProfile
from tests.media.scene import Scene, target
from tests.peers.sip_message import SipMessage
from tests.peers.sip_phone import SipCall

REFRESHERS = {"lives": "uac", "gone": "uac", "forgets": "uas"}
"""Leg → who refreshes its session.  The far ends of the last two do not answer that, or forget."""
TIMER = (("session-expires", "90;refresher=uac"), ("require", "timer"))


class Aging:
    def __init__(self) -> None:
        self.scene = Scene()
        self.calls: dict[str, SipCall] = {}
        self.lease: Lease | None = None

    async def begin(self) -> None:
        phone = self.scene.phone
        await self.scene.pool.start()
        self.lease = lease = await self.scene.lend(3)
        for leg, refresher in REFRESHERS.items():
            mark = phone.messages.mark()
            profile = LegProfile(session_expires_s=90)
            await lease.open_sip_leg(LegId(leg), target(profile=profile))
            call = self.calls[leg] = await phone.incoming(since=mark)
            call.stream = phone.stream()
            timer = (("session-expires", f"90;refresher={refresher}"), ("require", "timer"))
            call.answer(200, "OK", "", *timer, ("allow", "INVITE, ACK, BYE, CANCEL, UPDATE"))
            await self.scene.told.that("answered", leg)
        phone.on_message = self._refreshed

    def _refreshed(self, message: SipMessage, _: float) -> None:
        """Only the leg that lives is answered."""
        ours = message.call_id == self.calls["lives"].call_id
        if ours and message.first.startswith("UPDATE "):
            phone = self.scene.phone
            phone.send(phone.refusal(message, 200, *TIMER, ("contact", phone.contact)))

    async def end_of(self, leg: str) -> LegEnd:
        end = await self.scene.told.that("closed", leg, 80)
        assert isinstance(end, LegEnd)
        return end
