"""A telephone: trunk after trunk, target after target, until one takes the call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import structlog
from twisted.internet.defer import Deferred

from gateway.calls.anchorage import far_of_trunk
from gateway.calls.identity_ports import Attestor
from gateway.calls.machine import State
from gateway.calls.ports import Prompt
from gateway.calls.reasons import Ending, Retry, from_answered, from_trunk, retry_of
from gateway.calls.record import Acceptance
from gateway.calls.sides import Callee, Room, close_leg
from gateway.calls.trunk_ports import Carriers
from gateway.errors import GatewayError, Unlocatable
from gateway.routing.enum import domain_of
from gateway.settings import Trunk
from gateway.sip.identity import Shown, identity_headers
from gateway.values import (
    Attestation,
    Hop,
    LegEnd,
    LegId,
    LegKind,
    LegMedia,
    Party,
    Reason,
    SipAddress,
    SipTarget,
    TelAddress,
)

log = structlog.get_logger()

MAX_REDIRECTS: Final = 3
_NUMBER: Final = re.compile(r"(?:sip:|tel:)(\+[1-9][0-9]{1,14})(?:[@;]|$)", re.I)
CONFIRM_DIGIT: Final = "1"
CONFIRM_PROMPT: Final = Prompt("prompt:press-1")
PATIENCE: Final = "X-DMGW-Patience"
REMOVE: Final = "X-DMGW-Remove"


@dataclass(frozen=True, slots=True)
class Way:
    """One trunk that a call may take, and as whom.  ``caller_id`` empty: withheld."""

    trunk: str
    number: str
    caller_id: str
    confirm: bool = False
    announcements: bool = False
    attestation: Attestation = "C"


class TrunkCallee(Callee):
    """Accepted by answering and, where the way says so, by pressing 1 besides."""

    def __init__(
        self,
        room: Room,
        address: TelAddress,
        ways: Sequence[Way],
        carriers: Carriers,
        attestor: Attestor | None = None,
        first: Callable[[], Awaitable[Sequence[Way]]] | None = None,
    ) -> None:
        """``first`` finds ways that go before the others."""
        super().__init__(room, address)
        self._first = first
        self._attestor = attestor
        self._ways = ways
        self._carriers = carriers
        self._way: Way | None = None
        self._held: str | None = None
        self._trying: LegId | None = None
        self._outcome: Deferred[LegEnd | None] | None = None
        self._early: LegMedia | None = None
        self._last = LegEnd(503, "No trunk has room", remote=False)
        self._confirming = False

    @property
    def trunk(self) -> str | None:
        """Which is tried, or has taken the call."""
        return None if self._way is None else self._way.trunk

    # -- placing the call

    def alert(self) -> None:
        self.room.run("trunks", self._place())

    async def _place(self) -> None:
        """Good targets of every way first, those in doubt when nothing else is left."""
        doubtful: list[tuple[Way, Hop]] = []
        if self._first is not None:
            found = await self._first()
            self._ways = (*found, *(way for way in self._ways if way not in found))
        for way in self._ways:
            standing = await self._standing(way)
            if standing is None:
                continue
            good, bad = standing
            doubtful += [(way, hop) for hop in bad]
            if not await self._over(way, good):
                return
        for way, hop in doubtful:
            if not await self._over(way, (hop,)):
                return
        by = Party.CALLEE if self._last.remote else Party.GATEWAY
        self.room.end(Ending.of(from_trunk(self._last), by, self._last))

    async def _standing(self, way: Way) -> tuple[tuple[Hop, ...], tuple[Hop, ...]] | None:
        try:
            standing = await self._carriers.targets(way.trunk)
        except Unlocatable as e:
            log.warning("trunk_not_located", call=self.room.id, trunk=way.trunk, why=str(e))
            return None
        return standing.good, standing.doubtful

    async def _over(self, way: Way, hops: Sequence[Hop]) -> bool:
        """Try these targets of a way; whether another way is to be tried."""
        for hop in hops:
            if not self._carriers.begin(way.trunk):
                log.info("trunk_full", call=self.room.id, trunk=way.trunk)
                return True
            self._held = way.trunk
            end = await self._attempt(way, hop)
            for _ in range(MAX_REDIRECTS):
                number = self._redirected(way, end)
                if number is None or not await self._drop_leg():
                    break
                way = replace(way, number=number)
                end = await self._attempt(way, hop)
            if end is None:
                return False
            await self._give_back()
            retry = retry_of(end)
            self._carriers.tried(way.trunk, hop, worked=retry is Retry.NONE)
            log.info(
                "trunk_refused",
                call=self.room.id,
                trunk=way.trunk,
                target=str(hop.address),
                code=end.code,
                text=end.text,
            )
            self._last = end
            if retry is Retry.NONE:
                self.room.end(Ending.of(from_trunk(end), Party.CALLEE, end))
                return False
            if retry is Retry.TRUNK:
                return True
        return True

    async def _attempt(self, way: Way, hop: Hop) -> LegEnd | None:
        """One INVITE; ``None`` once it rings or is answered, else how it failed."""
        room = self.room
        leg = room.legs.new(self, LegKind.SIP)
        self._way, self._trying, self._early = way, leg, None
        outcome: Deferred[LegEnd | None] = Deferred()
        self._outcome = outcome
        far = far_of_trunk(self._carriers.trunk(way.trunk), hop)
        if far is not None:
            room.anchorage.stand(leg, far)
        try:
            await room.lease.open_sip_leg(leg, self._target(way, hop))
        except GatewayError as e:
            room.legs.forget(leg)
            return LegEnd(e.sip_code, str(e), remote=False)
        log.info("trunk_tried", call=room.id, trunk=way.trunk, target=str(hop.address), leg=leg)
        end: LegEnd | None = await outcome
        if end is None:
            self._carriers.tried(way.trunk, hop, worked=True)
        return end

    def _target(self, way: Way, hop: Hop) -> SipTarget:
        trunk = self._carriers.trunk(way.trunk)
        domain = domain_of(trunk)
        uri = f"sip:{way.number}@{domain};user=phone"
        shown = self._shown(way, trunk, domain)
        headers = [(PATIENCE, f"{trunk.first_response_s:g}"), *shown.headers]
        headers += self._signature(way)
        headers += trunk.headers.add.items()
        if trunk.headers.remove:
            headers.append((REMOVE, ", ".join(trunk.headers.remove)))
        return SipTarget(
            uri=uri,
            to=uri,
            from_uri=shown.from_uri,
            from_name=shown.from_name,
            flow=hop.flow,
            headers=tuple(headers),
            profile=self._carriers.profile(way.trunk),
        )

    def _shown(self, way: Way, trunk: Trunk, domain: str) -> Shown:
        """By a number of ours; a person's handle and own number stay here."""
        if not way.caller_id:
            nobody = SipAddress("anonymous", "anonymous.invalid")
            return identity_headers(nobody, "", privacy=True, trusted=False, domain=domain)
        number = TelAddress(way.caller_id)
        name = self.room.caller_name
        return identity_headers(number, name, privacy=False, trusted=trunk.trusted, domain=domain)

    def _signature(self, way: Way) -> list[tuple[str, str]]:
        """RFC 8224 §6.1; a call without a number of ours, or to no E.164 number, has none."""
        if self._attestor is None or not way.caller_id or not way.number.startswith("+"):
            return []
        now = self.room.now()
        value = self._attestor.sign(way.caller_id, way.number, way.attestation, now)
        return [("Identity", value)]

    def _settled(self, end: LegEnd | None) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            outcome.callback(end)

    def _redirected(self, way: Way, end: LegEnd | None) -> str | None:
        """The number that a 3xx names instead, where the trunk's are followed.

        The request goes to the trunk again, wherever the 3xx would send it.
        """
        if end is None or not 300 <= end.code < 400:
            return None
        if not self._carriers.trunk(way.trunk).redirects:
            return None
        found = (_NUMBER.match(uri) for uri in end.contacts)
        number = next((m[1] for m in found if m is not None), None)
        if number is not None:
            log.info("trunk_redirects", call=self.room.id, trunk=way.trunk, code=end.code)
        return number

    async def _drop_leg(self) -> bool:
        if self._trying is not None:
            await self.room.anchorage.drop(self._trying)
            self._trying = None
        return self.room.state is not State.ENDED

    async def _give_back(self) -> None:
        """What an attempt that failed held."""
        self._let_go()
        if self._trying is not None:
            await self.room.anchorage.drop(self._trying)
            self._trying = None

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._carriers.end(held)

    # -- its leg

    def on_ringing(self, leg: LegId, code: int) -> None:
        if leg == self._trying:
            self._settled(None)
            self.room.alerting()

    def on_answered(self, leg: LegId) -> None:
        if leg != self._trying or self.leg is not None:
            return
        self._settled(None)
        self.leg = leg
        if self._way is not None and self._way.confirm:
            self._confirming = True
            self.room.alerting()
            self.room.run("confirm", self.room.lease.play(leg, CONFIRM_PROMPT))
            return
        self._accepted("sip_answer")

    def _accepted(self, means: Literal["sip_answer", "sip_confirm"]) -> None:
        self._confirming = False
        self.room.accept(Acceptance(self.room.now(), means, self.address))
        early, self._early = self._early, None
        if early is not None and self.leg is not None:
            super().on_media(self.leg, early)

    def on_dtmf(self, leg: LegId, digit: str, duration_ms: int) -> None:
        if not self._confirming:
            super().on_dtmf(leg, digit, duration_ms)
        elif digit == CONFIRM_DIGIT:
            self.room.run("confirmed", self.room.lease.stop(leg))
            self._accepted("sip_confirm")

    def on_media(self, leg: LegId, media: LegMedia) -> None:
        if leg == self.leg and not self._confirming:
            super().on_media(leg, media)
        elif leg == self._trying:
            self._early = media
            if self._way is not None and self._way.announcements and not self._confirming:
                self.announcing_leg = leg
                self.room.announcing()

    def on_closed(self, leg: LegId, end: LegEnd) -> None:
        if leg != self._trying:
            return
        if self._outcome is not None:
            self._settled(end)
            return
        self._trying = None
        answered, self.leg = self.leg is not None and not self._confirming, None
        by = Party.CALLEE if end.remote else Party.GATEWAY
        if self._confirming and end.remote:
            self.room.end(Ending(Reason.NO_ANSWER, by))  # nobody pressed 1
        else:
            reason = from_answered(end) if answered else from_trunk(end)
            self.over(Ending.of(reason, by, end))

    def close(self, ending: Ending) -> None:
        if self._trying is not None and self._trying in self.room.legs:
            self.room.run("close_leg", close_leg(self.room, self._trying, ending))

    def released(self) -> None:
        self._let_go()

    @property
    def may_transfer(self) -> bool:
        return self._way is not None and self._carriers.trunk(self._way.trunk).transfers
