"""The tables.  Migrations make them; these definitions are what queries are written with."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, false

HEAD = "0016"
"""The newest migration."""

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("direction", String(16), nullable=False),
    Column("caller", String(400), nullable=False),
    Column("caller_name", String(200), nullable=False),
    Column("callee", String(400), nullable=False),
    Column("callee_name", String(200), nullable=False),
    Column("thread", String(200)),
    Column("created_at", Float, nullable=False),
    Column("ringing_at", Float),
    Column("caller_accepted_at", Float),
    Column("caller_accepted_means", String(16)),
    Column("caller_accepted_by", String(400)),
    Column("callee_accepted_at", Float),
    Column("callee_accepted_means", String(16)),
    Column("callee_accepted_by", String(400)),
    Column("connected_at", Float),
    Column("ended_at", Float),
    Column("reason", String(32)),
    Column("ended_by", String(16)),
    Column("caller_codec", String(32)),
    Column("callee_codec", String(32)),
    Column("per_minute", Float),
    Column("per_call", Float),
    # not part of the record: whether a side has deleted it from their own view
    Column("caller_hid", Boolean, nullable=False, server_default=false()),
    Column("callee_hid", Boolean, nullable=False, server_default=false()),
    Column("verdict", String(32)),
    Column("group_call", String(64)),
    # of a group: a JSON list of objects, as record.Change has them
    Column("changes", Text),
)
Index("calls_by_caller", calls.c.caller, calls.c.created_at, calls.c.call)
Index("calls_by_callee", calls.c.callee, calls.c.created_at, calls.c.call)
Index("calls_by_pair", calls.c.caller, calls.c.callee, calls.c.created_at, calls.c.call)
Index("calls_open", calls.c.ended_at)
Index("calls_by_time", calls.c.created_at)

ratings = Table(
    "ratings",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("by", String(400), primary_key=True),
    Column("score", Integer, nullable=False),
    Column("tags", String(200), nullable=False),
    Column("comment", String(1000), nullable=False),
    Column("at", Float, nullable=False),
)
reports = Table(
    "reports",
    metadata,
    Column("report", String(64), primary_key=True),
    Column("call", String(64), nullable=False),
    Column("by", String(400), nullable=False),
    Column("about", String(400), nullable=False),
    Column("category", String(32), nullable=False),
    Column("comment", String(4000), nullable=False),
    Column("at", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("settled_at", Float),
    Column("note", String(1000), nullable=False),
    Column("frozen", Text, nullable=False),
)
Index("reports_by_call", reports.c.call, reports.c.by, unique=True)
Index("reports_by_state", reports.c.state, reports.c.at, reports.c.report)
Index("reports_by_about", reports.c.about)

limit_buckets = Table(
    "limit_buckets",
    metadata,
    Column("key", String(900), primary_key=True),
    Column("level", Float, nullable=False),
    Column("at", Float, nullable=False),
)
Index("limit_buckets_by_time", limit_buckets.c.at)

holds = Table(
    "holds",
    metadata,
    Column("person", String(400), primary_key=True),
    Column("rule", String(64), nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False),
)

passes = Table(
    "passes",
    metadata,
    Column("pass_id", String(32), primary_key=True),
    Column("creator", String(64), nullable=False),
    Column("follower", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("calls", Integer),
    Column("seconds", Float),
    Column("calls_left", Integer),
    Column("seconds_left", Float),
    Column("from_at", Float),
    Column("until_at", Float),
    Column("created_at", Float, nullable=False),
)
Index("passes_by_creator", passes.c.creator, passes.c.follower, passes.c.created_at)
Index("passes_by_follower", passes.c.follower, passes.c.created_at)

pass_uses = Table(
    "pass_uses",
    metadata,
    Column("call", String(64), primary_key=True),
    Column("pass_id", String(32), nullable=False),
    Column("at", Float, nullable=False),
)

bans = Table(
    "bans",
    metadata,
    Column("person", String(400), primary_key=True),
    Column("report", String(64), nullable=False),
    Column("since", Float, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("jti", String(200)),
    Column("sub", String(64)),
    Column("issued_until", Float),
)
Index("revocations_by_end", revocations.c.expires_at)

console_actions = Table(
    "console_actions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("who", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("source", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("target", String(400), nullable=False),
    Column("outcome", String(200), nullable=False),
)
Index("console_actions_by_time", console_actions.c.at)

pins = Table(
    "pins",
    metadata,
    Column("pin", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("label", String(200), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("held_until", Float, nullable=False),
    Column("uses", Integer, nullable=False),
)
Index("pins_by_digest", pins.c.digest, unique=True)
Index("pins_by_owner", pins.c.owner, pins.c.created_at)

pin_failures = Table(
    "pin_failures",
    metadata,
    Column("who", String(400), primary_key=True),
    Column("level", Float, nullable=False),
    Column("at", Float, nullable=False),
)
keys = Table(
    "keys",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", String(64), nullable=False),
)

people = Table(
    "people",
    metadata,
    Column("handle", String(64), primary_key=True),
    Column("region", String(2)),
    Column("groups", Text, nullable=False),
    Column("age", String(8)),
    Column("timezone", String(64)),
    Column("seen_at", Float, nullable=False),
)
people_settings = Table(
    "people_settings",
    metadata,
    Column("handle", String(64), primary_key=True),
    Column("preferences", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
)
contacts = Table(
    "contacts",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("address", String(400), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("favourite", Boolean, nullable=False),
    Column("changed_at", Float, nullable=False),
)
blocks = Table(
    "blocks",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("who", String(400), primary_key=True),
    Column("created_at", Float, nullable=False),
)
strangers = Table(
    "strangers",
    metadata,
    Column("caller", String(400), primary_key=True),
    Column("callee", String(400), primary_key=True),
    Column("rings", Integer, nullable=False),
    Column("last_at", Float, nullable=False),
)
Index("strangers_by_age", strangers.c.last_at)
switches = Table(
    "switches",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
)
"""What was changed while running, and holds over a restart."""

answers = Table(
    "answers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("said", String(64), nullable=False),
    Column("sealed", Text),
    Column("at", Float, nullable=False),
)
Index("answers_by_age", answers.c.at)
webhook_events = Table(
    "webhook_events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("receiver", String(32), nullable=False),
    Column("lane", String(64), nullable=False),
    Column("event", String(40), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("due_at", Float),
    Column("attempts", Integer, nullable=False),
)
"""``due_at`` ``None``: another of its lane goes first."""
Index("webhook_events_due", webhook_events.c.receiver, webhook_events.c.due_at)
Index(
    "webhook_events_lane",
    webhook_events.c.receiver,
    webhook_events.c.lane,
    webhook_events.c.seq,
)
