"""Peers as fixtures: whatever a test starts through them is ended after it, also on failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_twisted

from tests.peers.app_client import AppClient, AppServer
from tests.peers.baresip import Baresip
from tests.peers.gateway import Gateway
from tests.peers.rtp import RtpStream
from tests.peers.sip_phone import SipPhone
from tests.peers.sipp import Sipp
from tests.peers.waiting import NotSeen, together

T = TypeVar("T")
A = TypeVar("A", bound=AppClient)


class Cast:
    """Makes peers for one test and ends all of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ends: list[Callable[[], Coroutine[Any, Any, Any]]] = []
        self._count = 0
        self._clean: set[Gateway] = set()

    def place(self, name: str) -> Path:
        """A fresh directory."""
        self._count += 1
        path = self._directory / f"{name}-{self._count}"
        path.mkdir()
        return path

    def ends_with(self, end: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._ends.append(end)

    async def gateway(self, *sets: str) -> Gateway:
        gateway = Gateway(self.place("gateway"), *sets)
        self._ends.append(gateway.end)
        await gateway.up()
        return gateway

    async def baresip(self, gateway: Gateway | None = None, **options: Any) -> Baresip:
        """A softphone registered with the gateway as 1001 (``user``), or a bare one."""
        if gateway is not None:
            options.setdefault("user", "1001")
            options.setdefault("registrar", str(gateway.sip))
            options.setdefault("password", f"secret{options['user']}")
            await self._fresh(gateway)
        phone = self.bare_baresip(**options)
        await phone.open()
        return phone

    def bare_baresip(self, **options: Any) -> Baresip:
        """A softphone that is not waited for: neither its control port nor its registration."""
        phone = Baresip(self.place("baresip"), **options)
        self._ends.append(phone.stop)
        return phone

    def phone(self, gateway: Gateway, user: str = "1001", **options: Any) -> SipPhone:
        options.setdefault("password", f"secret{user}")
        return self.sip_phone(str(gateway.sip), user, **options)

    async def registered(self, gateway: Gateway, user: str = "1001", **options: Any) -> SipPhone:
        await self._fresh(gateway)
        phone = self.phone(gateway, user, **options)
        response = await phone.register()
        assert response.code == 200, str(response)
        return phone

    def sip_phone(self, server: str, user: str = "1001", **options: Any) -> SipPhone:
        phone = SipPhone(server, user, **options)
        self._ends.append(phone.close)
        return phone

    def sipp(self, scenario: str, gateway: Gateway | None = None, **options: Any) -> Sipp:
        if gateway is not None:
            options["remote"] = str(gateway.sip)
        sipp = Sipp(self.place("sipp"), scenario, **options)
        self._ends.append(sipp.stop)
        return sipp

    async def client(self, gateway: Gateway, user: str = "alice", **claims: Any) -> AppClient:
        return await self._sign_in(AppClient(user), gateway, **claims)

    async def server(self, gateway: Gateway, user: str = "shop", **claims: Any) -> AppServer:
        return await self._sign_in(AppServer(user), gateway, **claims)

    async def _fresh(self, gateway: Gateway) -> None:
        """A test begins without bindings and calls of an earlier one, even if that failed."""
        if gateway in self._clean:
            return
        self._clean.add(gateway)
        try:
            await gateway.at_rest(3)
        except NotSeen:
            await gateway.end()
            await gateway.up()
        for account in gateway.settings.sip.accounts:
            phone = self.phone(gateway, account.user)
            assert (await phone.register(expires=0, contact="*")).code == 200

    async def _sign_in(self, client: A, gateway: Gateway, **claims: Any) -> A:
        await self._fresh(gateway)
        self._ends.append(client.leave)
        await client.connect(gateway)
        await client.open(gateway.token(client.user, **claims))
        return client

    def stream(self, *args: Any, **options: Any) -> RtpStream:
        stream = RtpStream(*args, **options)
        self._ends.append(stream.close)
        return stream

    async def end(self) -> None:
        ends, self._ends = self._ends, []
        clients = [e for e in ends if e.__qualname__ != "Gateway.end"]
        await together(*(e() for e in clients))
        for end in ends:
            if end not in clients:
                await end()


@pytest_twisted.async_yield_fixture
async def cast(tmp_path: Path) -> AsyncIterator[Cast]:
    """Peers for this test alone."""
    made = Cast(tmp_path)
    try:
        yield made
    finally:
        await made.end()


@pytest_twisted.async_yield_fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One daemon for the tests of a module, with plain RTP for app clients."""
    made = Gateway(tmp_path_factory.mktemp("gateway"), *SHARED)
    try:
        await made.up()
        yield made
    finally:
        await made.end()


SHARED = (
    "app.plain_rtp=true",
    "app.dev_login=true",
    "app.invites_per_minute=1000",
    "app.clients_per_user=100",
    "calls.calls_per_user=100",
    "limits={calls_per_minute: null, calls_per_hour: null, pair_per_hour: null, "
    "address_per_minute: null, telephone: {new_countries_per_day: null, "
    "short_calls_per_hour: null, numbers_in_a_row: null}}",
    "people.stranger_rings=0",
)
"""Settings of a gateway that many tests share: limits that they would meet are out of the way."""
