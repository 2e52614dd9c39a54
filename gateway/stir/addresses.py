"""Which addresses a certificate may be fetched from: a stranger names the host."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The numeric addresses of a host; none where there are none."""

MAX_ADDRESSES: Final = 8
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_IPV6_UNICAST: Final = ipaddress.IPv6Network("2000::/3")


def is_public(text: str) -> bool:
    """Of the Internet at large (RFC 6890); an IPv4 address inside an IPv6 one counts as itself."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = _ipv4_inside(address)
        if inner is not None:
            return is_public(str(inner))
        if address not in _IPV6_UNICAST:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _ipv4_inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Mapped (RFC 4291 §2.5.5.2), NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380)."""
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


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
