"""All trunks together: implements ``ports.Carriers``."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from gateway.calls.console_ports import TargetView, TrunkView
from gateway.calls.ports import Clock
from gateway.calls.tasks import together
from gateway.calls.trunk_ports import Locator, SipClient, Standing, TrunkMeters
from gateway.policy.buckets import Buckets
from gateway.settings import Trunk
from gateway.settings.trunks import ENGINE_CODECS
from gateway.sip.credentials import Login
from gateway.trunks.health import Health
from gateway.trunks.registering import Registration
from gateway.trunks.targets import Targets
from gateway.values import Hop, LegProfile


class Trunks:
    """``passwords`` maps a trunk's name to its password; they stay in here."""

    def __init__(
        self,
        trunks: Sequence[Trunk],
        passwords: Mapping[str, str],
        locator: Locator,
        client: SipClient,
        clock: Clock,
        meters: TrunkMeters,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._trunks = {t.name: t for t in trunks}
        self._passwords = dict(passwords)
        self._locator = locator
        self._clock = clock
        self._meters = meters
        self._targets = {t.name: Targets(t.blacklist_s) for t in trunks}
        self._calls: Counter[str] = Counter()
        self._rates = {t.name: Buckets(t.calls_per_s, max(1.0, t.calls_per_s), 1) for t in trunks}
        self._registrations = [
            Registration(
                t,
                Login(t.username, self._passwords.get(t.name, "")),
                locator,
                client,
                self._targets[t.name],
                clock,
                meters,
                chance,
            )
            for t in trunks
            if t.register_ is not None
        ]
        self._health = [
            Health(t, locator, client, self._targets[t.name], clock, meters, chance)
            for t in trunks
            if t.options_s > 0
        ]
        for name in self._trunks:
            meters.trunk_calls(name, 0)

    async def start(self) -> None:
        for watched in self._health:
            watched.start()
        for registration in self._registrations:
            registration.start()

    async def stop(self) -> None:
        """Registrations are taken back, for a second at most."""
        for watched in self._health:
            watched.stop()
        await together(*(r.stop() for r in self._registrations))

    # -- console_ports.TrunkStates

    def views(self) -> Sequence[TrunkView]:
        now = self._clock.seconds()
        registered = {r.trunk: r.registered for r in self._registrations}
        return [
            TrunkView(
                name=name,
                address=trunk.address,
                calls=self._calls[name],
                max_calls=trunk.max_calls,
                registered=registered.get(name),
                targets=tuple(
                    TargetView(f"{hop.transport} {hop.address}", doubtful)
                    for hop, doubtful in self._targets[name].known(now)
                ),
            )
            for name, trunk in self._trunks.items()
        ]

    # -- ports.Carriers

    def trunk(self, name: str) -> Trunk:
        return self._trunks[name]

    def profile(self, name: str) -> LegProfile:
        trunk = self._trunks[name]
        anchored = trunk.media == "rtpengine" or trunk.hears_tones
        return LegProfile(
            codecs=tuple(c for c in trunk.codecs if c not in ENGINE_CODECS),
            srtp="off" if anchored or trunk.srtp == "dtls" else trunk.srtp,
            reliable=trunk.reliable,
            session_expires_s=trunk.session_expires_s,
            # rtpengine turns events into tones, and tones into events
            dtmf="rfc4733" if trunk.hears_tones else trunk.dtmf,
            username=trunk.username,
            password=self._passwords.get(name, ""),
        )

    async def targets(self, name: str) -> Standing:
        trunk = self._trunks[name]
        hops = await self._locator.locate(trunk.address, trunk.transport)
        return self._targets[name].standing(hops, self._clock.seconds())

    def begin(self, name: str) -> bool:
        if self._calls[name] >= self._trunks[name].max_calls:
            return False
        if self._rates[name].take(name, self._clock.seconds()) > 0:
            return False
        self._calls[name] += 1
        self._meters.trunk_calls(name, self._calls[name])
        return True

    def end(self, name: str) -> None:
        self._calls[name] -= 1
        self._meters.trunk_calls(name, self._calls[name])

    def tried(self, name: str, hop: Hop, *, worked: bool) -> None:
        self._meters.trunk_tried(name, worked)
        targets = self._targets[name]
        if worked:
            targets.worked(hop)
        else:
            targets.failed(hop, self._clock.seconds())
