"""The interfaces of telephony: trunks, where they are, and the requests that go to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.settings import Trunk
from gateway.sip.message import Request, Response
from gateway.values import Hop, LegProfile


class Locator(Protocol):
    """Where a SIP domain is served; implemented by ``dns/``."""

    async def locate(
        self, place: str, transport: Literal["udp", "tcp", "tls"] | None = None
    ) -> tuple[Hop, ...]:
        """The hops of ``host`` or ``host:port``, in the order to try them (RFC 3263 §4).

        A numeric host or one with a port is looked up no further than that needs.
        ``Unlocatable`` when there is none.
        """

    async def enum(self, number: str) -> tuple[str, ...]:
        """The SIP URIs of an E.164 number by ENUM (RFC 6116), in order; empty where none is."""


@dataclass(frozen=True, slots=True)
class Enum:
    """Where numbers are looked up, and which trunk each domain is."""

    locator: Locator
    domains: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """A trunk's targets in the order to try them; ``doubtful`` are those that failed of late."""

    good: tuple[Hop, ...] = ()
    doubtful: tuple[Hop, ...] = ()


class Carriers(Protocol):
    """The trunks, as calls use them.  Names are those of the settings."""

    def trunk(self, name: str) -> Trunk:
        """Its settings."""

    def profile(self, name: str) -> LegProfile:
        """What they ask of a leg, the password included."""

    async def targets(self, name: str) -> Standing:
        """``Unlocatable`` when DNS has none."""

    def begin(self, name: str) -> bool:
        """Take one of its calls; ``False`` when it has no room (calls, calls a second)."""

    def end(self, name: str) -> None:
        """Give it back."""

    def tried(self, name: str, hop: Hop, *, worked: bool) -> None:
        """What became of a call's attempt at a target."""


class SipClient(Protocol):
    """Requests of the gateway's own outside of calls; implemented by the edge."""

    def contact(self, user: str, hop: Hop) -> str:
        """A Contact value at which the peer behind this hop can reach us; empty: no way to it."""

    async def ask(self, request: Request, hop: Hop, give_up_s: float) -> Response:
        """Send a request that has no Via yet; the final response, or ``NoResponse``."""


class TrunkMeters(Protocol):
    def trunk_registered(self, trunk: str, registered: bool) -> None: ...
    def trunk_targets(self, trunk: str, up: int, down: int) -> None: ...
    def trunk_calls(self, trunk: str, count: int) -> None: ...
    def trunk_tried(self, trunk: str, worked: bool) -> None: ...
