"""Telling systemd how it goes (sd_notify(3)); silent where nobody listens."""

from __future__ import annotations

import os
import socket
from typing import Final

import structlog
from twisted.internet.task import LoopingCall

from gateway.calls.ports import Clock

log = structlog.get_logger()

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
WATCHDOG: Final = "WATCHDOG=1"


class Systemd:
    """``environment`` is the process's, or a test's."""

    def __init__(self, clock: Clock, environment: dict[str, str] | None = None) -> None:
        env = dict(os.environ) if environment is None else environment
        self._address = env.get("NOTIFY_SOCKET", "")
        self._every_s = _watchdog_s(env)
        self._beating = LoopingCall(self.tell, WATCHDOG)
        self._beating.clock = clock  # type: ignore[assignment]  # it is IReactorTime

    def tell(self, *states: str) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            try:
                channel.sendto("\n".join(states).encode(), address)
            except OSError as e:
                log.warning("systemd_not_told", why=str(e))

    def start_watchdog(self) -> None:
        """Beat at half of what systemd asks for; it restarts us when the reactor hangs."""
        if self._every_s is not None and self._address:
            self._beating.start(self._every_s)

    def stop_watchdog(self) -> None:
        if self._beating.running:
            self._beating.stop()


def _watchdog_s(env: dict[str, str]) -> float | None:
    text = env.get("WATCHDOG_USEC", "")
    ours = env.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not ours or not text.isdecimal() or int(text) == 0:
        return None
    return int(text) / 2_000_000
