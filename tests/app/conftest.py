"""Nothing here may import the reactor before pytest-twisted has installed it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_twisted

if TYPE_CHECKING:
    from tests.app.scripted import Started


@pytest_twisted.async_yield_fixture
async def started() -> AsyncIterator[Started]:
    from tests.app.scripted import Started

    servers = Started()
    yield servers
    await servers.end()
