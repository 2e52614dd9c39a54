"""The first word of a call's record: who calls whom, by which verdict, and at what price."""

from __future__ import annotations

from gateway.calls.directory import shown
from gateway.calls.judging import Asked
from gateway.calls.outside import Outside
from gateway.calls.record import Acceptance, CallRecord
from gateway.policy.chain import Verdict
from gateway.policy.limits import tariff_of
from gateway.routing.targets import Telephone
from gateway.values import (
    Address,
    CallId,
    Direction,
    ServiceAddress,
    SipAddress,
    TelAddress,
    UserAddress,
)


def opened(
    outside: Outside,
    call: CallId,
    asked: Asked,
    caller_name: str,
    thread: str | None,
    verdict: Verdict,
) -> CallRecord:
    """The caller has accepted by calling."""
    caller, callee = asked.caller, shown(asked.to, asked.target)
    name = ""
    match callee:
        case SipAddress():
            name = outside.locations.display_name(callee)
        case UserAddress(handle=handle):
            name = next((c.principal.name for c in outside.clients.clients_of(handle)), "")
        case _:
            pass
    now = outside.clock.seconds()
    tariff = None
    if isinstance(asked.target, Telephone):
        tariff = tariff_of(asked.target.number, outside.limits.telephone.tariffs)
    return CallRecord(
        call=call,
        direction=_direction(caller, callee),
        caller=caller,
        caller_name=caller_name,
        callee=callee,
        callee_name=name,
        created_at=now,
        thread=thread,
        caller_accepted=Acceptance(now, asked.means, caller),
        verdict=verdict.rule,
        per_minute=None if tariff is None else tariff.per_minute,
        per_call=None if tariff is None else tariff.per_call,
    )


def _direction(caller: Address, callee: Address) -> Direction:
    ends = {UserAddress: "app", SipAddress: "sip", TelAddress: "phone", ServiceAddress: "service"}
    return Direction(f"{ends[type(caller)]}_to_{ends[type(callee)]}")
