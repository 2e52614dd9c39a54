"""What can be asked for at the console, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.calls.console_ports import (
    AuditBook,
    LiveCalls,
    Product,
    ProductBook,
    Registrations,
    SafetyBook,
    Traces,
    TrunkStates,
    Valve,
    Workers,
)
from gateway.calls.limit_ports import Holds
from gateway.calls.review_ports import Bans, ReportQueue
from gateway.calls.server_ports import RecordBook, RecordFilter
from gateway.console import asked, rows
from gateway.console.answers import Answer, Refused, as_json
from gateway.console.board import Board
from gateway.console.doors import Visit
from gateway.console.downloads import as_pcap, as_text
from gateway.errors import GatewayError
from gateway.values import CallId, Reason, parse_address

MOST_BINDINGS: Final = 2000
MOST_LISTED: Final = 200
DAY_S: Final = 86_400.0
PRODUCT_S: Final = 60.0
"""For so long a product view is shown again: it reads every call of its days."""


@dataclass(frozen=True, slots=True)
class Ports:
    calls: LiveCalls
    records: RecordBook
    traces: Traces
    workers: Workers
    trunks: TrunkStates
    registrations: Registrations
    valve: Valve
    product: ProductBook
    safety: SafetyBook
    reports: ReportQueue
    bans: Bans
    holds: Holds
    audit: AuditBook
    now: Callable[[], float]


class Desk:
    """Every method answers one request of somebody who has signed in.

    What acts is written to the audit before it is done; where that fails nothing is done.
    """

    def __init__(self, ports: Ports) -> None:
        self._p = p = ports
        self._board = Board(
            {
                "gateway": self._gateway,
                "call": lambda: rows.calls(p.calls.views()),
                "worker": lambda: rows.workers(p.workers.views()),
                "trunk": lambda: rows.trunks(p.trunks.views()),
                "binding": lambda: rows.bindings(p.registrations.bindings(MOST_BINDINGS)),
            },
            p.now,
        )
        self._products: dict[int, Product] = {}

    def _gateway(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        (calls, most_calls), (legs, most_legs) = self._p.calls.room(), self._p.workers.room()
        yield (
            "here",
            {
                "calls": calls,
                "max_calls": most_calls,
                "legs": legs,
                "max_legs": most_legs,
                "draining": self._p.valve.draining,
                "not_ready": list(self._p.valve.not_ready()),
            },
        )

    # -- looking

    async def now(self, _visit: Visit, query: asked.NowQuery) -> Answer:
        return Answer(self._board.since(query.since))

    async def calls(self, _visit: Visit, query: asked.CallsQuery) -> Answer:
        party = None if query.party is None else parse_address(query.party)
        which = RecordFilter(party=party, direction=query.direction, reason=query.reason)
        page = await self._p.records.records(which, query.before, query.limit)
        return as_json({"calls": [rows.of_record(r) for r in page.records], "next": page.next})

    async def call(self, _visit: Visit, call: str) -> Answer:
        record = await self._p.records.record(CallId(call))
        trace = self._p.traces.trace(CallId(call))
        if record is None:
            raise Refused(404, "no such call")
        live = next((v for v in self._p.calls.views() if v.record.call == call), None)
        told: dict[str, Any] = {
            "record": rows.of_record(record if live is None else live.record),
            "live": None if live is None else rows.of_call(live),
            "kept": trace is not None,
            "notes": [],
            "messages": [],
            "samples": {},
            "dropped": 0,
        }
        if trace is not None:
            told["notes"] = [dict(note) for note in trace.notes]
            told["messages"] = [rows.of_message(m) for m in trace.messages]
            told["samples"] = {
                leg: [rows.of_sample(s) for s in samples] for leg, samples in trace.samples.items()
            }
            told["dropped"] = trace.dropped
        return as_json(told)

    async def product(self, _visit: Visit, query: asked.ProductQuery) -> Answer:
        now = self._p.now()
        found = self._products.get(query.days)
        if found is None or now - found.until >= PRODUCT_S:
            found = await self._p.product.product(now - query.days * DAY_S, now)
            self._products[query.days] = found
        return as_json(asdict(found))

    async def safety(self, _visit: Visit, query: asked.ReportsQuery) -> Answer:
        p, now = self._p, self._p.now()
        reports = await p.reports.reports(query.state, query.before, 50)
        bans, holds = await p.bans.bans(None, MOST_LISTED), await p.holds.holds(now)
        return as_json(
            {
                "reports": [rows.of_report(r) for r in reports.reports],
                "next": reports.next,
                "bans": [
                    {"person": str(b.person), "report": b.report, "since": b.since} for b in bans
                ],
                "holds": [
                    {"person": str(h.person), "rule": h.rule, "since": h.since, "until": h.until}
                    for h in holds[:MOST_LISTED]
                ],
                "blocked": [asdict(b) for b in await p.safety.most_blocked(20)],
            }
        )

    async def audit(self, _visit: Visit, query: asked.AuditQuery) -> Answer:
        page = await self._p.audit.actions(query.before, 100)
        return as_json({"actions": [asdict(a) for a in page.actions], "next": page.next})

    # -- acting

    async def text(self, visit: Visit, call: str) -> Answer:
        return await self._download(visit, call, "txt")

    async def pcap(self, visit: Visit, call: str) -> Answer:
        return await self._download(visit, call, "pcap")

    async def _download(self, visit: Visit, call: str, kind: str) -> Answer:
        trace = self._p.traces.trace(CallId(call))
        if trace is None or not trace.messages:
            raise Refused(404, "no SIP of this call is kept")

        async def give() -> Answer:
            make, of = (as_text, "text/plain; charset=utf-8")
            if kind == "pcap":
                make, of = (as_pcap, "application/vnd.tcpdump.pcap")
            name = f'attachment; filename="{trace.call}.{kind}"'
            return Answer(make(trace.messages), of, headers={"Content-Disposition": name})

        return await self._do(visit, "download", f"{call}.{kind}", give)

    async def end(self, visit: Visit, call: str, body: asked.End) -> Answer:
        async def act() -> Answer:
            reason = None if body.reason is None else Reason(body.reason)
            record = self._p.calls.end_by_server(CallId(call), reason)
            return as_json(rows.of_record(record))

        return await self._do(visit, "end_call", f"{call} {body.reason or ''}".strip(), act)

    async def drain(self, visit: Visit, _body: asked.Nothing) -> Answer:
        async def act() -> Answer:
            self._p.valve.shut()
            return as_json({"draining": True})

        return await self._do(visit, "drain", "gateway", act)

    async def undrain(self, visit: Visit, _body: asked.Nothing) -> Answer:
        async def act() -> Answer:
            self._p.valve.open()
            return as_json({"draining": False})

        return await self._do(visit, "undrain", "gateway", act)

    async def settle(self, visit: Visit, report: str, body: asked.Settle) -> Answer:
        async def act() -> Answer:
            now = self._p.now()
            settled = await self._p.reports.settle(report, body.state, body.note, now)
            if settled is None:
                raise Refused(404, "no such report")
            if body.ban and body.state == "upheld":
                await self._p.bans.ban(settled.about, settled.id, now)
            return as_json(rows.of_report(settled))

        what = f"{report} {body.state}{' with a ban' if body.ban else ''}"
        return await self._do(visit, "settle_report", what, act)

    async def lift(self, visit: Visit, body: asked.Lift) -> Answer:
        async def act() -> Answer:
            if not await self._p.bans.lift(parse_address(body.address)):
                raise Refused(404, "no such ban")
            return as_json({})

        return await self._do(visit, "lift_ban", body.address, act)

    async def release(self, visit: Visit, body: asked.Lift) -> Answer:
        async def act() -> Answer:
            if not await self._p.holds.release(parse_address(body.address)):
                raise Refused(404, "no such hold")
            return as_json({})

        return await self._do(visit, "release_hold", body.address, act)

    async def _do(
        self, visit: Visit, action: str, target: str, act: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        if visit.role != "operator" and action != "download":
            await self.note(visit.name, visit.role, visit.source, action, target, "not allowed")
            raise Refused(403, "a viewer looks and does not act")
        p = self._p
        entry = await p.audit.asked(p.now(), visit.name, visit.role, visit.source, action, target)
        try:
            answer = await act()
        except (GatewayError, Refused) as e:
            await p.audit.came_of(entry, f"refused: {e}")
            raise
        except BaseException:
            await p.audit.came_of(entry, "broke")
            raise
        await p.audit.came_of(entry, "done")
        return answer

    async def note(
        self, who: str, role: str, source: str, action: str, target: str, outcome: str
    ) -> None:
        entry = await self._p.audit.asked(self._p.now(), who, role, source, action, target)
        await self._p.audit.came_of(entry, outcome)
