"""The registrar: which account is where, until when (RFC 3261 §10).  In memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import structlog

from gateway.calls.console_ports import BindingView
from gateway.edge.flows import Flow, Flows
from gateway.settings import SipSection
from gateway.sip.headers import param, parse_name_addr
from gateway.sip.message import Request, Response, response_to
from gateway.sip.proxying import Refusal
from gateway.sip.registration import Bindings, Limits, apply, contact_values, live
from gateway.sip.uri import SipUri
from gateway.values import Contact, SipAddress

log = structlog.get_logger()

UDP_FLOW_S = 29
"""NATs forget an idle UDP flow after 30 s and more (RFC 4787 §4.3 asks for 120)."""


class Registrar:
    """Implements ``ports.Locations``."""

    def __init__(
        self,
        settings: SipSection,
        flows: Flows,
        now: Callable[[], float],
        counted: Callable[[int], None],
    ) -> None:
        self._domain = settings.domain.lower()
        self._names = {a.user: a.name or a.user for a in settings.accounts}
        self._limits = Limits(
            settings.registration_min_s, settings.registration_max_s, settings.contacts_per_account
        )
        self._idle_s = settings.tcp_idle_s
        self._flows = flows
        self._now = now
        self._counted = counted
        self._bindings: dict[str, Bindings] = {}

    def register(self, user: str, request: Request, flow: Flow, to_tag: str) -> Response:
        """Answer an authenticated REGISTER for this account."""
        now = self._now()
        if _lacks_outbound(request):
            return response_to(request, 439, "First Hop Lacks Outbound Support", to_tag=to_tag)
        result = apply(self._bindings.get(user, ()), request, now, self._limits, flow.name)
        if isinstance(result, Refusal):
            return response_to(
                request, result.code, result.reason, to_tag=to_tag, headers=result.headers
            )
        self._put(user, result)
        log.info(
            "registered",
            account=user,
            contacts=len(result),
            source=str(flow.peer),
            transport=flow.transport,
        )
        headers = [("Contact", v) for v in contact_values(result, now)]
        headers += [("Path", v) for v in request.headers.all("Path")]
        headers.append(("Supported", "path, outbound"))
        if any(b.flow == flow.name and b.reg_id for b in result):
            headers.append(("Require", "outbound"))
            headers.append(("Flow-Timer", str(self._flow_timer(flow))))
        return response_to(request, 200, to_tag=to_tag, headers=tuple(headers))

    def _flow_timer(self, flow: Flow) -> int:
        """After so many silent seconds the flow may be taken for dead (RFC 5626 §3.3)."""
        return max(1, round(self._idle_s * 0.8)) if flow.is_stream else UDP_FLOW_S

    def is_at(self, user: str, flow: Flow) -> bool:
        """Whether the account has registered over this flow, and still is."""
        now = self._now()
        bindings = self._bindings.get(user, ())
        return any(b.flow == flow.name and b.expires_at > now for b in bindings)

    def path_of(self, user: str, flow: str) -> tuple[str, ...]:
        """The Path of what this account has registered over a flow (RFC 3327 §5.3)."""
        bindings = live(self._bindings.get(user, ()), self._now())
        return next((b.path for b in bindings if b.flow == flow), ())

    def flow_closed(self, flow: Flow) -> None:
        """What was registered over a connection is gone with it (RFC 5626 §4.2.2)."""
        for user, bindings in tuple(self._bindings.items()):
            if any(b.flow == flow.name for b in bindings):
                self._put(user, tuple(b for b in bindings if b.flow != flow.name))

    def flow_failed(self, user: str, flow: Flow) -> None:
        """What this account registered over a flow cannot be reached by it (RFC 5626 §5.3)."""
        bindings = self._bindings.get(user, ())
        left = tuple(b for b in bindings if b.flow != flow.name)
        if left != bindings:
            log.info("flow_failed", account=user, source=str(flow.peer))
            self._put(user, left)

    def sweep(self) -> None:
        now = self._now()
        for user, bindings in tuple(self._bindings.items()):
            left = live(bindings, now)
            if left != bindings:
                self._put(user, left)

    def _put(self, user: str, bindings: Bindings) -> None:
        if bindings:
            self._bindings[user] = bindings
        else:
            self._bindings.pop(user, None)
        self._counted(sum(map(len, self._bindings.values())))

    # -- console_ports.Registrations

    def bindings(self, most: int) -> Sequence[BindingView]:
        now = self._now()
        found = (
            BindingView(user, str(b.uri), flow.transport if flow else "udp", b.expires_at)
            for user, bindings in self._bindings.items()
            for b, flow in ((b, self._flows.find(b.flow)) for b in live(bindings, now))
        )
        return tuple(islice(found, most))

    # -- ports.Locations

    def is_account(self, aor: SipAddress) -> bool:
        return aor.host == self._domain and aor.user in self._names

    def display_name(self, aor: SipAddress) -> str:
        return self._names.get(aor.user, aor.user)

    def contacts(self, aor: SipAddress) -> Sequence[Contact]:
        if aor.host != self._domain:
            return ()
        bindings = live(self._bindings.get(aor.user, ()), self._now())
        found: list[Contact] = []
        instances: set[str] = set()
        for b in bindings:
            flow = self._flows.find(b.flow)
            if flow is None:
                continue
            if b.instance and b.reg_id:
                # one flow at a time to one phone, the newest that stands (RFC 5626 §5.3)
                if b.instance in instances:
                    continue
                instances.add(b.instance)
            found.append(Contact(str(b.uri), b.flow, b.expires_at, b.q, flow.transport))
        return tuple(found)


def _lacks_outbound(request: Request) -> bool:
    """It asks for several flows through a proxy that does not keep them (RFC 5626 §6)."""
    supported = {tag.lower() for tag in request.headers.all("Supported")}
    if len(request.vias) < 2 or "outbound" not in supported or request.wildcard_contact:
        return False
    if all(param(c.params, "reg-id") is None for c in request.contacts):
        return False
    paths = request.headers.all("Path")
    first = parse_name_addr(paths[-1]).uri if paths else None
    return not (isinstance(first, SipUri) and first.param("ob") is not None)
