"""The routing section: what is taken, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.routing.dialplan import compile_plan
from gateway.settings import RouteTrunk
from tests.routing.books import at, planned, route_of
from tests.test_settings import APP, faults, read

TRUNKS = """\
trunks:
  - {name: carrier-a, address: sip.a.example}
  - {name: carrier-b, address: sip.b.example}
"""
HEAD = APP + TRUNKS + "routing:\n"
"""Four lines; the fifth is the first of the section."""


def test_every_fault_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = (
        HEAD
        + """\
  home_country: UK
  timezone: Europe/Bonn
  emergency: {trunk: carrier-x}
  caller_id:
    pool: ["4930123456"]
  numbers:
    - {number: "+14155550111", to: "tel:+4930123456"}
    - {number: "+14155550111", to: "user:bob"}
  routes:
    - {name: us, prefix: "1-415", trunks: [carrier-a]}
    - {name: us, prefix: "+1", trunks: [carrier-a]}
    - {name: de, prefix: "+49", trunks: [carier-b]}
    - name: fr
      prefix: "+33"
      classes: [landline]
      trunks: [{name: carrier-a, priorty: 1}]
"""
    )
    assert faults(tmp_path, text) == [
        "gateway.yaml:6: routing.home_country: 'UK' is no country; "
        "right is ISO 3166 alpha-2, as DE",
        "gateway.yaml:7: routing.timezone: 'Europe/Bonn' is no time zone; right is Europe/Berlin",
        "gateway.yaml:8: routing.emergency.trunk: there is no trunk 'carrier-x'; "
        "did you mean 'carrier-b'?",
        "gateway.yaml:10: routing.caller_id.pool.0: '4930123456' is no number; "
        "right is +14155550123",
        "gateway.yaml:12: routing.numbers.0.to.0: 'tel:+4930123456' is nobody here; right are "
        "user:HANDLE, sip:USER@DOMAIN, service:echo, service:dial-in",
        "gateway.yaml:13: routing.numbers.1.number: '+14155550111' is there twice; keep one",
        "gateway.yaml:15: routing.routes.0.prefix: '1-415' is no prefix; right are + for every "
        "number, +49, +1415, or up to 6 digits for short numbers",
        "gateway.yaml:16: routing.routes.1.name: 'us' is there twice; keep one",
        "gateway.yaml:17: routing.routes.2.trunks.0: there is no trunk 'carier-b'; "
        "did you mean 'carrier-b'?",
        "gateway.yaml:20: routing.routes.3.classes.0: should be 'fixed_line', 'mobile', "
        "'toll_free', 'premium_rate', 'shared_cost', 'voip', 'personal', 'pager', 'uan', "
        "'voicemail', 'unknown', 'short' or 'emergency'",
        "gateway.yaml:21: routing.routes.3.trunks.0.priorty: no such setting; "
        "did you mean 'priority'?",
    ]


ROUTE = "  routes:\n    - {name: x, prefix: '+1', "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  home_country: NO\n", "6: routing.home_country: should be text; put it in quotes"),
        ("  home_country: de\n", "6: routing.home_country: 'de' is no country; right is"),
        ("  timezone: ../etc/passwd\n", "6: routing.timezone: '../etc/passwd' is no time zone"),
        (
            "  emergency: {action: refuse, trunk: carrier-a}\n",
            "6: routing.emergency.trunk: is there beside action: refuse; keep one",
        ),
        (
            "  caller_id: {pool: ['+14155550100', '+14155550100']}\n",
            "6: routing.caller_id.pool: '+14155550100' is there twice; keep one",
        ),
        (
            "  caller_id: {verified: {'service:echo': '+14155550100'}}\n",
            "6: routing.caller_id.verified.service:echo.[key]: 'service:echo' calls nobody; "
            "right are user:HANDLE, sip:USER@DOMAIN",
        ),
        (
            "  caller_id: {verified: {'user:alice': '0301234'}}\n",
            "6: routing.caller_id.verified.user:alice: '0301234' is no number; right is",
        ),
        # numbers of ours
        (
            "  numbers: [{number: '+14155550100', to: []}]\n",
            "6: routing.numbers.0.to: needs 1 at least",
        ),
        (
            "  numbers: [{number: '+14155550100', to: ['user:a', 'user:a']}]\n",
            "6: routing.numbers.0.to: 'user:a' is there twice; keep one",
        ),
        (
            "  numbers: [{number: '+14155550100', to: ['user:a', 'service:echo']}]\n",
            "6: routing.numbers.0.to: service:echo answers at once; it can be no part of a group",
        ),
        (
            "  numbers: [{number: '+14155550100', to: 'user:a', order: in_turn}]\n",
            "6: routing.numbers.0.order: is of no use with one to ring",
        ),
        (
            "  numbers: [{number: '+14155550100', to: 'sip:1001@example.org'}]\n",
            "6: routing.numbers.0.to: sip:1001@example.org is not in sip.domain, dm.localhost",
        ),
        # routes
        (f"{ROUTE}}}\n", "7: routing.routes.0: needs trunks, or action: refuse"),
        (
            f"{ROUTE}action: refuse, trunks: [carrier-a]}}\n",
            "7: routing.routes.0.trunks: is of no use beside action: refuse",
        ),
        (
            f"{ROUTE}action: refuse, confirm: press-1}}\n",
            "7: routing.routes.0.confirm: is of no use beside action: refuse",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], text: not now}}\n",
            "7: routing.routes.0.text: is of no use without action: refuse",
        ),
        (
            f"{ROUTE}trunks: [carrier-a, {{name: carrier-a}}]}}\n",
            "7: routing.routes.0.trunks: 'carrier-a' is there twice; keep one",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], classes: [emergency]}}\n",
            "7: routing.routes.0.classes: emergency numbers go by routing.emergency alone",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], classes: [mobile, short]}}\n",
            "7: routing.routes.0.classes: short numbers have no plus: their prefix is plain digits",
        ),
        (
            "  routes: [{name: x, prefix: '41', classes: [mobile], trunks: [carrier-a]}]\n",
            "6: routing.routes.0.classes: numbers without a plus, as 41, are short ones",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], regions: [XX]}}\n",
            "7: routing.routes.0.regions.0: 'XX' is no country; right is",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], attestation: D}}\n",
            "7: routing.routes.0.attestation: should be 'A', 'B' or 'C'",
        ),
        (
            f"{ROUTE}trunks: [{{name: carrier-a, weight: 0}}]}}\n",
            "7: routing.routes.0.trunks.0.weight: should be greater than or equal to 1",
        ),
        (
            f"{ROUTE}action: refuse, reason: completed}}\n",
            "7: routing.routes.0.reason: should be 'not_allowed', 'unreachable' or 'unavailable'",
        ),
        (
            f'{ROUTE}action: refuse, text: "a\\x07b"}}\n',
            "7: routing.routes.0.text: holds control characters",
        ),
        (
            "  routes: [{name: x, prefix: 41, trunks: [carrier-a]}]\n",
            "6: routing.routes.0.prefix: should be text; put it in quotes",
        ),
        # times
        (
            f"{ROUTE}trunks: [carrier-a], times: [{{from: 25:00}}]}}\n",
            "7: routing.routes.0.times.0.from: '25:00' is no time of day; right is 08:30",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], times: [{{from: 1320}}]}}\n",
            "7: routing.routes.0.times.0.from: should be text; put it in quotes",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], times: [{{from: 08:00, to: 8:00}}]}}\n",
            "7: routing.routes.0.times.0.to: is the same as from; leave both out for the whole day",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], times: [{{from: 24:00, to: 8:00}}]}}\n",
            "7: routing.routes.0.times.0.from: 24:00 begins no day; right is 00:00",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], times: [{{days: [monday]}}]}}\n",
            "7: routing.routes.0.times.0.days.0: should be 'mon', 'tue'",
        ),
        (
            f"{ROUTE}trunks: [carrier-a], times: [{{timezone: Mars}}]}}\n",
            "7: routing.routes.0.times.0.timezone: 'Mars' is no time zone; right is Europe/Berlin",
        ),
    ],
)
def test_a_fault_says_where_what_and_what_would_be_right(
    tmp_path: Path, text: str, told: str
) -> None:
    (found,) = faults(tmp_path, HEAD + text)
    assert found.startswith(f"gateway.yaml:{told}")


def test_trunks_that_are_there_count_though_something_else_is_wrong(tmp_path: Path) -> None:
    text = HEAD + f"{ROUTE}trunks: [carrier-a]}}\nsip: {{port: x}}\n"
    (found,) = faults(tmp_path, text)
    assert "sip.port" in found


def test_what_trunks_are_called_is_not_guessed(tmp_path: Path) -> None:
    text = APP + "trunks: [{name: '${NOPE}', address: a}]\nrouting:\n"
    (found,) = faults(tmp_path, text + f"{ROUTE}trunks: [carrier-a]}}\n")
    assert "NOPE is not set" in found
    (found,) = faults(tmp_path, HEAD + f"{ROUTE}trunks: ['${{NOPE}}']}}\n")
    assert "NOPE is not set" in found


def test_overrides_are_judged_like_the_file(tmp_path: Path) -> None:
    sets = ("routing.emergency={trunk: carrier-b}", "routing.emergency.trunk=carrier-c")
    assert faults(tmp_path, APP + TRUNKS, *sets) == [
        "--set:2: routing.emergency.trunk: there is no trunk 'carrier-c'; did you mean 'carrier-b'?"
    ]


@pytest.mark.parametrize(
    ("first", "second", "hidden"),
    [
        ("", "", True),
        ("", "groups: [beta], ", True),
        ("", "classes: [mobile], ", True),
        ("", "classes: [premium_rate], ", False),
        ("", "classes: [mobile, premium_rate], ", False),
        ("classes: [mobile], ", "", False),
        ("groups: [beta], ", "", False),
        ("regions: [US], ", "", False),
        ("times: [{days: [mon]}], ", "", False),
    ],
)
def test_a_route_that_another_one_hides(
    tmp_path: Path, first: str, second: str, hidden: bool
) -> None:
    text = HEAD + (
        "  routes:\n"
        f"    - {{name: one, prefix: '+1', {first}trunks: [carrier-a]}}\n"
        "    - {name: other, prefix: '+', trunks: [carrier-a]}\n"
        f"    - {{name: two, prefix: '+1', {second}trunks: [carrier-b]}}\n"
    )
    if hidden:
        assert faults(tmp_path, text) == [
            "gateway.yaml:9: routing.routes.2: is never reached: one before it takes every such "
            "number"
        ]
    else:
        assert len(read(tmp_path, text).routing.routes) == 3


def test_several_routes_together_hide_one(tmp_path: Path) -> None:
    text = HEAD + (
        "  routes:\n"
        "    - {name: one, prefix: '+1', classes: [mobile], trunks: [carrier-a]}\n"
        "    - {name: two, prefix: '+1', classes: [fixed_line, voip], trunks: [carrier-a]}\n"
        "    - {name: three, prefix: '+1', classes: [mobile, voip], trunks: [carrier-a]}\n"
    )
    (found,) = faults(tmp_path, text)
    assert found.endswith("is never reached: one, two before it takes every such number")


def test_words_that_yaml_takes_for_something_else(tmp_path: Path) -> None:
    """A bare ``off`` is false in YAML 1.1, and a bare 22:00 a number in base 60."""
    text = HEAD + (
        f"{ROUTE}trunks: [carrier-a], early_media: off, "
        "times: [{from: 22:00, to: 6:30}, {from: 9:00, to: 12:15}]}\n"
    )
    (route,) = read(tmp_path, text).routing.routes
    assert route.early_media == "off"
    assert [(p.from_, p.to) for p in route.times] == [("22:00", "6:30"), ("9:00", "12:15")]


def test_a_bare_off_is_taken_by_trunks_too(tmp_path: Path) -> None:
    text = APP + "trunks: [{name: a, address: b, srtp: off, early_media: off, reliable: off}]\n"
    (trunk,) = read(tmp_path, text).trunks
    assert (trunk.srtp, trunk.early_media, trunk.reliable) == ("off", "off", "off")


def test_a_name_alone_is_a_trunk_of_the_first_rank(tmp_path: Path) -> None:
    (route,) = read(tmp_path, f"{HEAD}{ROUTE}trunks: [carrier-a]}}\n").routing.routes
    assert route.trunks == (RouteTrunk(name="carrier-a", priority=1, weight=1),)


def test_what_was_read_is_what_is_planned(tmp_path: Path) -> None:
    text = HEAD + f"{ROUTE}trunks: [carrier-a], times: [{{days: [mon], from: 22:00}}]}}\n"
    plan = compile_plan(read(tmp_path, text).routing)
    assert route_of(planned("+14155550123", plan, now=at("2026-11-23T23:00"))) == "x"
    assert route_of(planned("+14155550123", plan, now=at("2026-11-23T21:00"))) is None
