"""The registrar: which account is where, until when (RFC 3261 §10).  In memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from gateway.edge.flows import Flow, Flows
from gateway.settings import SipSection
from gateway.sip.message import Request, Response, response_to
from gateway.sip.proxying import Refusal
from gateway.sip.registration import Bindings, Limits, apply, contact_values, live
from gateway.values import Contact, SipAddress

log = structlog.get_logger()


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
        self._flows = flows
        self._now = now
        self._counted = counted
        self._bindings: dict[str, Bindings] = {}

    def register(self, user: str, request: Request, flow: Flow, to_tag: str) -> Response:
        """Answer an authenticated REGISTER for this account."""
        now = self._now()
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
        return response_to(request, 200, to_tag=to_tag, headers=tuple(headers))

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

    # -- ports.Locations

    def is_account(self, aor: SipAddress) -> bool:
        return aor.host == self._domain and aor.user in self._names

    def display_name(self, aor: SipAddress) -> str:
        return self._names.get(aor.user, aor.user)

    def contacts(self, aor: SipAddress) -> Sequence[Contact]:
        if aor.host != self._domain:
            return ()
        bindings = live(self._bindings.get(aor.user, ()), self._now())
        found = ((b, self._flows.find(b.flow)) for b in bindings)
        return tuple(
            Contact(str(b.uri), b.flow, b.expires_at, b.q, flow.transport)
            for b, flow in found
            if flow is not None
        )
