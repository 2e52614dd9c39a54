"""What daemon and worker say to each other: AMP commands, and the worker's events.

Values stay far below AMP's 65,535 bytes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from twisted.protocols.amp import AmpList, Boolean, Command, Float, Integer, String, Unicode

from gateway.errors import MediaFailed, SdpUnusable
from gateway.values import LegProfile

MAX_SDP: Final = 3000
"""Bytes of an offer.  PJSIP reads no more than 4000 of a datagram, headers and all."""
BEAT_S: Final = 1.0

_LEG = (b"leg", Unicode())
_PROFILE = [
    (b"codecs", Unicode()),  # with spaces between
    (b"srtp", Unicode()),
    (b"reliable", Unicode()),
    (b"session_expires_s", Integer()),
    (b"dtmf", Unicode()),
    (b"username", Unicode()),
    (b"password", Unicode()),
]
_ERRORS: dict[type[Exception], bytes] = {SdpUnusable: b"SDP_UNUSABLE", MediaFailed: b"MEDIA_FAILED"}


class OpenLeg(Command):
    """An outgoing SIP leg; ``flow``, ``name`` and ``joins`` may be empty.

    ``joins``: the leg of the worker at ``uri`` that this one is to meet.
    """

    arguments = [
        _LEG,
        (b"uri", Unicode()),
        (b"to", Unicode()),
        (b"from_uri", Unicode()),
        (b"from_name", Unicode()),
        (b"flow", Unicode()),
        (b"joins", Unicode()),
        (b"headers", AmpList([(b"name", Unicode()), (b"value", Unicode())])),
        *_PROFILE,
    ]
    errors = _ERRORS


class ExpectLeg(Command):
    """An INVITE with this leg's mark is about to come: from the edge, or from ``source``."""

    arguments = [_LEG, (b"source", Unicode()), *_PROFILE]
    errors = _ERRORS


class Answer(Command):
    arguments = [_LEG, (b"code", Integer()), (b"text", Unicode())]
    errors = _ERRORS


class Offer(Command):
    """A bare SDP offer: makes the leg, or (``again``) goes over the one that is there."""

    arguments = [_LEG, (b"sdp", Unicode()), (b"again", Boolean())]
    response = [
        (b"sdp", Unicode()),
        (b"codec", Unicode()),
        (b"clock_hz", Integer()),
        (b"secure", Boolean()),
    ]
    errors = _ERRORS


class Connect(Command):
    """Let two legs hear each other; only the call machine decides that."""

    arguments = [(b"a", Unicode()), (b"b", Unicode())]
    errors = _ERRORS


class Disconnect(Command):
    arguments = [(b"a", Unicode()), (b"b", Unicode())]
    errors = _ERRORS


class Listen(Command):
    """Let one leg hear another, one way."""

    arguments = [(b"source", Unicode()), (b"sink", Unicode())]
    errors = _ERRORS


class Unlisten(Command):
    """One leg hears another no longer; the other way stays as it is."""

    arguments = [(b"source", Unicode()), (b"sink", Unicode())]
    errors = _ERRORS


class Mute(Command):
    arguments = [_LEG, (b"muted", Boolean())]
    errors = _ERRORS


class Hold(Command):
    arguments = [_LEG, (b"held", Boolean())]
    errors = _ERRORS


class SendDtmf(Command):
    """Answered when the last digit has been sent."""

    arguments = [_LEG, (b"digits", Unicode()), (b"duration_ms", Integer())]
    errors = _ERRORS


class Notify(Command):
    """A NOTIFY of the state of a REFER (RFC 3515)."""

    arguments = [_LEG, (b"code", Integer()), (b"text", Unicode()), (b"final", Boolean())]
    errors = _ERRORS


class Play(Command):
    """``sound``: ringback, hold, or prompt:NAME."""

    arguments = [_LEG, (b"sound", Unicode())]
    errors = _ERRORS


class Stop(Command):
    arguments = [_LEG]
    errors = _ERRORS


class CloseLeg(Command):
    """``why`` is a Reason header's value; empty, or ``retry_after_s`` 0: no such header."""

    arguments = [
        _LEG,
        (b"code", Integer()),
        (b"text", Unicode()),
        (b"why", Unicode()),
        (b"retry_after_s", Integer()),
    ]
    errors = _ERRORS


class Will(Command):
    """What to send for a dialog if the daemon dies; an empty payload: nothing any more."""

    arguments = [
        (b"dialog", Unicode()),
        (b"transport", Unicode()),
        (b"source", Unicode()),
        (b"source_port", Integer()),
        (b"host", Unicode()),
        (b"port", Integer()),
        (b"payload", String()),
    ]
    requiresAnswer = False


def profile_fields(profile: LegProfile) -> dict[str, Any]:
    """A profile as arguments of a command."""
    return {**asdict(profile), "codecs": " ".join(profile.codecs)}


def profile_of(fields: dict[str, Any]) -> LegProfile:
    return LegProfile(**{**fields, "codecs": tuple(fields["codecs"].split())})


class Drain(Command):
    """Leave as soon as no leg is left."""

    arguments = []
    requiresAnswer = False


# --- events of the worker ---------------------------------------------------------------


class Ready(Command):
    arguments = [(b"sip_port", Integer()), (b"legs", Integer())]
    requiresAnswer = False


class Beat(Command):
    arguments = [(b"legs", Integer())]
    requiresAnswer = False


class LegState(Command):
    """``state``: incoming, ringing, answered."""

    arguments = [_LEG, (b"state", Unicode()), (b"code", Integer())]
    requiresAnswer = False


class LegMediaUp(Command):
    arguments = [
        _LEG,
        (b"codec", Unicode()),
        (b"clock_hz", Integer()),
        (b"secure", Boolean()),
        (b"remote_held", Boolean()),
    ]
    requiresAnswer = False


class HeardDtmf(Command):
    arguments = [_LEG, (b"digit", Unicode()), (b"duration_ms", Integer())]
    requiresAnswer = False


class Played(Command):
    """A prompt has come to its end."""

    arguments = [_LEG, (b"sound", Unicode())]
    requiresAnswer = False


_STATS = [
    (b"rx_packets", Integer()),
    (b"rx_lost", Integer()),
    (b"rx_jitter_ms", Float()),
    (b"tx_packets", Integer()),
    (b"tx_lost", Integer()),
    (b"tx_jitter_ms", Float()),
    (b"rtt_ms", Float()),  # below 0: not known
    (b"codec", Unicode()),
]


class Stats(Command):
    arguments = [_LEG, *_STATS]
    requiresAnswer = False


class LegParted(Command):
    """After ``LegClosed``: PJSIP has a place for another call again."""

    arguments = [_LEG]
    requiresAnswer = False


class LegClosed(Command):
    """The leg's last word; ``has_stats`` 0 when it never had media."""

    arguments = [
        _LEG,
        (b"code", Integer()),
        (b"text", Unicode()),
        (b"remote", Boolean()),
        (b"cause", Integer()),
        (b"contacts", Unicode()),  # one a line
        (b"retry_after_s", Integer()),  # below 0: not said
        (b"why", Unicode()),
        (b"has_stats", Boolean()),
        *_STATS,
    ]
    requiresAnswer = False
