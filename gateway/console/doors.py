"""Who is let in to the console, and for how long."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from gateway.console.answers import Refused
from gateway.errors import CannotStart
from gateway.policy.buckets import Buckets
from gateway.settings import ConsoleAccount, ConsoleSection
from gateway.settings.console import SCRYPT, Role, costs

log = structlog.get_logger()

COOKIE: Final = b"dmgw_console"
MOST_SESSIONS: Final = 200
HASHING: Final = 2
"""Passwords that are judged at once: each takes tens of milliseconds and megabytes."""
SHORTEST_PASSWORD: Final = 10
LONGEST_PASSWORD: Final = 256
_NOBODY: Final = "scrypt:15:8:1:" + "0" * 32 + ":" + "0" * 64
"""Judged for a name that is not there: time tells nothing."""

InThread = Callable[[Callable[[], bool]], Awaitable[bool]]
Result = Literal["let_in", "refused", "too_many"]


def hashed(password: str, salt: bytes | None = None) -> str:
    """As ``console.accounts[].password_hash`` has it: N is 2**15, r 8, p 1 (RFC 7914 §2)."""
    salt = secrets.token_bytes(16) if salt is None else salt
    key = _scrypt(password, salt, 2**15, 8, 1)
    return f"scrypt:15:8:1:{salt.hex()}:{key.hex()}"


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    most = 2 * 128 * n * r
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=most, dklen=32)


def matches(password: str, known: str) -> bool:
    """Blocks for as long as the hash is meant to take."""
    match, cost = SCRYPT.fullmatch(known), costs(known)
    if match is None or cost is None:
        return False
    key = _scrypt(password, bytes.fromhex(match[4]), *cost)
    return hmac.compare_digest(key, bytes.fromhex(match[5]))


@dataclass(slots=True)
class Visit:
    """One person who has signed in; ``key`` is the SHA-256 of what their browser keeps."""

    key: bytes
    name: str
    role: Role
    source: str
    until: float
    seen: float


class Doors:
    """``in_thread`` runs what blocks; ``count`` is told how each attempt ended."""

    def __init__(
        self,
        section: ConsoleSection,
        now: Callable[[], float],
        in_thread: InThread,
        count: Callable[[Result], None],
    ) -> None:
        self._section = section
        self._now = now
        self._in_thread = in_thread
        self._count = count
        self._accounts = {a.name: (a.role, _hash_of(a)) for a in section.accounts}
        self._networks = [ipaddress.ip_network(n) for n in section.networks]
        a_second = section.logins_per_minute / 60
        burst = max(1.0, section.logins_per_minute / 2)
        self._by_name = Buckets(a_second, burst)
        self._by_source = Buckets(a_second, burst)
        self._hashing = 0
        self._visits: dict[bytes, Visit] = {}

    def check_source(self, host: str) -> None:
        """``Refused`` as if there were nothing."""
        if self._networks and not _within(host, self._networks):
            raise Refused(404, "there is nothing here")

    async def sign_in(self, name: str, password: str, source: str) -> tuple[str, Visit]:
        """What the browser is to keep, and the visit; ``Refused`` with 401 or 429."""
        now = self._now()
        wait = max(self._by_source.take(source, now), self._by_name.take(name, now))
        if wait > 0 or self._hashing >= HASHING:
            self._count("too_many")
            raise Refused(429, "too many attempts", retry_after_s=max(1, round(wait)))
        role, known = self._accounts.get(name, ("viewer", _NOBODY))
        self._hashing += 1
        try:
            right = await self._in_thread(lambda: matches(password[:LONGEST_PASSWORD], known))
        finally:
            self._hashing -= 1
        if not right or name not in self._accounts:
            self._count("refused")
            log.warning("console_refused", name=name[:64], source=source)
            raise Refused(401, "name or password is wrong")
        self._count("let_in")
        log.info("console_entered", name=name, role=role, source=source)
        kept, now = secrets.token_urlsafe(32), self._now()
        visit = Visit(_key(kept), name, role, source, now + self._section.session_s, now)
        self._sweep(now)
        while len(self._visits) >= MOST_SESSIONS:
            del self._visits[min(self._visits.values(), key=lambda v: v.seen).key]
        self._visits[visit.key] = visit
        return kept, visit

    def visit(self, kept: bytes | None) -> Visit:
        """Whose browser it is; ``Refused`` with 401."""
        found = self._visits.get(_key(kept.decode("latin-1"))) if kept else None
        now = self._now()
        if found is None or self._over(found, now):
            raise Refused(401, "sign in first")
        found.seen = now
        return found

    def sign_out(self, visit: Visit) -> None:
        self._visits.pop(visit.key, None)

    def _over(self, visit: Visit, now: float) -> bool:
        return now >= visit.until or now - visit.seen >= self._section.idle_s

    def _sweep(self, now: float) -> None:
        self._visits = {k: v for k, v in self._visits.items() if not self._over(v, now)}


def _key(kept: str) -> bytes:
    return hashlib.sha256(kept.encode()).digest()


def _within(host: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


def _hash_of(account: ConsoleAccount) -> str:
    if account.password_hash is not None:
        return account.password_hash.get_secret_value()
    assert account.password_hash_file is not None  # the settings see to it
    file = account.password_hash_file
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as e:
        raise CannotStart(f"console.accounts: {file} cannot be read: {e}") from e
    if costs(text) is None:
        problem = "holds no scrypt hash; dm-gateway hash-password makes one"
        raise CannotStart(f"console.accounts: {file} {problem}")
    return text
