"""Records as rows, and rows as what a person's history shows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from gateway.calls.reasons import told_caller
from gateway.calls.record import Acceptance, CallRecord, HistoryItem
from gateway.policy.rules import SILENT
from gateway.store.schema import calls
from gateway.values import (
    Address,
    CallId,
    Reason,
    ServiceAddress,
    SipAddress,
    TelAddress,
    UserAddress,
)


def row_of(r: CallRecord) -> dict[str, Any]:
    """Every column; text is cut to its column's length and made fit for any database."""
    row: dict[str, Any] = {
        "call": r.call,
        "direction": str(r.direction),
        "caller": str(r.caller),
        "caller_name": r.caller_name,
        "callee": str(r.callee),
        "callee_name": r.callee_name,
        "thread": r.thread,
        "created_at": r.created_at,
        "ringing_at": r.ringing_at,
        "connected_at": r.connected_at,
        "ended_at": r.ended_at,
        "reason": None if r.reason is None else str(r.reason),
        "ended_by": None if r.ended_by is None else str(r.ended_by),
        "caller_codec": r.caller_codec,
        "callee_codec": r.callee_codec,
        "verdict": r.verdict,
        "per_minute": r.per_minute,
        "per_call": r.per_call,
        "group_call": r.group,
        "changes": json.dumps([asdict(c) for c in r.changes]) if r.changes else None,
        **_acceptance("caller", r.caller_accepted),
        **_acceptance("callee", r.callee_accepted),
    }
    return {name: _fit(name, value) for name, value in row.items()}


def _acceptance(side: str, a: Acceptance | None) -> dict[str, Any]:
    return {
        f"{side}_accepted_at": None if a is None else a.at,
        f"{side}_accepted_means": None if a is None else a.means,
        f"{side}_accepted_by": None if a is None else str(a.by),
    }


def _fit(name: str, value: Any) -> Any:
    """SIP text may hold bytes that are no UTF-8 (as lone surrogates) and NUL; columns may not."""
    if not isinstance(value, str):
        return value
    plain = value.encode("utf-8", "surrogateescape" if _escaped(value) else "replace")
    text = plain.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    longest = getattr(calls.c[name].type, "length", None)
    return text[:longest]


def _escaped(text: str) -> bool:
    """Whether every surrogate in it stands for a byte (PEP 383)."""
    return all("\udc80" <= c <= "\udcff" for c in text if "\ud800" <= c <= "\udfff")


def item_of(row: Row[Any], me: str) -> HistoryItem:
    """``row`` has the columns of ``calls`` and ``missed``, as if ``me`` were the callee."""
    out = row.caller == me
    talked = row.connected_at is not None and row.ended_at is not None
    reason = None if row.reason is None else Reason(row.reason)
    rule = row.verdict if not out and row.verdict in SILENT else None
    if rule is not None and reason is not None:
        reason = Reason.UNAVAILABLE
    elif reason is not None:
        reason = told_caller(reason)
    return HistoryItem(
        call=CallId(row.call),
        direction="out" if out else "in",
        with_=address_of(row.callee if out else row.caller),
        with_name=row.callee_name if out else row.caller_name,
        at=row.created_at,
        thread=row.thread,
        connected_at=row.connected_at,
        reason=reason,
        missed=bool(row.missed) and not out,
        rule=rule,
        duration_s=max(0.0, row.ended_at - row.connected_at) if talked else 0.0,
    )


def address_of(text: str) -> Address:
    """What was written as an address is read as one, even if nobody could call it (a peer's From
    may be anything): one odd record must not hide the others."""
    scheme, _, rest = text.partition(":")
    match scheme:
        case "user":
            return UserAddress(rest)
        case "tel":
            return TelAddress(rest)
        case "service":
            return ServiceAddress(rest)
        case _:
            user, _, host = rest.rpartition("@")
            return SipAddress(user, host)
