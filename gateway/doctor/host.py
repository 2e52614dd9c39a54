"""The machine: ports, clock, limits."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Final

from gateway.doctor.finding import Finding, output_of
from gateway.media.rtp_ports import CELL, PORTS_A_LEG, PortBlocks
from gateway.media.rtpengine import split_ports
from gateway.settings import Settings

BUILT: Final = 1_790_000_000.0
"""A clock before September 2026 is wrong: this software is younger than that."""
TRIED: Final = 200
FEWEST_FILES: Final = 512


def ports(settings: Settings) -> Iterator[Finding]:
    wanted = (
        ("sip", "udp", settings.sip.host, settings.sip.port),
        ("sip", "tcp", settings.sip.host, settings.sip.port),
        ("http", "tcp", settings.http.host, settings.http.port),
        ("metrics", "tcp", settings.metrics.host, settings.metrics.port),
    )
    for section, kind, host, port in wanted:
        what = f"{section} {kind} {host}:{port}"
        problem = _unbindable(kind, host, port)
        if problem == os.strerror(errno.EADDRINUSE):
            mend = f"end what has it (ss -lnp; maybe a running gateway), or set {section}.port"
            yield Finding(what, "fail", problem, mend)
        elif problem:
            mend = f"set {section}.host to an address of this machine, {section}.port above 1023"
            yield Finding(what, "fail", problem, mend)
        else:
            yield Finding(what, "ok", "free")
    yield from _rtp(settings)


def _rtp(settings: Settings) -> Iterator[Finding]:
    media = settings.media
    first, last = media.rtp_ports
    what = f"RTP ports {first}-{last}"
    sample = range(first, last, max(1, (last - first) // TRIED))
    free = sum(1 for port in sample if not _unbindable("udp", media.host, port))
    shown = f"{free} of {len(sample)} tried are free"
    if free * 2 < len(sample):
        mend = "choose another media.rtp_ports, or a media.host that is this machine's"
        yield Finding(what, "fail", shown, mend)
        return
    (low, high), _ = split_ports(media.rtp_ports)
    least = -(-PORTS_A_LEG * media.legs_per_worker // CELL) * CELL  # whole cells
    room = PortBlocks(low, high).room // least
    if room < media.max_workers:
        mend = "widen media.rtp_ports, or lower media.max_workers"
        shown += f"; room for {room} of {media.max_workers} workers"
        yield Finding(what, "warn", shown, mend)
        return
    yield Finding(what, "ok", shown)


def _unbindable(kind: str, host: str, port: int) -> str:
    """Why an address cannot be had; empty where it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as s:
            if kind == "tcp":
                # as the daemon does: what was closed a moment ago is free
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((host, port))
            if kind == "tcp":
                s.listen(1)
    except OSError as e:
        return e.strerror or str(e)
    return ""


def clock(_settings: Settings, now: float | None = None) -> Iterator[Finding]:
    at = time.time() if now is None else now
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
    if at < BUILT:
        yield Finding("clock", "fail", shown, "set the clock: tokens and nonces depend on it")
        return
    program = shutil.which("timedatectl")
    command = [program or "", "show", "-p", "NTPSynchronized", "--value"]
    synchronised = output_of(command, 10) if program else None
    if synchronised is not None and synchronised.strip() == "no":
        yield Finding("clock", "warn", f"{shown}, not synchronised", "timedatectl set-ntp true")
        return
    yield Finding("clock", "ok", shown)


def limits(settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # sockets of phones and clients, eight descriptors a worker, and what any daemon has open
    wanted = 256 + settings.sip.tcp_connections + settings.app.max_clients
    wanted += 8 * settings.media.max_workers
    shown = f"{_many(soft)} (hard {_many(hard)}), up to {wanted} wanted"
    mend = "ulimit -n 65536, or LimitNOFILE= in the unit"
    enough = soft == resource.RLIM_INFINITY or soft >= wanted
    if enough:
        yield Finding("file limit", "ok", shown)
    else:
        yield Finding("file limit", "fail" if soft < FEWEST_FILES else "warn", shown, mend)


def _many(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
