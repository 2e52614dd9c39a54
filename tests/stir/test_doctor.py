"""What the doctor says of keys, certificates and anchors."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.doctor import Finding, stir
from gateway.settings import Settings
from tests.stir.authority import DAY, issue, pem_of_key

TOKEN = {"token": {"secret": "a-secret-of-more-than-32-characters-here"}}


def told(check: Any, **section: Any) -> list[tuple[str, str, str]]:
    found: list[Finding] = list(check(Settings.model_validate({"app": TOKEN, "stir": section})))
    assert all(f.mend for f in found if f.grade != "ok")
    return [(f.what, f.grade, f.found) for f in found]


def keys(directory: Path, begins_d: float, ends_d: float) -> dict[str, Any]:
    now = time.time()
    issued = issue("us", begins=now + begins_d * DAY, ends=now + ends_d * DAY)
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    key.write_bytes(pem_of_key(issued.key))
    key.chmod(0o600)
    certificate.write_bytes(issued.pem)
    url = "https://certs.example.org/us.pem"
    return {
        "sign": True,
        "key_file": key,
        "certificate_file": certificate,
        "certificate_url": url,
    }


def test_nothing_is_said_of_what_is_off() -> None:
    assert told(stir.signing) == told(stir.verifying) == []


@pytest.mark.parametrize(
    ("begins_d", "ends_d", "grade", "says"),
    [
        (-1, 90, "ok", "of this key, and good until 2"),
        (-1, 29.5, "warn", "CN=us expires on "),
        (-1, -0.5, "fail", "CN=us expired on "),
        (1, 90, "fail", "CN=us is not valid before "),
    ],
)
def test_how_long_a_certificate_lasts(
    tmp_path: Path, begins_d: float, ends_d: float, grade: str, says: str
) -> None:
    mode, lasts = told(stir.signing, **keys(tmp_path, begins_d, ends_d))
    assert mode == ("stir.key_file", "ok", f"{tmp_path}/key.pem: mode 0600")
    assert lasts[:2] == ("stir.certificate_file", grade)
    assert lasts[2].startswith(says)


def test_a_key_that_is_open_to_all_and_a_certificate_nobody_knows(tmp_path: Path) -> None:
    section = keys(tmp_path, -1, 90)
    section["key_file"].chmod(0o644)
    mode, certificate = told(stir.signing, **{**section, "certificate_file": None})
    assert mode[1] == certificate[1] == "warn"


def test_a_key_that_cannot_be_used(tmp_path: Path) -> None:
    section = keys(tmp_path, -1, 90)
    section["certificate_file"].write_bytes(issue("other").pem)
    ((what, grade, found),) = told(stir.signing, **section)
    assert (what, grade) == ("stir.key_file", "fail")
    assert "is not the certificate of" in found


def test_anchors(tmp_path: Path) -> None:
    now = time.time()
    good = issue("good", ca=True, begins=now - DAY, ends=now + 90 * DAY).pem
    old = issue("old", ca=True, begins=now - 9 * DAY, ends=now - DAY).pem
    file = tmp_path / "anchors.pem"
    for content, grade, says in (
        (good * 2, "ok", "authorities: 2"),
        (good + old, "warn", "CN=old expired on "),
        (old, "fail", "none of 1 is valid today"),
        (b"", "fail", "stir.trust_anchors: "),
    ):
        file.write_bytes(content)
        ((what, found, text),) = told(stir.verifying, verify=True, trust_anchors=file)
        assert (what, found) == ("stir.trust_anchors", grade)
        assert text.startswith(says)
