"""What peers send and get, as lines of a sequence diagram: no secrets, no ports."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sip.message import REASONS
from tests.peers.app_client import AppClient
from tests.peers.sip_message import SipMessage
from tests.peers.sip_phone import SipPhone

GATEWAY = "gateway"
_UNSHOWN = ("session.open", "call.quality")


@dataclass(frozen=True, order=True)
class Line:
    """``at`` is by ``time.perf_counter``."""

    at: float
    source: str
    sink: str
    text: str


class Tape:
    """Records from ``app`` or ``phone`` on; ``diagram`` is Mermaid's text."""

    def __init__(self, title: str, about: str) -> None:
        self.title, self.about = title, about
        self.lines: list[Line] = []
        self._names: list[str] = []
        self._calls: dict[str, str] = {}
        self._phones: list[tuple[str, SipPhone, int]] = []

    def _name(self, name: str) -> str:
        if name not in self._names:
            self._names.append(name)
        return name

    def app(self, client: AppClient, name: str) -> None:
        self._name(name)
        ask, hear = client.request, client.received

        async def request(method: str, timeout_s: float = 8, **params: Any) -> Any:
            self._add(name, GATEWAY, self._told(method, params))
            result = await ask(method, timeout_s, **params)
            if "call" in result:
                self._call(result["call"])
            self._add(GATEWAY, name, f"{method} → {self._shown(result) or 'done'}")
            return result

        def received(message: dict[str, Any]) -> None:
            if "method" in message and message["method"] not in _UNSHOWN:
                said = self._told(message["method"], message.get("params", {}))
                self._add(GATEWAY, name, said)
            hear(message)

        client.request = request  # type: ignore[method-assign]
        client.received = received  # type: ignore[method-assign]

    def phone(self, phone: SipPhone, name: str) -> None:
        self._name(name)
        self._phones.append((name, phone, len(phone.sent)))

        def came(message: SipMessage, at: float) -> None:
            self.lines.append(Line(at, GATEWAY, name, sip_line(message)))

        phone.on_message = came

    def _add(self, source: str, sink: str, text: str) -> None:
        self.lines.append(Line(time.perf_counter(), source, sink, text))

    def _call(self, name: str) -> str:
        return self._calls.setdefault(name, f"c{len(self._calls) + 1}")

    def _told(self, method: str, params: Mapping[str, Any]) -> str:
        return f"{method} {self._shown(params)}".strip()

    def _shown(self, params: Mapping[str, Any]) -> str:
        parts = []
        for key, value in params.items():
            match key:
                case "call":
                    parts.append(self._call(value))
                case "sdp":
                    parts.append("SDP")
                case "from":
                    parts.append(f"from {value['address']}")
                case "to" | "by" | "reason" | "address" | "codec" | "digit" | "held":
                    parts.append(f"{key} {str(value).lower() if value in (True, False) else value}")
                case "group":
                    parts.append("group " + " ".join(value))
                case _:
                    pass
        return ", ".join(parts)

    def diagram(self) -> str:
        lines = list(self.lines)
        for name, phone, since in self._phones:
            phone.on_message = None
            lines += [Line(at, name, GATEWAY, sip_line(m)) for at, m in phone.sent[since:]]
        apps = [n for n in self._names if n not in {name for name, _, _ in self._phones}]
        out = ["sequenceDiagram"]
        order = [*apps, GATEWAY, *(name for name, _, _ in self._phones)]
        out += [f"    participant {name}" for name in order]
        for line in sorted(lines):
            arrow = "->>" if not line.text[:1].isdigit() and "→" not in line.text else "-->>"
            out.append(f"    {line.source}{arrow}{line.sink}: {line.text}")
        return "\n".join(out)


def sip_line(message: SipMessage) -> str:
    """The first line without addresses of this run, and what the message brings."""
    if message.code:
        text = f"{message.code} {REASONS.get(message.code, '')}".strip()
        if message.method != "INVITE":
            text += f" ({message.method})"
    else:
        uri = message.first.split()[1]
        user = re.match(r"sips?:([^@;:]+)@", uri)
        number = user and re.fullmatch(r"\+?\w{1,20}", user[1]) and not user[1].startswith("g")
        shown = (
            f" {user[1]}" if user and number and message.method in ("INVITE", "REGISTER") else ""
        )
        text = message.method + shown
    brings = []
    if message.get("content-type").lower() == "application/sdp":
        direction = re.search(r"^a=(sendonly|recvonly|inactive)", message.body, re.M)
        brings.append(f"SDP {direction[1]}" if direction else "SDP")
    if message.get("refer-to"):
        brings.append("Refer-To " + re.sub(r".*sip:([^@>]+)@.*", r"\1", message.get("refer-to")))
    if message.get("content-type").lower().startswith("message/sipfrag"):
        brings.append(message.body.strip().removeprefix("SIP/2.0 "))
    if message.get("proxy-authenticate") or message.get("www-authenticate"):
        brings.append("challenge")
    if message.get("proxy-authorization") or message.get("authorization"):
        brings.append("digest")
    reason = re.search(r"cause=(\d+)", message.get("reason"))
    if reason:
        brings.append(f"Reason {reason[1]}")
    return f"{text} [{', '.join(brings)}]" if brings else text
