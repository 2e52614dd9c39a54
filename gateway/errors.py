"""One tree of errors.

Each knows what an app client is told (``rpc_code``, JSON-RPC), what a SIP peer is
told (``sip_code``), and whose fault it is.  ``str(error)`` is fit for a client: it
never holds a secret, a token or a peer's SDP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Fault = Literal["client", "peer", "gateway", "operator"]


class GatewayError(Exception):
    """The root; raise a leaf."""

    rpc_code: ClassVar[int] = -32603
    sip_code: ClassVar[int] = 500
    fault: ClassVar[Fault] = "gateway"

    def data(self) -> dict[str, object] | None:
        """The ``data`` member of the JSON-RPC error, or ``None``."""
        return None


class BadAddress(GatewayError):
    rpc_code, sip_code, fault = -32602, 404, "client"

    def __init__(self, text: str) -> None:
        super().__init__(
            f"not an address: {text[:80]!r}; right are user:HANDLE, tel:+E164, "
            "sip:USER@HOST, service:echo"
        )


class TokenRefused(GatewayError):
    """Deliberately says nothing more: the reason must not be guessable."""

    rpc_code, sip_code, fault = 4401, 401, "client"

    def __init__(self) -> None:
        super().__init__("token refused")


class NotAllowed(GatewayError):
    rpc_code, sip_code, fault = 4403, 403, "client"


class NoSuchCall(GatewayError):
    """No such call, or not yours: the same answer."""

    rpc_code, sip_code, fault = 4404, 481, "client"

    def __init__(self) -> None:
        super().__init__("no such call")


class NoSuchParty(GatewayError):
    """Of a group call."""

    rpc_code, sip_code, fault = 4404, 404, "client"

    def __init__(self) -> None:
        super().__init__("nobody of that address is in this call")


class NoSuchPin(GatewayError):
    """No such PIN, or not yours: the same answer."""

    rpc_code, sip_code, fault = 4404, 404, "client"

    def __init__(self) -> None:
        super().__init__("no such PIN")


class NoSuchPass(GatewayError):
    """No such pass, or not yours: the same answer."""

    rpc_code, sip_code, fault = 4404, 404, "client"

    def __init__(self) -> None:
        super().__init__("no such pass")


class WrongState(GatewayError):
    rpc_code, sip_code, fault = 4409, 491, "client"

    def __init__(self, doing: str, state: str) -> None:
        super().__init__(f"{doing} is not possible while the call is {state}")
        self.state = state

    def data(self) -> dict[str, object]:
        return {"state": self.state}


class RateLimited(GatewayError):
    rpc_code, sip_code, fault = 4429, 503, "client"

    def __init__(self, what: str, retry_after_s: float) -> None:
        super().__init__(f"too many {what}")
        self.retry_after_s = retry_after_s

    def data(self) -> dict[str, object]:
        return {"retry_after_s": round(self.retry_after_s, 1)}


class SdpUnusable(GatewayError):
    rpc_code, sip_code, fault = 4488, 488, "client"


class NoCapacity(GatewayError):
    rpc_code, sip_code, fault = 4503, 503, "gateway"


class MediaFailed(GatewayError):
    """A leg could not be made, or its media session broke."""

    rpc_code, sip_code, fault = 4488, 488, "peer"


class WorkerLost(GatewayError):
    """The worker process behind a leg is gone."""

    rpc_code, sip_code, fault = 4503, 500, "gateway"


class Unlocatable(GatewayError):
    """No address is known for a domain (RFC 3263); says what was asked and what came of it."""

    rpc_code, sip_code, fault = 4503, 503, "peer"


class NoResponse(GatewayError):
    """A SIP peer said nothing in time, or could not be reached; says which and why."""

    rpc_code, sip_code, fault = 4503, 408, "peer"


class StoreUnavailable(GatewayError):
    rpc_code, sip_code, fault = 4503, 503, "gateway"


class CannotStart(GatewayError):
    """The daemon cannot come up: a port in use, a missing program.  Says what would be right."""

    fault = "operator"


@dataclass(frozen=True, slots=True)
class SettingsFault:
    """One fault of a settings file: where it is, what is wrong, what would be right."""

    file: str
    line: int
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.where}: {self.problem}"


class SettingsError(GatewayError):
    """All faults of a settings file at once, in the order of their lines."""

    fault = "operator"

    def __init__(self, faults: Sequence[SettingsFault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda f: (f.file, f.line, f.where)))
        super().__init__("\n".join(map(str, self.faults)))
