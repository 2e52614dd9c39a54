"""Which pages may speak with the gateway (RFC 6454, RFC 6455 §10.2)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def _origin(text: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS.get(parts.scheme)


class Origins:
    """``allowed``: origins as a browser writes them, besides the gateway's own."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {o for o in map(_origin, allowed) if o is not None}

    def allowed(self, origin: str | None, host: str | None) -> bool:
        """No origin: no browser.  The own one names the host that the request was sent to;
        the scheme may differ, where TLS ends before the gateway."""
        if origin is None:
            return True
        theirs = _origin(origin)
        if theirs is None:
            return False
        if theirs in self._allowed:
            return True
        scheme, *place = theirs
        ours = None if host is None else _origin(f"{scheme}://{host}")
        return scheme in _DEFAULT_PORTS and ours is not None and ours[1:] == tuple(place)
