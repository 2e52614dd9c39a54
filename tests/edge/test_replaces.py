"""An INVITE that would take the place of another dialog (RFC 3891) is refused as that RFC says."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.edge.scene import Scene


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("{call};to-tag={ours};from-tag={theirs}", 603),
        ("{call};from-tag={theirs};to-tag={ours}", 603),
        ("{call};to-tag={ours};from-tag={theirs};early-only", 481),
        ("{call};to-tag=x;from-tag={theirs}", 481),
        ("nobody;to-tag={ours};from-tag={theirs}", 481),
        ("{call};to-tag={ours}", 400),
        (";;", 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_it_makes_no_new_call(scene: Scene, value: str, code: int) -> None:
    phone, worker = scene.phone(), scene.worker()
    invite, _, answer = await scene.call(phone, worker)
    calls = len(scene.outside.invites)
    said = value.format(call=invite.call_id, ours=answer.to.tag, theirs=invite.from_.tag)
    other = scene.phone()
    await other.register()
    taking = other.message(
        "INVITE", "sip:bob@dm.localhost", other.contact, f"Replaces: {said}", body=b"v=0"
    )
    other.send(taking)
    assert (await other.response(code)).code == code
    assert len(scene.outside.invites) == calls
