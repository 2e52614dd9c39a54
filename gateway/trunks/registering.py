"""Our registration to a trunk (RFC 3261 §10.2): kept up, and taken back at the end."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import structlog

from gateway.calls.ports import Clock
from gateway.calls.trunk_ports import Locator, SipClient, TrunkMeters
from gateway.errors import GatewayError, NoResponse
from gateway.settings import Trunk
from gateway.sip.credentials import Login, answer, is_stale
from gateway.sip.errors import SipSyntaxError
from gateway.sip.message import Request, Response
from gateway.trunks.ongoing import Ongoing, wait
from gateway.trunks.requests import Names, granted_s, register
from gateway.trunks.targets import Targets
from gateway.values import Hop

log = structlog.get_logger()

PATIENCE_S: Final = 5.0
FAREWELL_S: Final = 1.0
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 300.0
SHORTEST_S: Final = 5.0
TURNS: Final = 4
"""Requests of one attempt: a challenge, a stale nonce, an interval that was too brief."""


class Refused(GatewayError):
    """The registrar said no, or something that cannot be met."""

    sip_code, fault = 403, "operator"


class Registration:
    """Registers at the first target that takes it, and again before it runs out.

    ``chance`` gives numbers from 0 to 1: refreshes and repeated attempts are spread (RFC 5626
    §4.5), so that a registrar that comes back is not met by all at once.
    """

    def __init__(
        self,
        trunk: Trunk,
        login: Login,
        locator: Locator,
        client: SipClient,
        targets: Targets,
        clock: Clock,
        meters: TrunkMeters,
        chance: Callable[[], float],
    ) -> None:
        if trunk.register_ is None:
            raise ValueError(f"trunk {trunk.name} asks for no registration")
        self._trunk = trunk
        self._wanted = trunk.register_
        self._login = login
        self._locator = locator
        self._client = client
        self._targets = targets
        self._clock = clock
        self._meters = meters
        self._chance = chance
        self._names = Names.of(trunk)
        self._call_id = secrets.token_hex(12)
        self._tag = secrets.token_hex(6)
        self._cseq = 0
        self._failures = 0
        self._ongoing = Ongoing(f"registration of {trunk.name}")
        self._at: Hop | None = None
        meters.trunk_registered(trunk.name, False)

    @property
    def trunk(self) -> str:
        return self._trunk.name

    @property
    def registered(self) -> bool:
        return self._at is not None

    def start(self) -> None:
        self._ongoing.start(self._keep_up())

    async def stop(self) -> None:
        """Stop, and take the registration back where there is one."""
        self._ongoing.stop()
        hop, self._at = self._at, None
        if hop is None:
            return
        self._meters.trunk_registered(self._trunk.name, False)
        try:
            await self._at_target(hop, 0, FAREWELL_S)
        except GatewayError as e:
            log.info("trunk_not_unregistered", trunk=self._trunk.name, why=str(e))

    async def _keep_up(self) -> None:
        while True:
            await wait(self._clock, await self._attempt())

    async def _attempt(self) -> float:
        """Register once; the seconds until the next time."""
        try:
            hop, granted = await self._anywhere()
        except GatewayError as e:
            self._at = None
            self._meters.trunk_registered(self._trunk.name, False)
            pause_s = self._pause_s()
            log.warning(
                "trunk_not_registered",
                trunk=self._trunk.name,
                why=str(e),
                again_in_s=round(pause_s, 1),
            )
            return pause_s
        self._failures = 0
        if self._at != hop:
            log.info("trunk_registered", trunk=self._trunk.name, at=str(hop.address), s=granted)
        self._at = hop
        self._meters.trunk_registered(self._trunk.name, True)
        return max(SHORTEST_S, granted * (0.75 + 0.15 * self._chance()))

    def _pause_s(self) -> float:
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 10)
        return longest * (0.5 + 0.5 * self._chance())

    async def _anywhere(self) -> tuple[Hop, int]:
        """At the first target that takes it; the last one's fault where none does."""
        hops = await self._locator.locate(self._trunk.address, self._trunk.transport)
        standing = self._targets.standing(hops, self._clock.seconds())
        fault: GatewayError = NoResponse("no target")
        for hop in (*standing.good, *standing.doubtful):
            try:
                return hop, await self._at_target(hop, self._wanted.expires_s, PATIENCE_S)
            except NoResponse as e:
                self._targets.failed(hop, self._clock.seconds())
                fault = e
            except Refused as e:
                fault = e
        raise fault

    async def _at_target(self, hop: Hop, expires_s: int, give_up_s: float) -> int:
        contact = self._client.contact(self._names.user, hop)
        credentials: tuple[str, str] | None = None
        for _ in range(TURNS):
            self._cseq += 1
            request = register(
                self._names, self._call_id, self._tag, self._cseq, contact, expires_s
            )
            if credentials is not None:
                request = request.replaced(headers=request.headers.with_last(*credentials))
            response = await self._client.ask(request, hop, give_up_s)
            if response.code < 300:
                return granted_s(response, contact, expires_s) if expires_s else 0
            if response.code == 423 and expires_s:
                expires_s = self._longer(response, expires_s)
            elif response.code in (401, 407):
                credentials = self._proof(request, response, tried=credentials is not None)
            else:
                raise self._refused(response)
        raise Refused(f"{self._names.registrar} asks again and again")

    def _longer(self, response: Response, asked_s: int) -> int:
        try:
            least = response.number("Min-Expires")
        except SipSyntaxError:
            least = None
        if least is None or not asked_s < least <= 86_400:
            raise self._refused(response)
        return least

    def _proof(self, request: Request, response: Response, *, tried: bool) -> tuple[str, str]:
        name = "WWW-Authenticate" if response.code == 401 else "Proxy-Authenticate"
        given = response.headers.fields(name)
        if tried and not is_stale(given):
            raise Refused(f"{self._names.registrar} does not take our credentials")
        value = answer(given, self._login, "REGISTER", request.uri, secrets.token_hex(8))
        if value is None:
            raise Refused(f"{self._names.registrar} asks for what we cannot prove")
        return ("Authorization" if response.code == 401 else "Proxy-Authorization", value)

    def _refused(self, response: Response) -> GatewayError:
        said = f"{self._names.registrar} answered {response.code} {response.reason[:80]}"
        # of these another target may know better (RFC 3263 §4.3)
        return NoResponse(said) if response.code >= 500 or response.code == 408 else Refused(said)
