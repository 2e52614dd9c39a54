"""What the gateway keeps and what it must keep to itself: database, keys, passwords."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.app.tokens import Tokens
from gateway.doctor.finding import Finding, file_mode
from gateway.doctor.keys import key_set
from gateway.errors import CannotStart
from gateway.settings import Settings, secret


def database(settings: Settings) -> Iterator[Finding]:
    url = make_url(settings.store.url)
    what = f"database {url.render_as_string(hide_password=True)}"
    if url.get_backend_name() == "sqlite":
        yield _sqlite(what, Path(str(url.database)).absolute())
        return
    try:
        engine = create_engine(url, connect_args={"connect_timeout": 5})
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, ImportError) as e:
        why = str(getattr(e, "orig", None) or e).strip().splitlines()[0]
        yield Finding(what, "fail", why, "check store.url, the server, and its driver")
        return
    yield Finding(what, "ok", "answers")


def _sqlite(what: str, file: Path) -> Finding:
    """Tried out, since permission bits do not tell of full disks and read-only mounts."""
    try:
        if file.exists():
            # mode=rw: never make it here, under another user than the service's
            with sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=5) as db:
                db.execute("BEGIN IMMEDIATE")
                db.rollback()
            db.close()
            if mode := stat.S_IMODE(file.stat().st_mode) & 0o007:
                found = f"others may open it ({mode:03o})"
                return Finding(what, "warn", found, f"chmod 600 {file}")
            return Finding(what, "ok", "writable")
        directory = next(p for p in file.parents if p.exists())
        with tempfile.TemporaryFile(dir=directory):
            return Finding(what, "ok", f"not there yet; {directory} is writable")
    except sqlite3.Error as e:
        mend = f"make {file} and its directory writable for {_me()}, or set store.url"
        return Finding(what, "fail", str(e), mend)
    except OSError as e:
        mend = f"make its directory writable for {_me()}, or set store.url"
        return Finding(what, "fail", f"{e.filename}: {e.strerror}", mend)


def _me() -> str:
    return f"uid {os.getuid()}"


def tokens(settings: Settings) -> Iterator[Finding]:
    section = settings.app.token
    if section.refreshed:
        yield key_set(section)
        return
    what = f"app.token {section.algorithm}"
    try:
        Tokens(section, time.time)
    except CannotStart as e:
        yield Finding(what, "fail", str(e), "mend the file, or the path in the settings")
        return
    yield Finding(what, "ok", "its key can be used")
    if section.secret_file is not None:
        yield file_mode("app.token.secret_file", section.secret_file)


def passwords(settings: Settings) -> Iterator[Finding]:
    for account in settings.sip.accounts:
        file = account.password_file
        if file is None:
            continue
        what = f"password of {account.user}"
        try:
            password = secret(None, file)
        except (OSError, UnicodeDecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else "not UTF-8"
            mend = f"make it a file that {_me()} can read"
            yield Finding(what, "fail", f"{file}: {why}", mend)
            continue
        if len(password) < 8:
            yield Finding(what, "fail", f"{file}: fewer than 8 characters", "choose a longer one")
            continue
        yield file_mode(what, file)


def development(settings: Settings) -> Iterator[Finding]:
    """What is convenient on one's own machine and a hole on any other."""
    if settings.app.dev_login and not _own(settings.http.host):
        found = f"anybody who reaches {settings.http.host} signs in under any name"
        yield Finding("app.dev_login", "warn", found, "set it to false, or http.host to 127.0.0.1")
    if settings.app.plain_rtp and not _own(settings.http.host):
        found = "app clients may send speech unencrypted"
        yield Finding("app.plain_rtp", "warn", found, "set it to false, unless the network is safe")


def _own(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
