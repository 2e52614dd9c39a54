"""A NAPTR record's substitution expression (RFC 3402 §3.2), as it comes from strangers.

The extended regular expression runs in RE2, whose time is linear in pattern and text and whose
memory is bounded, so that no expression can hold the reactor up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import re2

from gateway.sip.errors import SipSyntaxError

LONGEST_EXPRESSION: Final = 255
"""A character-string of DNS holds no more (RFC 1035 §3.3)."""
LONGEST_TEXT: Final = 255
LONGEST_RESULT: Final = 1000
_MEMORY: Final = 1 << 14
"""Bytes for a compiled pattern: those of real zones fit, and none takes a millisecond."""
_NO_DELIMITERS: Final = "\\123456789i"


@dataclass(frozen=True, slots=True)
class Substitution:
    """``pattern`` is a POSIX ERE; ``parts`` are texts, and numbers of its groups."""

    pattern: str
    parts: tuple[str | int, ...]
    ignore_case: bool = False

    def apply(self, text: str) -> str | None:
        """What ``text`` becomes; ``None`` where it does not match.

        ``SipSyntaxError`` where the pattern cannot be used.
        """
        if len(text) > LONGEST_TEXT:
            raise SipSyntaxError("a text too long for a substitution")
        options = re2.Options()
        options.posix_syntax = True
        options.longest_match = True
        options.log_errors = False
        options.max_mem = _MEMORY
        options.case_sensitive = not self.ignore_case
        try:
            compiled = re2.compile(self.pattern, options)
        except re2.error as e:
            raise SipSyntaxError(f"bad pattern {self.pattern!r}: {_said(e)}") from e
        if any(isinstance(p, int) and p > compiled.groups for p in self.parts):
            raise SipSyntaxError(f"a group that {self.pattern!r} does not have")
        match = compiled.search(text)
        if match is None:
            return None
        result = "".join(p if isinstance(p, str) else match.group(p) or "" for p in self.parts)
        if len(result) > LONGEST_RESULT:
            raise SipSyntaxError("a result too long")
        return result


def _said(error: re2.error) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def parse_substitution(expression: str) -> Substitution:
    r"""Read ``!^.*$!sip:info@example.org!i``; ``SipSyntaxError`` says what is wrong with it."""
    if len(expression) > LONGEST_EXPRESSION:
        raise SipSyntaxError("an expression too long")
    delimiter = expression[:1]
    if not delimiter or delimiter in _NO_DELIMITERS:
        raise SipSyntaxError(f"bad delimiter in {expression!r}")
    fields = _split(expression[1:], delimiter)
    if len(fields) != 3:
        raise SipSyntaxError(f"not delimiter, pattern, replacement, flags: {expression!r}")
    pattern, replacement, flags = fields
    if flags not in ("", "i"):
        raise SipSyntaxError(f"bad flags {flags!r} in {expression!r}")
    if not pattern:
        raise SipSyntaxError(f"no pattern in {expression!r}")
    plain = pattern.replace(f"\\{delimiter}", delimiter)
    return Substitution(plain, _parts(replacement, expression), flags == "i")


def _split(text: str, delimiter: str) -> list[str]:
    """At each delimiter that no backslash stands before."""
    fields, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == delimiter:
            fields.append(text[start:at])
            start = at + 1
        at += 1
    fields.append(text[start:])
    return fields


def _parts(replacement: str, expression: str) -> tuple[str | int, ...]:
    parts: list[str | int] = []
    literal = ""
    characters = iter(replacement)
    for character in characters:
        if character != "\\":
            literal += character
            continue
        escaped = next(characters, "")
        if escaped in "123456789" and escaped:
            parts += [literal, int(escaped)] if literal else [int(escaped)]
            literal = ""
        elif escaped and not escaped.isalnum():
            literal += escaped
        else:
            raise SipSyntaxError(f"bad escape \\{escaped} in {expression!r}")
    return (*parts, literal) if literal else tuple(parts)
