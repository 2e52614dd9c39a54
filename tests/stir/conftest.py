"""Fixtures of the tests of signing and verifying."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

if TYPE_CHECKING:
    from tests.stir.scene import Meters, Scene


@pytest_twisted.async_yield_fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    from tests.stir.repository import Repository  # it takes the reactor, which has to be there
    from tests.stir.scene import Scene

    repository = Repository()
    repository.start()
    scene = Scene(tmp_path, repository)
    yield scene
    await scene.close()


@pytest.fixture
def meters() -> Meters:
    from tests.stir.scene import Meters

    return Meters()
