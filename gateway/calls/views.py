"""A call as an operator sees it."""

from __future__ import annotations

from gateway.calls.call import Call
from gateway.calls.console_ports import CallView, LegView
from gateway.calls.trunk_callee import TrunkCallee
from gateway.values import LegStats


def view(call: Call) -> CallView:
    callee = call.callee
    legs = []
    for leg, found in call.legs:
        media = found.media
        legs.append(
            LegView(
                leg=leg,
                kind=found.kind,
                side="caller" if found.owner is call.caller else "callee",
                codec="" if media is None else media.codec,
                secure=media is not None and media.secure,
                held=media is not None and media.remote_held,
                stats=found.stats if found.stats != LegStats() else found.told,
                sample=found.sample,
            )
        )
    return CallView(
        record=call.record,
        state=str(call.state),
        worker=call.lease.worker,
        trunk_in=call.trunk,
        trunk_out=callee.trunk if isinstance(callee, TrunkCallee) else None,
        legs=tuple(legs),
    )
