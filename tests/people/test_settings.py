"""Settings about people: each fault with its line, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import Settings, load

APP = "app: {token: {secret: 'a secret of the tests, long enough for HS256'}}\n"


def read(directory: Path, text: str) -> Settings:
    file = directory / "people.yaml"
    file.write_text(APP + text, encoding="utf-8")
    return load(file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "sip:\n  accounts: [{user: '1', password: secret1001, owner: 'a b'}]\n",
            "3: sip.accounts.0.owner: should match [A-Za-z0-9_.-]{1,64}",
        ),
        ("people:\n  contacts_per_user: 0\n", "3: people.contacts_per_user: "),
        ("people:\n  anonymous: deny\n", "3: people.anonymous: should be 'allow' or 'refuse'"),
        (
            "people:\n  unverified: refuse\n",
            "3: people.unverified: would refuse every call by a trunk: stir.verify is off",
        ),
        ("people:\n  stranger_rings: -1\n", "3: people.stranger_rings: "),
        ("rollout:\n  percent: 101\n", "3: rollout.percent: "),
        ("rollout:\n  regions: [Germany]\n", "3: rollout.regions.0: 'Germany' is no country"),
        ("rollout:\n  allow: [alice, alice]\n", "3: rollout.allow.1: 'alice' is there twice"),
        ("rollout:\n  percentage: 10\n", "3: rollout.percentage: no such setting; did you mean"),
        ("age:\n  unknown: adult\n", "3: age.unknown: should be '13-15', '16-17' or '18+'"),
        ("age:\n  timezone: Berlin\n", "3: age.timezone: 'Berlin' is no time zone"),
        (
            "age:\n  from_13: {night_from: '22:00', night_to: null}\n",
            "3: age.from_13.night_to: is missing; a night has both ends, or none",
        ),
        (
            "age:\n  from_16: {night_from: '22:00', night_to: '22:00'}\n",
            "3: age.from_16.night_to: is the same as night_from; none: there is no night",
        ),
        ("age:\n  from_16: {minutes_per_day: 0}\n", "3: age.from_16.minutes_per_day: "),
        (
            "regions:\n  apart: [DE/FR]\n",
            "3: regions.apart.0: 'DE/FR' is no pair of countries; right is DE-FR",
        ),
        ("regions:\n  numbers: [{classes: [landline]}]\n", "3: regions.numbers.0.classes.0: "),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    (fault,) = caught.value.faults
    assert str(fault).removeprefix(f"{tmp_path}/people.yaml:").startswith(told)


def test_what_is_right(tmp_path: Path) -> None:
    s = read(
        tmp_path,
        "age: {from_13: {night_from: null, night_to: null, minutes_per_day: null}}\n"
        "regions: {apart: [DE-FR], numbers: [{classes: [short, mobile], countries: [DE]}]}\n",
    )
    assert s.age.rules("13-15") == s.age.from_13
    assert s.age.rules("16-17") == s.age.from_16
    assert s.age.rules(None) is s.age.rules("18+") is None
