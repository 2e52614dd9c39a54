"""Digest authentication on the client's side (RFC 7616, RFC 8760 §2.4): answers to challenges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.sip.digest import Algorithm, algorithm_of, response_value
from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import parse_auth


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to a server that asks."""

    username: str
    password: str = field(repr=False)


def answer(
    challenges: Sequence[str], login: Login, method: str, uri: str, cnonce: str
) -> str | None:
    """Credentials for the first challenge that can be met; ``None`` where none can.

    ``challenges`` are the values of WWW-Authenticate or Proxy-Authenticate, in the server's order
    of preference.  A nonce is used once, so its count is always 1.
    """
    for value in challenges:
        try:
            scheme, given = parse_auth(value)
        except SipSyntaxError:
            continue
        algorithm = algorithm_of(given)
        if scheme != "digest" or algorithm is None or "nonce" not in given:
            continue
        offered = [q.strip().lower() for q in given.get("qop", "").split(",") if q.strip()]
        if offered and "auth" not in offered:
            continue
        return _credentials(given, algorithm, login, method, uri, cnonce if offered else "")
    return None


def is_stale(challenges: Sequence[str]) -> bool:
    """Whether the credentials were right and only their nonce too old."""
    for value in challenges:
        try:
            _, given = parse_auth(value)
        except SipSyntaxError:
            continue
        if given.get("stale", "").lower() == "true":
            return True
    return False


def _credentials(
    given: dict[str, str], algorithm: Algorithm, login: Login, method: str, uri: str, cnonce: str
) -> str:
    fields = {
        "username": login.username,
        "realm": given.get("realm", ""),
        "nonce": given["nonce"],
        "uri": uri,
    }
    if cnonce:
        fields |= {"qop": "auth", "nc": "00000001", "cnonce": cnonce}
    fields["response"] = response_value(fields, method, login.password, algorithm)
    if "algorithm" in given:
        fields["algorithm"] = algorithm
    if "opaque" in given:
        fields["opaque"] = given["opaque"]
    bare = {"qop", "nc", "algorithm"}
    return "Digest " + ", ".join(
        f"{name}={value}" if name in bare else f"{name}={_quoted(value)}"
        for name, value in fields.items()
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
