"""Which addresses a certificate may be fetched from: a stranger names the host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The numeric addresses of a host; none where there are none."""

MAX_ADDRESSES: Final = 8


@implementer(IResolutionReceiver)
class _Receiver:
    """A look-up cannot be taken back: what comes of it too late is not heard."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.done: Deferred[None] = Deferred()

    def resolutionBegan(self, resolutionInProgress: object) -> None: ...  # noqa: N803

    def addressResolved(self, address: Any) -> None:
        if isinstance(address, IPv4Address | IPv6Address) and len(self.found) < MAX_ADDRESSES:
            self.found.append(address.host)

    def resolutionComplete(self) -> None:
        self.done.callback(None)


def system_resolver(reactor: Any) -> Resolve:
    """The host's own name service, as the reactor asks it: in threads."""

    async def resolve(host: str) -> Sequence[str]:
        receiver = _Receiver()
        reactor.nameResolver.resolveHostName(receiver, host, 0, [IPv4Address, IPv6Address], "TCP")
        await receiver.done
        return receiver.found

    return resolve
