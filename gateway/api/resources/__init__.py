"""One module a resource: its models, its operations, what they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.api.operation import Operation
from gateway.api.resources.calls import CallResource
from gateway.api.resources.people import PeopleResource
from gateway.api.resources.pins import PinResource
from gateway.api.resources.reports import ReportResource
from gateway.api.resources.revocations import RevocationResource
from gateway.calls.people_ports import PeopleBook
from gateway.calls.pin_ports import Pins
from gateway.calls.review_ports import Bans, ReportQueue
from gateway.calls.revocation_ports import Revocations
from gateway.calls.server_ports import RecordBook, ServerCalls


@dataclass(frozen=True, slots=True)
class Ports:
    """What the resources stand for."""

    calls: ServerCalls
    records: RecordBook
    pins: Pins
    people: PeopleBook
    reports: ReportQueue
    bans: Bans
    revocations: Revocations
    now: Callable[[], float]


def operations(ports: Ports) -> tuple[Operation, ...]:
    return (
        *CallResource(ports.calls, ports.records).operations(),
        *PinResource(ports.pins, ports.now).operations(),
        *PeopleResource(ports.people, ports.now).operations(),
        *ReportResource(ports.reports, ports.bans, ports.now).operations(),
        *RevocationResource(ports.revocations, ports.now).operations(),
    )
