"""Values as the console's JSON has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.calls.console_ports import (
    BindingView,
    CallView,
    LegView,
    Sample,
    SipSeen,
    TrunkView,
    WorkerView,
)
from gateway.calls.record import Acceptance, CallRecord
from gateway.calls.review_ports import Report

Rows = Iterator[tuple[str, dict[str, Any]]]


def calls(views: Iterable[CallView]) -> Rows:
    for view in views:
        yield view.record.call, of_call(view)


def of_call(view: CallView) -> dict[str, Any]:
    r = view.record
    return {
        "direction": r.direction,
        "caller": str(r.caller),
        "caller_name": r.caller_name,
        "callee": str(r.callee),
        "callee_name": r.callee_name,
        "state": view.state,
        "created": r.created_at,
        "connected": r.connected_at,
        "worker": view.worker,
        "in": view.trunk_in,
        "out": view.trunk_out,
        "rule": r.verdict,
        "group": r.group,
        "legs": [_leg(leg) for leg in view.legs],
    }


def _leg(leg: LegView) -> dict[str, Any]:
    out: dict[str, Any] = {
        "leg": leg.leg,
        "kind": leg.kind,
        "side": leg.side,
        "codec": leg.codec,
        "secure": leg.secure,
        "held": leg.held,
        "received": leg.stats.received.packets,
        "sent": leg.stats.sent.packets,
    }
    if leg.sample is not None:
        out |= of_sample(leg.sample)
    return out


def of_sample(s: Sample) -> dict[str, Any]:
    return {
        "at": round(s.at, 1),
        "codec": s.codec,
        "mos": round(s.mos_received, 2),
        "mos_sent": round(s.mos_sent, 2),
        "loss": round(s.loss_received, 4),
        "loss_sent": round(s.loss_sent, 4),
        "jitter": round(s.jitter_ms, 1),
        "jitter_sent": round(s.jitter_sent_ms, 1),
        "rtt": None if s.rtt_ms is None else round(s.rtt_ms, 1),
    }


def workers(views: Iterable[WorkerView]) -> Rows:
    for w in views:
        yield (
            str(w.worker),
            {
                "pid": w.pid,
                "state": w.state,
                "taken": w.taken,
                "capacity": w.capacity,
                "up_s": round(w.up_s, -1),
                "cpu_s": round(w.cpu_s, 1),
                "rss": w.rss_bytes // 2**20,
            },
        )


def trunks(views: Iterable[TrunkView]) -> Rows:
    for t in views:
        yield (
            t.name,
            {
                "address": t.address,
                "calls": t.calls,
                "max_calls": t.max_calls,
                "registered": t.registered,
                "targets": [{"at": at.at, "doubtful": at.doubtful} for at in t.targets],
            },
        )


def bindings(views: Iterable[BindingView]) -> Rows:
    for b in views:
        shown = {"account": b.account, "contact": b.contact, "transport": b.transport}
        yield f"{b.account} {b.contact}", {**shown, "expires": round(b.expires)}


def of_record(r: CallRecord) -> dict[str, Any]:
    return {
        "call": r.call,
        "direction": r.direction,
        "caller": str(r.caller),
        "caller_name": r.caller_name,
        "callee": str(r.callee),
        "callee_name": r.callee_name,
        "created": r.created_at,
        "ringing": r.ringing_at,
        "caller_accepted": _acceptance(r.caller_accepted),
        "callee_accepted": _acceptance(r.callee_accepted),
        "connected": r.connected_at,
        "ended": r.ended_at,
        "reason": r.reason,
        "ended_by": r.ended_by,
        "caller_codec": r.caller_codec,
        "callee_codec": r.callee_codec,
        "rule": r.verdict,
        "group": r.group,
        "duration": round(r.duration_s, 1),
        "changes": [
            {"at": c.at, "what": c.what, "by": c.by, "to": c.to, "on": c.on} for c in r.changes
        ],
    }


def _acceptance(a: Acceptance | None) -> dict[str, Any] | None:
    return None if a is None else {"at": a.at, "means": a.means, "by": str(a.by)}


def of_message(m: SipSeen) -> dict[str, Any]:
    return {
        "at": m.at,
        "outward": m.outward,
        "transport": m.transport,
        "here": str(m.here),
        "there": str(m.there),
        "text": m.text.decode("utf-8", "replace"),
    }


def of_report(r: Report) -> dict[str, Any]:
    return {
        "id": r.id,
        "call": r.call,
        "by": str(r.by),
        "about": str(r.about),
        "category": r.category,
        "comment": r.comment,
        "at": r.at,
        "state": r.state,
        "settled": r.settled_at,
        "note": r.note,
    }
