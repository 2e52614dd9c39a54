"""Bringing a database to the schema that the queries are written with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from gateway.store.schema import metadata

MIGRATIONS: Final = Path(__file__).parent / "migrations"

# alembic's own table, as alembic makes it
_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


class NewerSchema(Exception):
    """The database was made by a gateway that knows revisions which this one does not."""

    def __init__(self, revision: str) -> None:
        super().__init__(revision)
        self.revision = revision


def revisions() -> list[str]:
    """Every revision, oldest first: the files are numbered."""
    return sorted(p.name.partition("_")[0] for p in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def bring_up_to_date(connection: Connection) -> None:
    """Within the connection's transaction: all of it happens, or nothing.

    A new database gets the tables as they are now.  An older one is migrated by alembic, which is
    loaded only then: it is ten megabytes that a running daemon has no use for.
    """
    known = revisions()
    if not inspect(connection).has_table(_version.name):
        metadata.create_all(connection, checkfirst=False)
        _version.create(connection)
        connection.execute(_version.insert().values(version_num=known[-1]))
        return
    at = connection.scalar(select(_version.c.version_num))
    if at == known[-1]:
        return
    if at not in known:
        raise NewerSchema(str(at))
    migrate(connection)


def migrate(connection: Connection) -> None:
    """Run the migrations that the database has not seen."""
    from alembic import command  # noqa: PLC0415  # see above
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
