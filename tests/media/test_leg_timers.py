"""What becomes of sessions that are refreshed, and of those that are not (RFC 4028 §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_twisted

if TYPE_CHECKING:
    from tests.media.aging import Aging


@pytest_twisted.ensureDeferred
async def test_we_refresh_a_session(aging: Aging) -> None:
    refresh = await aging.calls["lives"].got("UPDATE", 60)
    assert refresh.get("session-expires") == "90;refresher=uac" and not refresh.body


@pytest.mark.parametrize("leg", ["forgets", "gone"])
@pytest_twisted.ensureDeferred
async def test_a_far_end_that_has_vanished_is_found(aging: Aging, leg: str) -> None:
    end = await aging.end_of(leg)
    assert (end.code, end.remote) == (408, False)
    assert "cause=408" in (await aging.calls[leg].got("BYE")).get("reason")
    assert not aging.scene.told.all("closed", "lives")
