"""A pool for each test that asks for one; it ends with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

if TYPE_CHECKING:  # they import the reactor, which is not chosen yet when this file is read
    from tests.media.aging import Aging
    from tests.media.scene import Scene

MakeScene = Callable[..., Awaitable["Scene"]]


@pytest_twisted.async_yield_fixture
async def make_scene() -> AsyncIterator[MakeScene]:
    """Makes pools with settings of the test's own."""
    from tests.media.scene import Scene

    made: list[Scene] = []

    async def make(**settings: Any) -> Scene:
        scene = Scene(**settings)
        made.append(scene)
        await scene.pool.start()
        return scene

    try:
        yield make
    finally:
        for scene in made:
            await scene.end()


@pytest_twisted.async_yield_fixture
async def scene() -> AsyncIterator[Scene]:
    """A pool as the defaults make it, with one warm worker."""
    from tests.media.scene import Scene

    made = Scene()
    try:
        await made.pool.start()
        yield made
    finally:
        await made.end()


@pytest.fixture(scope="session")
def aging() -> Iterator[Aging]:
    """Legs of a minute and more; whoever asks first begins them."""
    from tests.media.aging import Aging

    made = Aging()
    try:
        pytest_twisted.blockon(Deferred.fromCoroutine(made.begin()))
        yield made
    finally:
        pytest_twisted.blockon(Deferred.fromCoroutine(made.scene.end()))
