"""Requests and responses as frozen values; typed headers are read when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import (
    LISTS,
    CSeq,
    NameAddr,
    Via,
    canonical,
    parse_cseq,
    parse_name_addr,
    parse_name_addr_list,
    parse_via_list,
    split_list,
)

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    423: "Interval Too Brief",
    428: "Use Identity Header",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
    603: "Decline",
}


class Headers:
    """An ordered multimap; never changed, always copied.

    Names are compared by their canonical form; the wire's spelling is not kept.
    """

    __slots__ = ("_items",)

    def __init__(self, items: tuple[tuple[str, str], ...] = ()) -> None:
        self._items = items

    @classmethod
    def of(cls, *items: tuple[str, str]) -> Headers:
        return cls(tuple((canonical(n), v) for n, v in items))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"

    def get(self, name: str) -> str | None:
        """The first field of this name, whole."""
        wanted = canonical(name)
        for key, value in self._items:
            if key == wanted:
                return value
        return None

    def fields(self, name: str) -> tuple[str, ...]:
        """Every field of this name, whole."""
        wanted = canonical(name)
        return tuple(v for k, v in self._items if k == wanted)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value: the fields of list headers are split at their commas."""
        found = self.fields(name)
        if name.lower() in LISTS or canonical(name).lower() in LISTS:
            return tuple(item for value in found for item in split_list(value))
        return found

    def with_first(self, name: str, value: str) -> Headers:
        return Headers(((canonical(name), value), *self._items))

    def with_last(self, name: str, value: str) -> Headers:
        return Headers((*self._items, (canonical(name), value)))

    def without(self, name: str) -> Headers:
        wanted = canonical(name)
        return Headers(tuple(i for i in self._items if i[0] != wanted))

    def without_prefix(self, prefix: str) -> Headers:
        """Drop every field whose name begins so, in any case."""
        low = prefix.lower()
        return Headers(tuple(i for i in self._items if not i[0].lower().startswith(low)))

    def replaced(self, name: str, *values: str) -> Headers:
        """These values instead of the present ones, where the first of those stood (or last)."""
        wanted = canonical(name)
        new = tuple((wanted, v) for v in values)
        out: list[tuple[str, str]] = []
        placed = False
        for item in self._items:
            if item[0] != wanted:
                out.append(item)
            elif not placed:
                out.extend(new)
                placed = True
        if not placed:
            out.extend(new)
        return Headers(tuple(out))


@dataclass(frozen=True)
class _Message:
    """What both kinds have.  A typed header that is absent or broken raises ``SipSyntaxError``."""

    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def _one(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise SipSyntaxError(f"no {name}")
        return value

    @cached_property
    def vias(self) -> tuple[Via, ...]:
        return tuple(via for value in self.headers.fields("Via") for via in parse_via_list(value))

    @property
    def top_via(self) -> Via:
        if not self.vias:
            raise SipSyntaxError("no Via")
        return self.vias[0]

    @cached_property
    def from_(self) -> NameAddr:
        return parse_name_addr(self._one("From"))

    @cached_property
    def to(self) -> NameAddr:
        return parse_name_addr(self._one("To"))

    @property
    def call_id(self) -> str:
        return self._one("Call-ID").strip()

    @cached_property
    def cseq(self) -> CSeq:
        return parse_cseq(self._one("CSeq"))

    def _name_addrs(self, name: str) -> tuple[NameAddr, ...]:
        return tuple(a for v in self.headers.fields(name) for a in parse_name_addr_list(v))

    @cached_property
    def contacts(self) -> tuple[NameAddr, ...]:
        """Without the wildcard, which is no address; see ``wildcard_contact``."""
        if self.wildcard_contact:
            return ()
        return self._name_addrs("Contact")

    @property
    def wildcard_contact(self) -> bool:
        return any(v.strip() == "*" for v in self.headers.fields("Contact"))

    @cached_property
    def routes(self) -> tuple[NameAddr, ...]:
        return self._name_addrs("Route")

    @cached_property
    def record_routes(self) -> tuple[NameAddr, ...]:
        return self._name_addrs("Record-Route")

    def number(self, name: str) -> int | None:
        """A header that holds a decimal number; ``None`` when absent."""
        value = self.headers.get(name)
        if value is None:
            return None
        digits = value.strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
            raise SipSyntaxError(f"bad {name} {value[:40]!r}")
        return int(digits)

    @property
    def max_forwards(self) -> int | None:
        return self.number("Max-Forwards")

    @property
    def expires(self) -> int | None:
        return self.number("Expires")

    def _write(self, start: str) -> bytes:
        lines = [start]
        lines += [f"{n}: {v}" for n, v in self.headers if n != "Content-Length"]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


@dataclass(frozen=True)
class Request(_Message):
    method: str = ""
    uri: str = ""

    def to_bytes(self) -> bytes:
        return self._write(f"{self.method} {self.uri} SIP/2.0")

    def replaced(
        self,
        *,
        uri: str | None = None,
        headers: Headers | None = None,
        body: bytes | None = None,
    ) -> Request:
        return Request(
            headers=self.headers if headers is None else headers,
            body=self.body if body is None else body,
            method=self.method,
            uri=self.uri if uri is None else uri,
        )


@dataclass(frozen=True)
class Response(_Message):
    code: int = 0
    reason: str = ""

    def to_bytes(self) -> bytes:
        return self._write(f"SIP/2.0 {self.code} {self.reason}")

    def replaced(self, *, headers: Headers | None = None, body: bytes | None = None) -> Response:
        return replace(
            self,
            headers=self.headers if headers is None else headers,
            body=self.body if body is None else body,
        )


Message = Request | Response


def response_to(
    request: Request,
    code: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """A response that copies Via, From, To, Call-ID and CSeq (RFC 3261 §8.2.6.2).

    ``to_tag`` is added where the To has none; broken headers are copied as they came.
    """
    items: list[tuple[str, str]] = [("Via", v) for v in request.headers.fields("Via")]
    for name in ("From", "To", "Call-ID", "CSeq"):
        value = request.headers.get(name)
        if value is None:
            continue
        if name == "To" and to_tag is not None:
            try:
                if request.to.tag is None:
                    value = f"{value};tag={to_tag}"
            except SipSyntaxError:
                pass  # answered with the To it came with
        items.append((name, value))
    text = REASONS.get(code, "Unknown") if reason is None else reason
    return Response(headers=Headers.of(*items, *headers), code=code, reason=text)
