"""Frozen settings, one class a section, read from YAML with every fault told at once.

``load(path, overrides)`` is the one door.  Units are in the names: ``_s`` seconds,
``_ms`` milliseconds, ``_bytes`` bytes.
"""

from __future__ import annotations

from gateway.settings.api import ApiSection, ServiceToken, Webhook
from gateway.settings.console import ConsoleAccount, ConsoleSection
from gateway.settings.dialin import DialInSection
from gateway.settings.dns import DnsSection
from gateway.settings.kinds import Section
from gateway.settings.limits import LimitsSection, Tariff, TelephoneLimits
from gateway.settings.loading import load, secret
from gateway.settings.passes import PassesSection
from gateway.settings.people import (
    AgeSection,
    MinorRules,
    NumberRule,
    PeopleSection,
    RegionsSection,
    RolloutSection,
)
from gateway.settings.routing import (
    CallerIdSection,
    EmergencySection,
    OwnNumber,
    Period,
    Route,
    RouteTrunk,
    RoutingSection,
)
from gateway.settings.sections import (
    Account,
    AppSection,
    CallsSection,
    DaemonSection,
    HttpSection,
    MediaSection,
    MetricsSection,
    Settings,
    SipSection,
    StoreSection,
    TrustedSource,
    WebRtcSection,
)
from gateway.settings.stir import StirSection
from gateway.settings.tokens import TokenSection
from gateway.settings.trunks import HeaderRules, Trunk, TrunkRegistration

__all__ = [
    "Account",
    "AgeSection",
    "ApiSection",
    "AppSection",
    "CallerIdSection",
    "CallsSection",
    "ConsoleAccount",
    "ConsoleSection",
    "DaemonSection",
    "DialInSection",
    "DnsSection",
    "EmergencySection",
    "HeaderRules",
    "HttpSection",
    "LimitsSection",
    "MediaSection",
    "MetricsSection",
    "MinorRules",
    "NumberRule",
    "OwnNumber",
    "PassesSection",
    "PeopleSection",
    "Period",
    "RegionsSection",
    "RolloutSection",
    "Route",
    "RouteTrunk",
    "RoutingSection",
    "Section",
    "ServiceToken",
    "Settings",
    "SipSection",
    "StirSection",
    "StoreSection",
    "Tariff",
    "TelephoneLimits",
    "TokenSection",
    "Trunk",
    "TrunkRegistration",
    "TrustedSource",
    "WebRtcSection",
    "Webhook",
    "load",
    "secret",
]
