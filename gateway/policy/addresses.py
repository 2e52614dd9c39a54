"""Which network addresses may be reached where somebody else names the host."""

from __future__ import annotations

import ipaddress
from typing import Final

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
