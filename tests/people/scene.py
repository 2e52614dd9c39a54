"""A store of people, and what their clients ask of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.app.people_methods import PeopleMethods
from gateway.app.rpc import RpcFailure
from gateway.errors import GatewayError
from gateway.policy.identity import Identities
from gateway.policy.people import Person
from gateway.settings import PeopleSection, Settings, StoreSection
from gateway.store.database import Database
from gateway.store.people import PeopleStore
from gateway.values import Client, ClientId, Principal, parse_address
from tests.calls.outside import people_settings

NOW = 1_800_000_000.0
SETTINGS = people_settings(
    sip={
        "accounts": [
            {"user": "1001", "password": "secret1001", "owner": "alice"},
            {"user": "1004", "password": "secret1004", "owner": "bob"},
        ]
    },
    routing={"caller_id": {"verified": {"user:bob": "+4930901829"}}},
)


class Scene:
    def __init__(self, file: Path, settings: Settings = SETTINGS, **people: int) -> None:
        from twisted.internet import reactor  # not there any earlier

        self.file = file
        self.database = Database(StoreSection(url=f"sqlite:///{file}"), reactor)
        self.store = PeopleStore(self.database, PeopleSection(**people), settings.age)
        self.identities = Identities(settings)
        methods = PeopleMethods(self.store, self.identities, lambda _: True, 45.0, lambda: NOW)
        self._readers = methods.readers()

    async def ask(self, who: str, method: str, /, **params: Any) -> Any:
        """What a client of ``who`` is answered: the result, or the error's code and data."""
        client = Client(ClientId(who), Principal(who, who.title()))
        try:
            return await self._readers[method](client, params)()
        except RpcFailure as e:
            return e.code, {f["field"]: f["problem"] for f in (e.data or {})["errors"]}
        except GatewayError as e:
            return e.rpc_code, str(e)

    async def sides(self, caller: str, callee: str) -> tuple[Person, Person]:
        one, other = (self.identities.of(parse_address(a)) for a in (caller, callee))
        found = await self.store.facts(one, other, NOW)
        return found.caller, found.callee
