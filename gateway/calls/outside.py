"""What every call is given, and the terms on which one is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.calls.console_ports import LegTap
from gateway.calls.identity_ports import Attestor, IdentityCheck
from gateway.calls.limit_ports import Holds, Ledger
from gateway.calls.pass_ports import Passes
from gateway.calls.people_ports import FactSource, People
from gateway.calls.pin_ports import Pins
from gateway.calls.ports import (
    AnchoredLegs,
    Anchors,
    AppClients,
    AppMediaPaths,
    CallMeters,
    CallRecords,
    Clock,
    Locations,
    MediaPool,
    QualityModel,
)
from gateway.calls.sampling import Ear
from gateway.calls.trunk_ports import Carriers, Enum
from gateway.policy.chain import Chain
from gateway.policy.identity import Identities
from gateway.routing.dialplan import DialPlan
from gateway.settings import CallsSection, DialInSection, LimitsSection


@dataclass(frozen=True, slots=True)
class Outside:
    """What every call is given; see ``ports``."""

    pool: MediaPool
    anchors: Anchors
    anchored: AnchoredLegs
    carriers: Carriers
    dial_plan: DialPlan
    chance: Callable[[], float]
    paths: AppMediaPaths
    clients: AppClients
    locations: Locations
    records: CallRecords
    meters: CallMeters
    quality: QualityModel
    clock: Clock
    domain: str
    settings: CallsSection
    media_wait_s: float
    legs_per_worker: int
    ringback: bool
    pins: Pins
    dialin: DialInSection
    people: People
    identities: Identities
    chain: Chain
    limits: LimitsSection
    enum: Enum | None = None
    fact_sources: tuple[FactSource, ...] = ()
    passes: Passes | None = None
    refund_s: float = 10.0
    ledger: Ledger | None = None
    holds: Holds | None = None
    attestor: Attestor | None = None
    identity_check: IdentityCheck | None = None
    leg_tap: LegTap | None = None

    @property
    def ear(self) -> Ear:
        return Ear(self.quality, self.clock.seconds, self.leg_tap)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which a call is made: how long it rings, and how long it may last."""

    ring_s: float
    longest_s: float
    first_contact: bool = False
    """The caller is a stranger to the callee: how often they ring in vain is counted."""
    silent: bool = False
    """It rings nowhere; see ``silent_callee``."""
    pass_: str | None = None
    """The pass that lets it through, to be used up by connecting."""
