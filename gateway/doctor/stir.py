"""Whether calls can be signed and verified: keys, certificates, and how long they are good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from cryptography import x509

from gateway.doctor.finding import Finding, Grade, file_mode
from gateway.errors import CannotStart
from gateway.settings import Settings
from gateway.stir.credential import load_anchors
from gateway.stir.signer import load_signing_key

DAY_S: Final = 86_400
SOON_S: Final = 30 * DAY_S


def signing(settings: Settings) -> Iterator[Finding]:
    section = settings.stir
    if not section.sign or section.key_file is None:
        return
    try:
        ours = load_signing_key(section)
    except CannotStart as e:
        yield Finding("stir.key_file", "fail", str(e), "mend the file, or the path in the settings")
        return
    yield file_mode("stir.key_file", section.key_file)
    what = "stir.certificate_file"
    if ours.certificate is None:
        found = "not known whether the key is that of stir.certificate_url"
        yield Finding(what, "warn", found, "set stir.certificate_file")
        return
    wrong = _amiss(ours.certificate)
    if wrong is None:
        yield Finding(what, "ok", f"of this key, and good until {_end(ours.certificate)}")
    else:
        grade: Grade = "fail" if not _is_valid(ours.certificate) else "warn"
        mend = "get a new certificate, and put it there and at stir.certificate_url"
        yield Finding(what, grade, wrong, mend)


def verifying(settings: Settings) -> Iterator[Finding]:
    section = settings.stir
    if not section.verify or section.trust_anchors is None:
        return
    what = "stir.trust_anchors"
    try:
        anchors = load_anchors(section.trust_anchors)
    except CannotStart as e:
        yield Finding(what, "fail", str(e), "mend the file, or the path in the settings")
        return
    amiss = [wrong for anchor in anchors if (wrong := _amiss(anchor))]
    mend = "get the present list of authorities"
    if not any(map(_is_valid, anchors)):
        yield Finding(what, "fail", f"none of {len(anchors)} is valid today", mend)
    elif amiss:
        yield Finding(what, "warn", "; ".join(amiss[:5]), mend)
    else:
        yield Finding(what, "ok", f"authorities: {len(anchors)}")


def _end(certificate: x509.Certificate) -> str:
    return f"{certificate.not_valid_after_utc:%Y-%m-%d}"


def _is_valid(certificate: x509.Certificate) -> bool:
    now = time.time()
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin.timestamp() <= now <= end.timestamp()


def _amiss(certificate: x509.Certificate) -> str | None:
    now, name = time.time(), certificate.subject.rfc4514_string()[:100]
    if certificate.not_valid_before_utc.timestamp() > now:
        return f"{name} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    left_s = certificate.not_valid_after_utc.timestamp() - now
    if left_s < 0:
        return f"{name} expired on {_end(certificate)}"
    if left_s < SOON_S:
        return f"{name} expires on {_end(certificate)}, in {left_s / DAY_S:.0f} days"
    return None
