"""``dm-gateway doctor``: what the gateway needs on this machine, and how to mend it."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.settings import Settings

Grade = Literal["ok", "warn", "fail"]

BUILT: Final = 1_790_000_000.0
"""A clock before September 2026 is wrong: this software is younger than that."""
_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}
_PROBE: Final = """
import json, sys
import pjsua2 as pj
ep = pj.Endpoint(); ep.libCreate()
config = pj.EpConfig(); config.logConfig.level = config.logConfig.consoleLevel = 0
config.uaConfig.threadCnt = 0
ep.libInit(config)
codecs = sorted({c.codecId.split("/")[0] for c in ep.codecEnum2()})
print("FOUND " + json.dumps([ep.libVersion().full, codecs]), flush=True)
import os; os._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    grade: Grade
    found: str
    mend: str = ""


def examine(settings: Settings) -> int:
    """Print every finding; 1 when something would keep the gateway from working."""
    table = Table(show_header=True, box=None, pad_edge=False)
    for title in ("", "what", "found", "how to mend it"):
        table.add_column(title, overflow="fold")
    worst = 0
    for finding in findings(settings):
        colour = _COLOURS[finding.grade]
        table.add_row(
            f"[{colour}]{finding.grade}[/{colour}]", finding.what, finding.found, finding.mend
        )
        worst |= finding.grade == "fail"
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(worst)


def findings(settings: Settings) -> Iterator[Finding]:
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _pjsip,
        _rtpengine,
        _ports,
        _database,
        _clock,
        _limits,
        _secrets,
    )
    for check in checks:
        yield from check(settings)


