"""Fixtures of the whole suite."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# tests that send or hear audio at its own pace go before those that only compute, and what
# they start (see tests/peers/gateway.py for the daemon itself) inherits it
PACED = {"e2e": -5, "media": -5, "nat": -5, "peers": -5}
ROOT = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Peers are known once pytest-twisted has installed the asyncio reactor, which they import."""
    config.pluginmanager.import_plugin("tests.peers.fixtures")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in the tests is on loopback; a proxy of the machine must not come between."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test marked ``alone`` runs while the suite's other process runs none.

    The gate keeps order: who waits for the stage is not overtaken.
    """
    room = item.path.relative_to(ROOT).parts[0] if item.path.is_relative_to(ROOT) else ""
    with contextlib.suppress(PermissionError):  # not root: as fast as others
        os.setpriority(os.PRIO_PROCESS, 0, PACED.get(room, 0))
    if not hasattr(item.config, "cache"):  # nothing that processes share: there is but one
        return (yield)
    place = item.config.cache.mkdir("stage")
    alone = item.get_closest_marker("alone") is not None
    with (place / "stage").open("a") as stage:
        with (place / "gate").open("a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(stage, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return (yield)
