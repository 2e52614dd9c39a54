"""For whom a certificate speaks: the TNAuthList extension (RFC 8226 §9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

OID: Final = "1.3.6.1.5.5.7.1.26"
MAX_BYTES: Final = 16_384

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_IA5_STRING: Final = 0x16


@dataclass(frozen=True, slots=True)
class TnAuthList:
    """Service provider codes, and ranges of numbers as (first, how many)."""

    providers: tuple[str, ...] = ()
    ranges: tuple[tuple[str, int], ...] = ()

    def covers(self, number: str) -> bool:
        """A provider's code speaks for all its numbers; which these are, no certificate says."""
        if self.providers:
            return True
        return any(
            len(first) == len(number) and 0 <= int(number) - int(first) < count
            for first, count in self.ranges
            if number.isascii() and number.isdigit() and first.isdigit()
        )


def parse(data: bytes) -> TnAuthList:
    """The extension's value in DER; ``ValueError`` says what is wrong with it."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"TNAuthList has more than {MAX_BYTES} octets")
    ((tag, entries),) = _elements(data, 1)
    if tag != _SEQUENCE or not entries:
        raise ValueError("TNAuthList is not a sequence of entries")
    providers: list[str] = []
    ranges: list[tuple[str, int]] = []
    for kind, inner in _elements(entries):
        ((tag, value),) = _elements(inner, 1)
        match kind, tag:
            case (0xA0, 0x16):  # explicit tags, of spc, range and one
                providers.append(_ascii(value))
            case (0xA1, 0x30):
                (first_tag, first), (count_tag, count) = _elements(value, 2)
                if (first_tag, count_tag) != (_IA5_STRING, _INTEGER):
                    raise ValueError("a range of TNAuthList is not a number and a count")
                ranges.append((_number(first), int.from_bytes(count, "big", signed=True)))
            case (0xA2, 0x16):
                ranges.append((_number(value), 1))
            case _:
                raise ValueError("TNAuthList has an entry that is not of RFC 8226")
    return TnAuthList(tuple(providers), tuple(ranges))


def _elements(data: bytes, exactly: int | None = None) -> tuple[tuple[int, bytes], ...]:
    found = tuple(_each(data))
    if exactly is not None and len(found) != exactly:
        raise ValueError(f"TNAuthList has {len(found)} elements where {exactly} should be")
    return found


def _each(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and values with definite lengths (X.690 §10.1)."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], *_length(data, at + 1)
        if at + length > len(data):
            raise ValueError("TNAuthList is cut short")
        yield tag, data[at : at + length]
        at += length


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError("TNAuthList is cut short")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    octets = first & 0x7F
    value = data[at + 1 : at + 1 + octets]
    if not 1 <= octets <= 3 or len(value) < octets:
        raise ValueError("TNAuthList has a length that is not of DER")
    return int.from_bytes(value, "big"), at + 1 + octets


def _ascii(value: bytes) -> str:
    if not value.isascii() or not value.decode("ascii").isprintable() or not value:
        raise ValueError("TNAuthList has a code that cannot be read")
    return value.decode("ascii")


def _number(value: bytes) -> str:
    text = _ascii(value)
    if len(text) > 15 or set(text) - set("0123456789#*"):
        raise ValueError(f"TNAuthList has {text[:20]!r} where a number should be")
    return text