def _child(code: str, timeout_s: float = 20) -> str:
    """In a process of its own: a misuse of PJSIP aborts the process."""
    done = subprocess.run(  # noqa: S603  # our own interpreter and code
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.stdout if done.returncode == 0 else ""


def _pjsip(settings: Settings) -> Iterator[Finding]:
    import json  # noqa: PLC0415

    line = next((x for x in _child(_PROBE).splitlines() if x.startswith("FOUND ")), "")
    if not line:
        mend = "pip install pjsua2-python==2.15.1.post1 (Linux x86-64, Python 3.11 or 3.12)"
        yield Finding("pjsua2", "fail", "cannot be imported or started", mend)
        return
    version, codecs = json.loads(line[6:])
    yield Finding("pjsua2", "ok", f"PJSIP {version}")
    missing = [c for c in settings.media.codecs if c.lower() not in {x.lower() for x in codecs}]
    if missing:
        mend = f"remove {', '.join(missing)} from media.codecs, or use a build that has them"
        yield Finding("codecs", "fail", ", ".join(codecs), mend)
    else:
        yield Finding("codecs", "ok", ", ".join(codecs))
    wanted = settings.media.legs_per_worker
    limit = _child(f"from gateway.media.endpoint import call_limit; call_limit({wanted})")
    number = int(limit.split()[-1]) if limit.split() and limit.split()[-1].isdigit() else 0
    if number < wanted:
        mend = f"set media.legs_per_worker to {number}, or use a PJSIP built for more calls"
        yield Finding("calls a process", "fail", f"{number}, wanted {wanted}", mend)
    else:
        yield Finding("calls a process", "ok", f"at least {wanted}")


def _rtpengine(settings: Settings) -> Iterator[Finding]:
    chosen = settings.webrtc.rtpengine
    if chosen == "off":
        yield Finding("rtpengine", "warn", "off: browsers cannot call", "set webrtc.rtpengine")
        return
    if chosen == "managed":
        program = shutil.which(str(settings.webrtc.program))
        if program is None:
            mend = "apt-get install rtpengine-daemon, or set webrtc.program"
            yield Finding("rtpengine", "fail", f"no {settings.webrtc.program}", mend)
            return
        done = subprocess.run(  # noqa: S603  # the operator's own program
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
        version = (done.stdout + done.stderr).strip().splitlines()
        yield Finding("rtpengine", "ok", version[0] if version else program)
        return
    for address in chosen:
        host, _, port = address.rpartition(":")
        if _ng_pong(host, int(port)):
            yield Finding(f"rtpengine {address}", "ok", "answers")
        else:
            mend = "start it, open its NG port to this host, or take it out of webrtc.rtpengine"
            yield Finding(f"rtpengine {address}", "fail", "does not answer a ping", mend)


def _ng_pong(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1)
        try:
            channel.sendto(b"doctor d7:command4:pinge", (host, port))
            return b"pong" in channel.recv(2048)
        except OSError:
            return False


def _ports(settings: Settings) -> Iterator[Finding]:
    wanted = (
        ("sip", "udp", settings.sip.host, settings.sip.port),
        ("sip", "tcp", settings.sip.host, settings.sip.port),
        ("http", "tcp", settings.http.host, settings.http.port),
        ("metrics", "tcp", settings.metrics.host, settings.metrics.port),
    )
    for section, kind, host, port in wanted:
        what = f"{section} {kind} {host}:{port}"
        problem = _bindable(kind, host, port)
        if problem:
            mend = f"end what has it (ss -lnp), or set {section}.host and {section}.port"
            yield Finding(what, "fail", problem, mend)
        else:
            yield Finding(what, "ok", "free")
    first, last = settings.media.rtp_ports
    sample = range(first, last, max(1, (last - first) // 200))
    busy = sum(1 for port in sample if _bindable("udp", settings.media.host, port))
    what = f"RTP ports {first}-{last}"
    if busy * 2 > len(sample):
        mend = "choose another media.rtp_ports, or a media.host that is this machine's"
        yield Finding(what, "fail", f"{busy} of {len(sample)} tried cannot be bound", mend)
    else:
        yield Finding(what, "ok", f"{len(sample) - busy} of {len(sample)} tried are free")


def _bindable(kind: str, host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as s:
        if kind == "tcp":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError as e:
            return e.strerror or str(e)
    return ""


def _database(settings: Settings) -> Iterator[Finding]:
    url = make_url(settings.store.url)
    what = f"database {url.render_as_string(hide_password=True)}"
    if url.get_backend_name() == "sqlite" and url.database:
        directory = Path(url.database).resolve().parent
        while not directory.exists():
            directory = directory.parent
        if not os.access(directory, os.W_OK):
            yield Finding(what, "fail", f"{directory} is not writable", f"chown it to {_me()}")
            return
        yield Finding(what, "ok", f"{directory} is writable")
        return
    try:
        with create_engine(url, connect_args={"connect_timeout": 5}).connect() as connection:
            connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, ImportError) as e:
        why = str(getattr(e, "orig", None) or e).strip().splitlines()[0]
        yield Finding(what, "fail", why, "check store.url, the server, and its driver")
        return
    yield Finding(what, "ok", "answers")


def _me() -> str:
    return f"uid {os.getuid()}"


def _clock(_settings: Settings) -> Iterator[Finding]:
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < BUILT:
        yield Finding("clock", "fail", shown, "set the clock: tokens and nonces depend on it")
        return
    program = shutil.which("timedatectl")
    if program is not None:
        done = subprocess.run(  # noqa: S603  # the system's own program
            [program, "show", "-p", "NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        if done.stdout.strip() == "no":
            yield Finding("clock", "warn", f"{shown}, not synchronised", "timedatectl set-ntp true")
            return
    yield Finding("clock", "ok", shown)


def _limits(settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 256 + settings.sip.tcp_connections + settings.app.max_clients
    wanted += 8 * settings.media.max_workers
    shown = f"{soft} (hard {hard}), up to {wanted} wanted"
    if soft < 512:
        yield Finding("file limit", "fail", shown, "ulimit -n 65536, or LimitNOFILE= in the unit")
    elif soft < wanted:
        yield Finding("file limit", "warn", shown, "ulimit -n 65536, or LimitNOFILE= in the unit")
    else:
        yield Finding("file limit", "ok", shown)


def _secrets(settings: Settings) -> Iterator[Finding]:
    token = settings.app.token
    files = [("app.token", f) for f in (token.secret_file, token.key_file) if f is not None]
    files += [
        (f"sip.accounts {a.user}", a.password_file)
        for a in settings.sip.accounts
        if a.password_file is not None
    ]
    for where, file in files:
        what = f"{where}: {file}"
        try:
            mode = stat.S_IMODE(file.stat().st_mode)
            readable = os.access(file, os.R_OK)
        except OSError as e:
            mend = "make it, readable for the service's user alone"
            yield Finding(what, "fail", e.strerror or str(e), mend)
            continue
        if not readable:
            yield Finding(what, "fail", "not readable", f"make it readable for {_me()}")
        elif mode & 0o077 and file != token.key_file:
            yield Finding(what, "warn", f"mode {mode:04o}", f"chmod 600 {file}")
        else:
            yield Finding(what, "ok", f"mode {mode:04o}")
