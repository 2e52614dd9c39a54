"""Whether a server is still there, before a connection to it is used.

SQLAlchemy's pre-ping asks it each time, which takes as long as a statement.  A server that went
away by itself has closed the connection, though, and that can be seen without asking.
"""

from __future__ import annotations

import select
import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

IDLE_S: Final = 30.0
"""After so long a server is asked: networks drop what is idle without a word."""


def watched(engine: Engine) -> Engine:
    """An engine for a server, whose pool gives out no connection that is known to be dead."""
    dialect: Any = engine.dialect

    def used(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def check(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:  # fresh
            return
        if time.monotonic() - used_at < IDLE_S and not _something_came(connection):
            return
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as e:
            raise DisconnectionError from e  # the pool makes another

    event.listen(engine, "checkin", used)
    event.listen(engine, "checkout", check)
    return engine


def _something_came(connection: Any) -> bool:
    """What nobody asked for: a farewell, an end of file, or a notice.

    Taken for granted with a driver that does not tell its socket.
    """
    if getattr(connection, "closed", False) or not hasattr(connection, "fileno"):
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
