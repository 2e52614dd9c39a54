"""What systemd hears, over a socket like its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from gateway.observe.notify import READY, STOPPING, Systemd


class Ear:
    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        out = []
        while True:
            try:
                out.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return out

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    path = str(tmp_path / "notify") if request.param == "path" else f"@dm-gateway-{os.getpid()}"
    made = Ear(path)
    yield made
    made.close()


def test_states_are_told_as_sd_notify_says(ear: Ear) -> None:
    systemd = Systemd(Clock(), {"NOTIFY_SOCKET": ear.address})
    systemd.tell(READY, "STATUS=serving")
    systemd.tell(STOPPING)
    assert ear.heard() == ["READY=1\nSTATUS=serving", "STOPPING=1"]


def test_the_watchdog_is_fed_twice_as_often_as_it_must(ear: Ear) -> None:
    clock = Clock()
    systemd = Systemd(clock, {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "15000000"})
    systemd.start_watchdog()
    assert ear.heard() == ["WATCHDOG=1"]
    clock.advance(7.4)
    assert ear.heard() == []
    clock.advance(0.1)
    assert ear.heard() == ["WATCHDOG=1"]
    clock.pump([7.5] * 3)
    assert ear.heard() == ["WATCHDOG=1"] * 3
    systemd.stop_watchdog()
    clock.pump([7.5] * 3)
    assert ear.heard() == []


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "²"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_where_none_was_asked_of_us(ear: Ear, more: dict[str, str]) -> None:
    clock = Clock()
    systemd = Systemd(clock, {"NOTIFY_SOCKET": ear.address, **more})
    systemd.start_watchdog()
    clock.pump([1.0] * 5)
    assert ear.heard() == []
    systemd.stop_watchdog()


def test_the_watchdog_is_ours_when_it_names_us(ear: Ear) -> None:
    env = {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}
    Systemd(Clock(), {"NOTIFY_SOCKET": ear.address, **env}).start_watchdog()
    assert ear.heard() == ["WATCHDOG=1"]


def test_nothing_happens_where_nobody_listens() -> None:
    clock = Clock()
    with capture_logs() as told:
        systemd = Systemd(clock, {"WATCHDOG_USEC": "1000000"})
        systemd.tell(READY)
        systemd.start_watchdog()
    assert told == []
    assert clock.getDelayedCalls() == []


def test_a_listener_that_is_gone_is_told_of_and_survived(tmp_path: Path) -> None:
    with capture_logs() as told:
        Systemd(Clock(), {"NOTIFY_SOCKET": str(tmp_path / "none")}).tell(READY)
    assert [e["event"] for e in told] == ["systemd_not_told"]
