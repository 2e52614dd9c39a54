"""Signatures by which a receiver knows that an event is ours, and fresh."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.errors import CannotStart

SHORTEST: Final = 32
HEADER: Final = "DMGW-Signature"


def key_id(key: bytes) -> str:
    """Names a key without telling anything of it that could be guessed from."""
    return hashlib.sha256(b"dm-gateway webhook key\0" + key).hexdigest()[:8]


def signature(key: bytes, at: int, body: bytes) -> str:
    """``t=SECONDS,k=KEY,v1=HEX``: HMAC-SHA-256 (RFC 2104) over ``SECONDS.BODY``."""
    mac = hmac.digest(key, b"%d." % at + body, "sha256").hex()
    return f"t={at},k={key_id(key)},v1={mac}"


def signing_key(files: Sequence[Path], receiver: str) -> bytes:
    """The newest; all of them have to be there, so that a slip shows when it is made."""
    keys: list[bytes] = []
    for file in files:
        try:
            key = file.read_bytes().strip()
        except OSError as e:
            raise CannotStart(f"webhooks: {receiver}: {file} cannot be read: {e.strerror}") from e
        if len(key) < SHORTEST:
            problem = f"{file} holds fewer than {SHORTEST} characters"
            raise CannotStart(f"webhooks: {receiver}: {problem}")
        keys.append(key)
    return keys[0]
