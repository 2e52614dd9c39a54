"""Judging callers' Identity headers: a verification service (RFC 8224 §6.2, RFC 8588)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog
from twisted.internet.defer import Deferred, gatherResults

from gateway.calls.identity_ports import StirMeters
from gateway.calls.ports import Refuse
from gateway.settings import StirSection
from gateway.sip.errors import SipSyntaxError
from gateway.sip.passport import (
    ES256,
    KNOWN,
    Party,
    Passport,
    SignedIdentity,
    parse_identity,
    parties,
    party,
    split_identities,
)
from gateway.stir.addresses import Resolve
from gateway.stir.cache import CredentialCache
from gateway.stir.credential import Credential, judged, load_anchors
from gateway.stir.fetcher import Fetcher
from gateway.stir.rejected import RESPONSES, Rejected
from gateway.values import Verification

log = structlog.get_logger()

MAX_IDENTITIES: Final = 4
"""Values of one request that are looked at."""


_Outcome = Passport | Rejected | None


class Verifier:
    """Implements ``ports.IdentityCheck``.  ``CannotStart`` where the anchors cannot be used."""

    def __init__(
        self,
        section: StirSection,
        reactor: Any,
        meters: StirMeters,
        resolve: Resolve | None = None,
    ) -> None:
        self._section = section
        self._meters = meters
        self._anchors = self._load()
        fetcher = Fetcher(section, reactor, resolve)
        self._cache = CredentialCache(section, fetcher.fetch, self._judge, reactor)

    def _load(self) -> tuple[Any, ...]:
        path = self._section.trust_anchors
        return () if path is None else load_anchors(path)

    def reload(self) -> None:
        """Read the anchors anew; ``CannotStart`` when they cannot be used: the old ones stay."""
        self._anchors = self._load()
        self._cache.clear()
        log.info("stir_anchors_loaded", count=len(self._anchors))

    async def stop(self) -> None:
        self._cache.stop()

    def _judge(self, body: bytes, now: float) -> Credential:
        return judged(body, self._anchors, now)

    async def verify(
        self,
        identity: Sequence[str],
        orig: str,
        dest: str,
        now: float,
        date: float | None = None,
    ) -> Verification:
        values = split_identities(identity)[:MAX_IDENTITIES]
        outcomes: list[_Outcome] = await gatherResults(
            [Deferred.fromCoroutine(self._outcome(v, orig, dest, now, date)) for v in values],
            consumeErrors=True,
        )
        passed = [o for o in outcomes if isinstance(o, Passport)]
        failed = [o for o in outcomes if isinstance(o, Rejected)]
        if passed:
            # one that holds is enough; of those that hold, one that says how well
            best = min(passed, key=lambda one: one.attest is None)
            found = Verification("passed", attest=best.attest, origid=best.origid)
            self._meters.verified("passed")
        else:
            found = _unproven(failed[0] if failed else None)
            self._meters.verified(failed[0].result if failed else "none")
        log.info("stir_verified", status=found.status, attest=found.attest, why=found.why)
        return found

    def refusal(self, found: Verification) -> Refuse | None:
        if found.status == "failed" and self._section.on_failed == "refuse":
            return Refuse(found.code, found.text)
        return None

    async def _outcome(
        self, text: str, orig: str, dest: str, now: float, date: float | None
    ) -> _Outcome:
        """The claims of one value if they hold; ``None`` for one that is to be ignored."""
        try:
            return await self._claims(text, orig, dest, now, date)
        except SipSyntaxError as e:
            return Rejected("invalid_identity_header", str(e))
        except Rejected as e:
            return e

    async def _claims(
        self, text: str, orig: str, dest: str, now: float, date: float | None
    ) -> Passport | None:
        read = parse_identity(text)
        if read.ppt not in KNOWN:
            return None
        if read.alg != ES256:
            raise Rejected("unsupported_credential", "signed with another algorithm than ES256")
        if read.passport is None:
            read = _completed(read, orig, dest, date)
        passport = read.passport
        assert passport is not None
        if abs(now - passport.iat) > self._section.max_age_s:
            raise Rejected("stale_date", f"signed {now - passport.iat:.0f} s ago")
        if passport.orig not in parties(orig):
            raise Rejected("invalid_identity_header", "signed for another caller")
        if not set(parties(dest)) & set(passport.dest):
            raise Rejected("invalid_identity_header", "signed for another callee")
        credential = await self._cache.get(read.info, now)
        if not credential.not_before <= now <= credential.not_after:
            raise Rejected("unsupported_credential", "the certificate is not valid at this time")
        if not read.fits(credential.key):
            raise Rejected("invalid_identity_header", "the signature does not fit")
        self._entitled(credential, passport.orig)
        return passport

    def _entitled(self, credential: Credential, caller: Party) -> None:
        """The certificate has to be for this caller (RFC 8224 §6.2, step 2)."""
        if caller.kind == "uri":
            if caller.value.rpartition("@")[2] not in credential.domains:
                raise Rejected("unsupported_credential", "the certificate is not for that domain")
        elif credential.tn is None:
            if self._section.require_tnauthlist:
                raise Rejected("unsupported_credential", "the certificate has no TNAuthList")
        elif not credential.tn.covers(caller.value):
            raise Rejected("unsupported_credential", "the certificate is not for that number")


def _completed(read: SignedIdentity, orig: str, dest: str, date: float | None) -> SignedIdentity:
    if date is None:
        raise SipSyntaxError("the compact form needs a Date header")
    return read.completed(party(orig), (party(dest),), int(date))


def _unproven(why: Rejected | None) -> Verification:
    if why is None:
        code, text = RESPONSES["none"]
        return Verification("none", code=code, text=text)
    code, text = RESPONSES[why.result]
    return Verification("failed", code=code, text=text, why=str(why))
