"""One module a resource: its models, its operations, what they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.api.operation import Operation
from gateway.api.resources.calls import CallResource
from gateway.api.resources.passes import PassResource
from gateway.api.resources.people import PeopleResource
from gateway.api.resources.pins import PinResource
from gateway.api.resources.reports import ReportResource
from gateway.api.resources.revocations import RevocationResource
from gateway.api.resources.rollout import RolloutResource
from gateway.calls.pass_ports import PassBook
from gateway.calls.people_ports import PeopleBook
from gateway.calls.pin_ports import Pins
from gateway.calls.ports import AppClients
from gateway.calls.review_ports import Bans, ReportQueue
from gateway.calls.revocation_ports import Revocations
from gateway.calls.rollout import Rollout
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
    passes: PassBook
    clients: AppClients
    rollout: Rollout
    now: Callable[[], float]


def operations(ports: Ports) -> tuple[Operation, ...]:
    return (
        *CallResource(ports.calls, ports.records).operations(),
        *PinResource(ports.pins, ports.now).operations(),
        *PeopleResource(ports.people, ports.now).operations(),
        *ReportResource(ports.reports, ports.bans, ports.now).operations(),
        *RevocationResource(ports.revocations, ports.now).operations(),
        *PassResource(ports.passes, ports.clients, ports.now).operations(),
        *RolloutResource(ports.rollout).operations(),
    )
