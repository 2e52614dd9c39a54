"""Answers to requests that may come again.  Implements ``server_ports.AnswerBook``."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from gateway.calls.server_ports import InProgress, KeptAnswer
from gateway.store.database import Database
from gateway.store.schema import answers

KEPT_S: Final = 86_400.0


class AnswerStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, name: str, said: str, now: float) -> InProgress | KeptAnswer | None:
        def note(connection: Connection) -> InProgress | KeptAnswer | None:
            connection.execute(delete(answers).where(answers.c.at <= now - KEPT_S))
            row = connection.execute(select(answers).where(answers.c.name == name)).first()
            if row is None:
                connection.execute(insert(answers).values(name=name, said=said, at=now))
                return None
            return InProgress(row.said) if row.sealed is None else KeptAnswer(row.said, row.sealed)

        return await self._database.write(note)

    async def keep(self, name: str, sealed: str) -> None:
        change = update(answers).where(answers.c.name == name).values(sealed=sealed)
        await self._database.write(lambda c: c.execute(change))

    async def forget(self, name: str) -> None:
        await self._database.write(
            lambda c: c.execute(delete(answers).where(answers.c.name == name))
        )

    async def forget_unfinished(self) -> None:
        """What a crash cut off: nobody knows how far it came, and its calls are over."""
        gone = delete(answers).where(answers.c.sealed.is_(None))
        await self._database.write(lambda c: c.execute(gone))
