"""Recording fakes of everything that the calls room meets, and a clock that tests advance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gateway.calls.events import AppEvent
from gateway.calls.outside import Outside
from gateway.calls.people_ports import PeopleFacts
from gateway.calls.pin_ports import Redeemed
from gateway.calls.ports import LegAnswer, LegEvents, PlainOffer
from gateway.calls.record import CallRecord
from gateway.calls.registry import CallRegistry
from gateway.calls.trunk_ports import Standing
from gateway.errors import GatewayError, NoCapacity, SdpUnusable
from gateway.policy.identity import Identities, Identity
from gateway.policy.people import Person
from gateway.policy.rules import chain_of
from gateway.routing.dialplan import compile_plan
from gateway.settings import (
    CallsSection,
    DialInSection,
    LimitsSection,
    RoutingSection,
    Settings,
    Trunk,
)
from gateway.values import (
    EXPECTED,
    CallId,
    Client,
    ClientId,
    Contact,
    FarSide,
    Hop,
    HostPort,
    LegEnd,
    LegId,
    LegMedia,
    LegProfile,
    LegStats,
    Principal,
    SipAddress,
    SipTarget,
    WorkerId,
    parse_address,
)

PCMU = LegMedia("PCMU", 8000, secure=False)


class Lease:
    worker = WorkerId(1)
    sip = HostPort("127.0.0.1", 40001)

    def __init__(self, log: list[str], events: LegEvents) -> None:
        self.log = log
        self.events = events
        self.targets: dict[LegId, SipTarget] = {}
        self.failing: dict[str, GatewayError] = {}
        self.released = False
        self.wide = True
        self.shares: list[Lease] = []
        self.connecting: Deferred[None] | None = None
        self.known: set[LegId] = set()

    def _do(self, *words: object) -> None:
        self.log.append(" ".join(str(w) for w in words))
        if words[0] in self.failing:
            raise self.failing[str(words[0])]

    async def open_sip_leg(self, leg: LegId, target: SipTarget) -> None:
        self.targets[leg] = target
        self.known.add(leg)
        self._do("open_sip_leg", leg, target.uri)

    async def expect_sip_leg(
        self, leg: LegId, profile: LegProfile = EXPECTED, joined: HostPort | None = None
    ) -> None:
        self.known.add(leg)
        self._do("expect", leg, *([joined] if joined else []))

    async def notify(self, leg: LegId, code: int, text: str, *, final: bool) -> None:
        self._do("notify", leg, code, "final" if final else "so far")

    def widen(self, legs: int) -> bool:
        self._do("widen", legs)
        return self.wide

    def share(self, legs: int, events: LegEvents) -> Lease | None:
        self._do("share", legs)
        if not self.wide:
            return None
        self.shares.append(Lease(self.log, events))
        return self.shares[-1]

    async def answer(self, leg: LegId, code: int, text: str = "") -> None:
        self._do("answer", leg, code)

    async def open_app_leg(self, leg: LegId, offer: str) -> LegAnswer:
        self.known.add(leg)
        self._do("open_app_leg", leg)
        return LegAnswer("worker-answer", PCMU)

    async def reoffer(self, leg: LegId, offer: str) -> LegAnswer:
        self._do("reoffer", leg)
        return LegAnswer("worker-answer-2", PCMU)

    async def connect(self, a: LegId, b: LegId) -> None:
        self._do("connect", a, b)
        if self.connecting is not None:
            await self.connecting

    async def disconnect(self, a: LegId, b: LegId) -> None:
        self._do("disconnect", a, b)

    async def listen(self, source: LegId, sink: LegId) -> None:
        self._do("listen", source, sink)

    async def unlisten(self, source: LegId, sink: LegId) -> None:
        self._do("unlisten", source, sink)

    async def mute(self, leg: LegId, muted: bool) -> None:
        self._do("mute", leg, muted)

    async def hold(self, leg: LegId, held: bool) -> None:
        self._do("hold", leg, held)

    async def dtmf(self, leg: LegId, digits: str, duration_ms: int) -> None:
        self._do("dtmf", leg, digits, duration_ms)

    async def play(self, leg: LegId, sound: str) -> None:
        self._do("play", leg, sound)

    async def stop(self, leg: LegId) -> None:
        self._do("stop", leg)

    async def close_leg(
        self, leg: LegId, code: int, text: str, cause: int | None = None, **said: object
    ) -> None:
        self._do("close", leg, code, cause)
        if leg in self.known:  # a worker says nothing of legs it never had
            self.known.discard(leg)
            self.events.leg_closed(leg, LegEnd(code, text, remote=False))

    async def release(self) -> None:
        self._do("release")
        self.released = True


class Path:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def offer(self, sdp: str) -> PlainOffer:
        if sdp == "bad":
            raise SdpUnusable("no audio")
        return PlainOffer(sdp, secure=sdp == "dtls", codec="opus" if sdp == "dtls" else None)

    async def answer(self, sdp: str) -> str:
        return f"client-{sdp}"

    async def stats(self) -> LegStats | None:
        return None

    async def close(self) -> None:
        self.log.append("path closed")


class Anchor:
    def __init__(self, log: list[str], leg: LegId) -> None:
        self.log = log
        self.leg = leg
        log.append(f"anchor {leg}")

    async def offer(self, sdp: str, *, from_worker: bool) -> str:
        if "bad" in sdp:
            raise SdpUnusable("no audio")
        return f"plain {sdp}"

    async def answer(self, sdp: str, *, from_worker: bool) -> str:
        return sdp

    async def close(self) -> None:
        self.log.append(f"anchor of {self.leg} closed")


class Carriers:
    """Trunks with targets that tests set; ``held`` is what calls have taken of each."""

    def __init__(self, trunks: tuple[Trunk, ...]) -> None:
        self._trunks = {t.name: t for t in trunks}
        self.standing: dict[str, Standing | GatewayError] = {}
        self.held: Counter[str] = Counter()
        self.full: set[str] = set()
        self.told: list[str] = []

    def trunk(self, name: str) -> Trunk:
        return self._trunks[name]

    def profile(self, name: str) -> LegProfile:
        return LegProfile(username=name)

    async def targets(self, name: str) -> Standing:
        found = self.standing.get(name, Standing())
        if isinstance(found, GatewayError):
            raise found
        return found

    def begin(self, name: str) -> bool:
        if name in self.full:
            return False
        self.held[name] += 1
        return True

    def end(self, name: str) -> None:
        self.held[name] -= 1

    def tried(self, name: str, hop: Hop, *, worked: bool) -> None:
        self.told.append(f"{name} {hop.address} {'worked' if worked else 'failed'}")


class Book:
    """People that tests set: by ``user:HANDLE``, or the address of who has none."""

    def __init__(self) -> None:
        self.people: dict[str, Person] = {}
        self.parts: tuple[object, ...] = ()
        self.counted: list[str] = []
        self.gate: Deferred[None] | None = None
        self.failing: GatewayError | None = None

    def set(self, address: str, **known: Any) -> None:
        before = self.people.get(address, Person(parse_address(address)))
        self.people[address] = replace(before, **known)

    async def facts(self, caller: Identity, callee: Identity, now: float) -> PeopleFacts:
        if self.gate is not None:
            await self.gate
        if self.failing is not None:
            raise self.failing
        one, other = (self.people.get(str(i.person), Person(i.person)) for i in (caller, callee))
        return PeopleFacts(one, other, self.parts)

    async def rang(self, caller: Identity, callee: Identity, now: float) -> None:
        self.counted.append(f"rang {caller.person} {callee.person}")

    async def answered(self, caller: Identity, callee: Identity) -> None:
        self.counted.append(f"answered {caller.person} {callee.person}")


def people_settings(**sections: Any) -> Settings:
    """Settings that say whose is what."""
    token = {"token": {"secret": "a secret of the tests, long enough for HS256"}}
    return Settings.model_validate({"app": token, **sections})


class World:
    """The outside of the registry; ``log`` is what was asked of workers, in order."""

    def __init__(
        self,
        routing: RoutingSection | None = None,
        trunks: tuple[Trunk, ...] = (),
        identities: Settings | None = None,
        policy: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.carriers = Carriers(trunks)
        self.standing: set[LegId] = set()
        self.log: list[str] = []
        self.told: list[tuple[str, AppEvent]] = []
        self.saved: list[CallRecord] = []
        self.metered: list[str] = []
        self.online: dict[str, list[Client]] = {}
        self.bindings: dict[str, list[Contact]] = {}
        self.lease: Lease | None = None
        self.leases: dict[str, Lease] = {}
        self.full = False
        self.save_gate: Deferred[None] | None = None
        self.book = Book()
        self._new_id = iter(f"c{n}" for n in range(1, 100)).__next__
        self.outside = Outside(
            pool=self,
            anchors=self,
            anchored=self,
            carriers=self.carriers,
            dial_plan=compile_plan(routing or RoutingSection()),
            chance=lambda: 0.5,
            pins=self,
            dialin=DialInSection(),
            people=self.book,
            identities=Identities(identities or people_settings()),
            chain=chain_of(people_settings(calls=settings, **(policy or {}))),
            limits=LimitsSection(),
            paths=self,
            clients=self,
            locations=self,
            records=self,
            meters=self,
            quality=self,
            clock=self.clock,  # type: ignore[arg-type]  # Clock is IReactorTime
            domain="dm.localhost",
            settings=CallsSection(**settings),
            media_wait_s=10,
            legs_per_worker=4,
            ringback=True,
        )
        self.settle()

    def settle(self, **outside: Any) -> None:
        """A registry for an outside that differs in this from now on."""
        self.outside = replace(self.outside, **outside)
        self.registry = CallRegistry(self.outside, self._new_id)

    # what tests do

    def person(self, handle: str, client: str | None = None) -> Client:
        signed_in = Client(ClientId(client or handle), Principal(handle, handle.title()))
        self.online.setdefault(handle, []).append(signed_in)
        return signed_in

    def softphone(self, user: str, *uris: str) -> None:
        contacts = [Contact(u, f"flow-{u}", 1e9) for u in uris]
        self.bindings[f"sip:{user}@dm.localhost"] = contacts

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to its end, with the turn of the reactor that follows."""
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        self.clock.advance(0)
        assert results, "did not finish"
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]

    def events(self, client: str) -> list[str]:
        return [event.METHOD for who, event in self.told if who == client]

    def last(self, client: str) -> dict[str, Any]:
        return [event.params() for who, event in self.told if who == client][-1]

    @property
    def worker(self) -> Lease:
        assert self.lease is not None
        return self.lease

    @property
    def legs(self) -> LegEvents:
        return self.worker.events

    def legs_of(self, call: str) -> LegEvents:
        """Of a call, also of one that shares another's worker."""
        for lease in self.leases.values():
            for found in (lease, *lease.shares):
                if found.events._call == call:  # type: ignore[attr-defined]
                    return found.events
        raise AssertionError(f"no legs of {call}")

    # ports

    async def lend(self, call: CallId, legs: int, events: LegEvents, spare: int = 0) -> Lease:
        if self.full:
            raise NoCapacity("no worker")
        self.lease = Lease(self.log, events)
        self.leases[call] = self.lease
        return self.lease

    def path_for(self, call: CallId, leg: LegId, offer: str) -> Path:
        return Path(self.log)

    def needed(self, offer: str) -> bool:
        return "dtls" in offer

    def anchor(self, call: CallId, leg: LegId, far: FarSide | None) -> Anchor:
        return Anchor(self.log, leg)

    def anchored(self, leg: LegId, anchor: object) -> None:
        (self.standing.add if anchor is not None else self.standing.discard)(leg)

    async def redeem(self, digits: str, caller: str, now: float) -> Redeemed | None:
        self.log.append(f"redeem {digits} {caller}")
        return Redeemed("p1", "bob") if digits == "12345678" else None

    async def used(self, pin: str) -> None:
        self.log.append(f"used {pin}")

    async def give_back(self, pin: str) -> None:
        self.log.append(f"give back {pin}")

    def clients_of(self, handle: str) -> Sequence[Client]:
        return tuple(self.online.get(handle, ()))

    def notify(self, client: ClientId, event: AppEvent) -> None:
        self.told.append((client, event))

    def is_account(self, aor: SipAddress) -> bool:
        return str(aor) in self.bindings

    def display_name(self, aor: SipAddress) -> str:
        return f"Phone {aor.user}"

    def contacts(self, aor: SipAddress) -> Sequence[Contact]:
        return tuple(self.bindings.get(str(aor), ()))

    async def save(self, record: CallRecord) -> None:
        self.saved.append(record)
        if self.save_gate is not None:
            await self.save_gate

    def mos(self, codec: str, loss: float, jitter_ms: float, rtt_ms: float | None) -> float:
        return 4.4 - 10 * loss

    def call_began(self, direction: object) -> None:
        self.metered.append(f"began {direction}")

    def call_seen(self, direction: object) -> None:
        self.metered.append("seen")

    def call_accepted(self, direction: object) -> None: ...

    def call_connected(self, direction: object, setup_s: float) -> None:
        self.metered.append("connected")

    def call_ended(self, direction: object, reason: object, duration_s: float) -> None:
        self.metered.append(f"ended {reason} {duration_s:g}")

    def group_began(self) -> None:
        self.metered.append("group")

    def group_joined(self) -> None:
        self.metered.append("joined")

    def group_ended(self) -> None:
        self.metered.append("group over")

    def leg_began(self, kind: object) -> None:
        self.metered.append(f"+{kind}")

    def leg_ended(self, kind: object) -> None:
        self.metered.append(f"-{kind}")

    def leg_measured(self, before: LegStats, now: LegStats) -> None:
        packets = now.received.packets - before.received.packets
        self.metered.append(f"measured {packets}")

    def assert_clean(self) -> None:
        """No call, no leg, no lease, no timer is left."""
        self.clock.advance(0)
        assert len(self.registry) == 0
        assert self.lease is None or self.lease.released
        for kind in ("app", "sip"):
            assert self.metered.count(f"+{kind}") == self.metered.count(f"-{kind}")
        assert self.clock.getDelayedCalls() == []
        assert not self.standing
        assert not +self.carriers.held
