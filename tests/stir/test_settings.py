"""The section ``stir`` of a settings file: what is taken, and each fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import Settings, load

APP = "app: {token: {secret: a-secret-of-more-than-32-characters-here}}\n"


def read(directory: Path, *lines: str) -> Settings:
    file = directory / "gateway.yaml"
    text = "".join(f"  {line}\n" for line in lines)
    file.write_text(f"{APP}stir:\n{text}", encoding="utf-8")
    return load(file, environment={})


def test_signing_and_verifying(tmp_path: Path) -> None:
    stir = read(
        tmp_path,
        "sign: true",
        "key_file: key.pem",
        "certificate_url: https://certs.example.org:8443/us.pem?v=1",
        "verify: true",
        "trust_anchors: anchors",
        "allow_hosts: [certs.lan, 10.0.0.1]",
        "on_failed: refuse",
    ).stir
    assert stir.key_file == Path("key.pem")
    assert stir.certificate_url == "https://certs.example.org:8443/us.pem?v=1"
    assert stir.allow_hosts == ("certs.lan", "10.0.0.1")
    assert (stir.on_failed, stir.require_tnauthlist, stir.max_age_s) == ("refuse", True, 60)


def test_neither_is_on_by_itself(tmp_path: Path) -> None:
    stir = read(tmp_path, "max_age_s: 30").stir
    assert not stir.sign
    assert not stir.verify


RIGHT = "is not the URL of a certificate; right is https://cert.example.org/a.pem"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["max_age_s: 30", "sign: true"], "4: stir.sign: needs key_file"),
        (["sign: true", "key_file: k"], "3: stir.sign: needs certificate_url"),
        (["verify: true"], "3: stir.verify: needs trust_anchors"),
        (
            ["cache_max_s: 10", "cache_min_s: 20"],
            "4: stir.cache_min_s: is above cache_max_s, 10",
        ),
        (["max_age_s: 0"], "3: stir.max_age_s: should be greater than or equal to 1"),
        (["fetch_s: 31"], "3: stir.fetch_s: should be less than or equal to 30"),
        (["on_failed: drop"], "3: stir.on_failed: should be 'mark' or 'refuse'"),
        (["allow_hosts: [a, b, a]"], "3: stir.allow_hosts.2: 'a' is there twice; keep one"),
        (["anchors: x"], "3: stir.anchors: no such setting; did you mean 'trust_anchors'?"),
        *(
            ([f"certificate_url: {url!r}"], f"3: stir.certificate_url: {url!r} {RIGHT}")
            for url in (
                "http://certs.example.org/us.pem",
                "https:///us.pem",
                "https://user@certs.example.org/us.pem",
                "https://certs.example.org/us.pem#one",
                "https://certs.example.org/us pem",
                "https://certs.example.org/us>pem",
                "https://certs.example.org:0/us.pem",
                "https://certs.example.org:99999/us.pem",
                "https://[::1/us.pem",
                "us.pem",
            )
        ),
    ],
)
def test_faults(tmp_path: Path, lines: list[str], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, *lines)
    assert str(caught.value).splitlines() == [f"{tmp_path}/gateway.yaml:{fault}"]
