"""SIP messages for the test phone: its own reading and writing, apart from the product's."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
}


@dataclass
class SipMessage:
    """``first`` is the start line; headers in order, names in lower case."""

    first: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> SipMessage:
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        first, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            lowered = name.strip().lower()
            headers.append((_COMPACT.get(lowered, lowered), value.strip()))
        return cls(first, headers, body)

    def __str__(self) -> str:
        lines = [self.first, *(f"{n.title()}: {v}" for n, v in self.headers)]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body.encode())}", "", self.body])

    def get(self, name: str) -> str:
        return next((v for n, v in self.headers if n == name.lower()), "")

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n == name.lower()]

    @property
    def code(self) -> int:
        """The status of a response; 0 for a request."""
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        """Of a request; for a response that of its CSeq."""
        return self.cseq[1] if self.code else self.first.split()[0]

    @property
    def uri(self) -> str:
        return self.first.split()[1]

    @property
    def cseq(self) -> tuple[int, str]:
        number, method = self.get("cseq").split()
        return int(number), method

    @property
    def call_id(self) -> str:
        return self.get("call-id")

    @property
    def to_tag(self) -> str:
        return tag(self.get("to"))

    def retry_after(self) -> int | None:
        value = self.get("retry-after")
        return int(value.split()[0]) if value else None


def tag(value: str) -> str:
    found = re.search(r";\s*tag=([^;,\s]+)", value)
    return found[1] if found else ""


def bare_uri(value: str) -> str:
    """The URI of a name-addr."""
    found = re.search(r"<([^>]+)>", value)
    return found[1] if found else value.partition(";")[0].strip()


def challenge_parameters(value: str) -> dict[str, str]:
    found = re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', value)
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def credentials(
    challenge: str, user: str, password: str, method: str, uri: str, count: int = 1
) -> str:
    """A Digest answer (RFC 7616 §3.4) with qop=auth, in the challenge's algorithm."""
    c = challenge_parameters(challenge)
    algorithm = c.get("algorithm", "MD5")

    def h(text: str) -> str:
        name = {"MD5": "md5", "SHA-256": "sha256"}[algorithm]
        return hashlib.new(name, text.encode()).hexdigest()

    cnonce, nc = secrets.token_hex(8), f"{count:08x}"
    ha1 = h(f"{user}:{c['realm']}:{password}")
    ha2 = h(f"{method}:{uri}")
    response = h(f"{ha1}:{c['nonce']}:{nc}:{cnonce}:auth:{ha2}")
    parts = [
        f'username="{user}"',
        f'realm="{c["realm"]}"',
        f'nonce="{c["nonce"]}"',
        f'uri="{uri}"',
        f'response="{response}"',
        f"algorithm={algorithm}",
        "qop=auth",
        f"nc={nc}",
        f'cnonce="{cnonce}"',
    ]
    if "opaque" in c:
        parts.append(f'opaque="{c["opaque"]}"')
    return "Digest " + ", ".join(parts)
