"""The section ``dns``: what it takes, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.errors import SettingsError
from gateway.settings import DnsSection, load

APP = "app: {token: {secret: a-secret-of-more-than-32-characters-here}}\n"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", "192.0.2.53:53"),
        ("192.0.2.53:5353", "192.0.2.53:5353"),
        ("[2001:DB8:0::53]", "[2001:db8::53]:53"),
        ("[::1]:5353", "[::1]:5353"),
    ],
)
def test_servers(text: str, server: str) -> None:
    assert DnsSection(servers=(text,)).servers == (server,)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ns.example.org", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:", "192.0.2"),
        *("::1", "[::1", "[192.0.2.53]", "[::1%eth0]", "256.0.0.1:53", "udp:192.0.2.53"),
    ],
)
def test_no_servers(text: str) -> None:
    with pytest.raises(ValidationError, match=r"is no name server; right are 192\.0\.2\.53, "):
        DnsSection(servers=(text,))


@pytest.mark.parametrize(
    "wrong",
    [
        {"families": []},
        {"families": ["ipv5"]},
        {"timeout_s": 0},
        {"timeout_s": 61},
        {"cache_entries": 15},
        {"enum_suffix": "e164 arpa"},
        {"negative_ttl_max_s": -1},
        {"ttl_min_s": True},
    ],
)
def test_wrong_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DnsSection(**wrong)


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "dns.yaml"
    file.write_text(
        APP + "dns:\n  servers: [192.0.2.53, 192.0.2.53]\n  families: [ipv6, ipv6]\n"
        "  ttl_min_s: 60\n  ttl_max_s: 30\n  server: x\n",
        encoding="utf-8",
    )
    with pytest.raises(SettingsError) as told:
        load(file)
    assert [str(fault).removeprefix(f"{file}:") for fault in told.value.faults] == [
        "3: dns.servers.1: '192.0.2.53' is there twice; keep one",
        "4: dns.families.1: 'ipv6' is there twice; keep one",
        "7: dns.server: no such setting; did you mean 'servers'?",
    ]
    file.write_text(APP + "dns:\n  ttl_min_s: 60\n  ttl_max_s: 30\n", encoding="utf-8")
    with pytest.raises(SettingsError) as told:
        load(file)
    assert str(told.value) == f"{file}:3: dns.ttl_min_s: is above ttl_max_s, 30.0"
