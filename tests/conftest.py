"""Fixtures of the whole suite."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Peers are known once pytest-twisted has installed the asyncio reactor, which they import."""
    config.pluginmanager.import_plugin("tests.peers.fixtures")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in the tests is on loopback; a proxy of the machine must not come between."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
