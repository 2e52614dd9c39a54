"""REFER (RFC 3515) and Replaces (RFC 3891): who is asked for, and instead of which dialog."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import parse_name_addr
from gateway.sip.message import Request
from gateway.sip.uri import OtherUri, SipUri, unescape

_MAX: Final = 400
_NUMBER: Final = re.compile(r"\+[0-9][0-9.\-()]{1,30}")


@dataclass(frozen=True, slots=True)
class Replaces:
    """A dialog as the one who is asked to replace it knows it: ``to_tag`` is its own."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool = False


@dataclass(frozen=True, slots=True)
class ReferTo:
    """``target`` is a SIP URI without headers, or a number with its plus sign."""

    target: SipUri | str
    replaces: Replaces | None


def read_replaces(value: str) -> Replaces:
    """The value of a Replaces header; ``SipSyntaxError`` says what is missing."""
    call_id, *params = [piece.strip() for piece in value.split(";")]
    found: dict[str, str] = {}
    for piece in params:
        name, _, text = piece.partition("=")
        if name.lower() in found:
            raise SipSyntaxError(f"Replaces has {name[:20]} twice")
        found[name.lower()] = text
    if not call_id or not found.get("to-tag") or not found.get("from-tag"):
        raise SipSyntaxError("Replaces needs a Call-ID, a to-tag and a from-tag")
    return Replaces(call_id, found["to-tag"], found["from-tag"], "early-only" in found)


def read_refer_to(request: Request) -> ReferTo:
    """Of a REFER: its one Refer-To, for an INVITE; ``SipSyntaxError`` where it is not so."""
    values = request.headers.fields("Refer-To")
    if len(values) != 1 or len(values[0]) > _MAX:
        raise SipSyntaxError("a REFER needs exactly one Refer-To, of reasonable length")
    uri = parse_name_addr(values[0]).uri
    if isinstance(uri, OtherUri):
        number = uri.rest.partition(";")[0]
        if uri.scheme != "tel" or not _NUMBER.fullmatch(number):
            raise SipSyntaxError("Refer-To names neither a SIP URI nor a global number")
        return ReferTo("+" + re.sub(r"\D", "", number), None)
    if uri.scheme != "sip" or (uri.param("method") or "INVITE") != "INVITE":
        raise SipSyntaxError("Refer-To is not for an INVITE by SIP")
    replaces: Replaces | None = None
    for piece in filter(None, uri.headers.split("&")):
        name, _, value = piece.partition("=")
        if name.lower() == "replaces":
            replaces = read_replaces(unescape(value))
    bare = SipUri(uri.scheme, uri.user, None, uri.host, uri.port)
    return ReferTo(bare, replaces)
