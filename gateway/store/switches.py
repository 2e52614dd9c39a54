"""What is set while running.  Implements ``people_ports.Switches``."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from gateway.store.database import Database
from gateway.store.schema import switches


class SwitchStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, name: str) -> str | None:
        query = select(switches.c.value).where(switches.c.name == name)
        return await self._database.read(lambda c: c.execute(query).scalar())

    async def write(self, name: str, value: str, now: float) -> None:
        def replaced(connection: Connection) -> None:
            connection.execute(delete(switches).where(switches.c.name == name))
            connection.execute(insert(switches).values(name=name, value=value, changed_at=now))

        await self._database.write(replaced)
