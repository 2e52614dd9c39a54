"""``dm-gateway route``: what it prints, where, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli import called
from tests.test_settings import APP

SETTINGS = (
    APP
    + """\
sip: {accounts: [{user: "2024", password: secret2024}]}
trunks:
  - {name: carrier-a, address: sip.a.example}
  - {name: carrier-b, address: sip.b.example}
routing:
  home_country: US
  timezone: Europe/Berlin
  caller_id: {pool: ["+14155550100"], verified: {"user:alice": "+14155550142"}}
  numbers:
    - {number: "+14155550111", to: "user:bob"}
    - {number: "+14155550112", to: ["user:bob", "user:carol"]}
    - {number: "+14155550113", to: ["user:bob", "user:carol"], order: in_turn}
  routes:
    - name: night
      prefix: "+1"
      groups: [beta]
      times: [{from: 22:00, to: 6:00}]
      trunks: [carrier-b]
      confirm: press-1
      early_media: off
    - {name: day, prefix: "+1", trunks: [carrier-a, {name: carrier-b, priority: 2}]}
    - {name: own, prefix: "+49", trunks: [carrier-a], use_verified: true, attestation: B}
    - {name: never, prefix: "+53", action: refuse, reason: unavailable, text: "not [there]"}
"""
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


ALICE = ("--as", "user:alice")
PHONE = ("--as", "sip:2024@dm.localhost")
NIGHT = ("--at", "2026-11-23T22:00")


@pytest.mark.parametrize(
    ("args", "code", "last"),
    [
        (
            ("tel:+12125550123", *ALICE),
            0,
            "+12125550123 by carrier-a, then carrier-b, as +14155550100, attestation A",
        ),
        (
            ("tel:+12125550123", *ALICE, "--group", "x", "--group", "beta", *NIGHT),
            0,
            "+12125550123 by carrier-b, as +14155550100, attestation A, confirm press-1, "
            "early media off",
        ),
        (
            ("0049 30 1234567", *ALICE, "--region", "FR"),
            0,
            "+49301234567 by carrier-a, as +14155550142, attestation B",
        ),
        (
            ("sip:0301234567@dm.localhost", *PHONE, "--region", "DE"),
            0,
            "+49301234567 by carrier-a, as +14155550100, attestation B",
        ),
        (("tel:2125550123", *PHONE, *NIGHT), 0, "+12125550123 by carrier-a, then carrier-b, as"),
        (("tel:+14155550111", *ALICE), 0, "+14155550111 rings user:bob"),
        (
            ("tel:+14155550112", "--trunk", "carrier-b"),
            0,
            "+14155550112 rings user:bob and user:carol",
        ),
        (("4155550113", *ALICE), 0, "+14155550113 rings user:bob, then user:carol"),
        (("+5371234567", *ALICE), 1, "refused, unavailable: not [there]"),
        (("+33142685300", *ALICE), 1, "refused, unreachable: no route to +33142685300"),
        (
            ("+12125550123", "--trunk", "carrier-a"),
            1,
            "refused, unreachable: no such number here",
        ),
        (
            ("9-911", *PHONE),
            1,
            "refused, not_allowed: emergency calls are not possible here; use another telephone "
            "to call 911",
        ),
        (
            ("0049110", *ALICE, "--set", "routing.emergency={trunk: carrier-b}"),
            0,
            "110 by carrier-b, as +14155550100, attestation A",
        ),
    ],
)
def test_the_last_line_is_what_comes_of_it(
    file: Path, args: tuple[str, ...], code: int, last: str
) -> None:
    result = called("route", "--config", file, *args)
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1].startswith(last)
    assert result.exit_code == code


def test_each_rule_is_told_with_why_it_does_not_hold(file: Path) -> None:
    args = ("tel:+12125550123", *ALICE, "--group", "beta", "--at", "2026-11-23T12:00")
    result = called("route", "--config", file, *args)
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "+12125550123 dialled by user:alice, Mon 2026-11-23 12:00 in Europe/Berlin",
        "emergency  no   +12125550123 is no emergency number, dialled in US (home_country)",
        "number     yes  +12125550123: fixed_line/mobile, US",
        "ours       no   +12125550123 is none of routing.numbers",
        "route      no   night (+1) does not hold at mon 12:00 in Europe/Berlin",
        "route      yes  day (+1) fits",
        "caller id  yes  +14155550100, of the pool, in US as the callee",
        "caller id  yes  attestation A, by the rule",
        "trunks     yes  1. carrier-a (priority 1, weight 1)",
        "trunks     yes  2. carrier-b (priority 2, weight 1)",
        "+12125550123 by carrier-a, then carrier-b, as +14155550100, attestation A",
    ]


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        ("2026-11-23T22:00", "Mon 2026-11-23 22:00 in Europe/Berlin"),
        ("2026-11-23T22:00Z", "Mon 2026-11-23 23:00 in Europe/Berlin"),
        ("2026-07-01T00:00-07:00", "Wed 2026-07-01 09:00 in Europe/Berlin"),
    ],
)
def test_the_time_that_is_asked_for(file: Path, at: str, shown: str) -> None:
    result = called("route", "--config", file, "+12125550123", *ALICE, "--at", at)
    assert result.stdout.splitlines()[0] == f"+12125550123 dialled by user:alice, {shown}"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("+12125550123",), "who dials?  One of --as user:HANDLE and --trunk NAME is needed"),
        (("+12125550123", *ALICE, "--trunk", "carrier-a"), "who dials?  One of --as"),
        (("+12125550123", "--as", "alice"), "not an address: 'alice'; right are user:HANDLE"),
        (
            ("+12125550123", "--as", "service:echo"),
            "--as: service:echo calls nobody; right are user:HANDLE, sip:USER@DOMAIN",
        ),
        (("+12125550123", "--trunk", "carrier-c"), "--trunk: there is no trunk 'carrier-c'"),
        (("user:bob", *ALICE), "'user:bob' is no telephone number here"),
        (("sip:2024@dm.localhost", *ALICE), "'sip:2024@dm.localhost' is no telephone number here"),
        (("sip:030123@example.org", *ALICE), "'sip:030123@example.org' is no telephone number"),
        (("hello", *ALICE), "'hello' is no telephone number here"),
        (("+12125550123", *ALICE, "--at", "noon"), "--at: 'noon' is no time; right is 2026-11-23T"),
        (("+12125550123", *ALICE, "--region", "de"), "'de' is no country; right is ISO 3166"),
    ],
)
def test_a_wrong_question_is_told_and_exits_with_2(
    file: Path, args: tuple[str, ...], told: str
) -> None:
    result = called("route", "--config", file, *args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert told in result.stderr


def test_faults_of_the_settings_are_told_first(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(APP + "routing: {home_country: XX}\n", encoding="utf-8")
    result = called("route", "--config", file, "+12125550123", *ALICE)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{file}:2: routing.home_country: 'XX' is no country")
