"""``make interop``: runs the tests that meet real peers, and writes ``docs/interop.md``."""

from __future__ import annotations

import platform
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway import __version__
from tests.peers.npm import SIP_JS

TOP = Path(__file__).parents[2]
OUT = TOP / "docs" / "interop.md"
REPORT = TOP / "var" / "interop.xml"

FEATURES = (
    "register",
    "calls us",
    "is called",
    "hold",
    "transfer",
    "DTMF RFC 4733",
    "DTMF INFO",
    "SRTP",
    "DTLS-SRTP",
    "TLS",
    "TCP",
    "WebSocket",
    "NAT",
    "IPv6",
    "early media",
    "session timer",
    "long load",
)

_CALLS = "tests/e2e/test_calls.py"
_TRUNKS = "tests/e2e/test_trunks.py"
_BROWSER = "tests/e2e/test_browser_and_softphone.py"
_SIPP = "tests/e2e/test_sipp.py"
CELLS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "baresip": {
        "register": (f"{_CALLS}::test_hold_from_baresip_is_told",),
        "calls us": (f"{_BROWSER}::test_the_softphone_calls_and_hangs_up",),
        "is called": (f"{_BROWSER}::test_the_browser_calls_and_hangs_up",),
        "hold": (f"{_CALLS}::test_hold_from_baresip_is_told",),
        "transfer": ("tests/e2e/test_transfers.py::test_baresip_transfers",),
        "DTMF RFC 4733": (f"{_BROWSER}::test_the_browser_calls_and_hangs_up",),
        "SRTP": ("tests/media/test_leg_profiles.py::test_srtp_with_a_softphone",),
        "DTLS-SRTP": ("tests/e2e/test_anchored.py::test_such_a_phone_calls",),
        "TLS": ("tests/interop/test_baresip_tls.py::test_calls_both_ways",),
        "TCP": (f"{_SIPP}::test_baresip_registers_and_calls_over_tcp",),
        "NAT": ("tests/nat/test_nat.py",),
    },
    "SIPp": {
        "register": (f"{_SIPP}::test_sipp_registers_with_md5",),
        "calls us": (f"{_SIPP}::test_fifty_calls_at_five_a_second",),
        "long load": (f"{_SIPP}::test_fifty_calls_at_five_a_second",),
    },
    "Kamailio": {
        "register": ("tests/e2e/test_carrier.py",),
        "calls us": ("tests/e2e/test_carrier.py",),
        "is called": ("tests/e2e/test_carrier.py",),
        "TLS": (
            "tests/e2e/test_carrier.py::test_calls_both_ways_over_tls_with_certificates_of_both",
        ),
    },
    "Chromium": {
        "calls us": (f"{_BROWSER}::test_the_browser_calls_and_hangs_up",),
        "is called": (f"{_BROWSER}::test_the_softphone_calls_and_hangs_up",),
        "DTLS-SRTP": (f"{_BROWSER}::test_the_browser_calls_and_hangs_up",),
    },
    "SIP.js": {
        "register": ("tests/e2e/test_sip_browser.py",),
        "calls us": ("tests/e2e/test_sip_browser.py",),
        "is called": ("tests/e2e/test_sip_browser.py",),
        "DTMF INFO": ("tests/e2e/test_sip_browser.py",),
        "DTLS-SRTP": ("tests/e2e/test_sip_browser.py",),
        "WebSocket": ("tests/e2e/test_sip_browser.py",),
    },
    "PJSIP": {
        "register": ("tests/edge/test_stacks.py::test_pjsip_registers",),
    },
    "a scripted user agent": {
        "register": (f"{_SIPP}::test_a_phone_registers_with_sha256",),
        "calls us": (f"{_CALLS}::test_sip_to_app",),
        "is called": (f"{_CALLS}::test_app_to_sip",),
        "hold": (f"{_CALLS}::test_hold_and_mute_from_the_app",),
        "transfer": (
            "tests/e2e/test_transfers.py::test_an_attended_transfer",
            "tests/e2e/test_transfers.py::test_a_phone_transfers_an_app_user_to_another_phone",
        ),
        "DTMF RFC 4733": ("tests/e2e/test_dtmf.py::test_the_phone_presses",),
        "DTMF INFO": ("tests/e2e/test_dtmf.py::test_the_phone_presses_by_info",),
        "TLS": ("tests/edge/test_transports.py::test_a_request_over_tls",),
        "IPv6": ("tests/edge/test_transports.py::test_ipv6",),
        "early media": (f"{_TRUNKS}::test_announcements_before_the_answer",),
        "session timer": ("tests/media/test_leg_timers.py",),
    },
}


def versions() -> dict[str, str]:
    """What each peer says of itself, or Debian of its package."""
    import pjsua2 as pj  # it prints as it is loaded

    packages = {
        "baresip": "baresip-core",
        "SIPp": "sip-tester",
        "Kamailio": "kamailio",
        "Chromium": "chromium",
    }
    found = {}
    for peer, package in packages.items():
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package],
            capture_output=True,
            text=True,
            check=False,
        )
        found[peer] = done.stdout.strip() or "not installed"
    library = pj.Endpoint()
    library.libCreate()
    found["PJSIP"] = library.libVersion().full
    found["SIP.js"] = SIP_JS.version
    found["a scripted user agent"] = "of the tests"
    return found


def run() -> dict[str, bool]:
    """Every test that a cell names, once; whether each passed, by file and name."""
    wanted = sorted({t for cells in CELLS.values() for ids in cells.values() for t in ids})
    REPORT.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", f"--junitxml={REPORT}", *wanted]
    subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, check=False)
    outcome: dict[str, bool] = {}
    for case in ET.parse(REPORT).getroot().iter("testcase"):  # pytest's own
        file = case.get("classname", "").replace(".", "/") + ".py"
        name = case.get("name", "").partition("[")[0]
        passed = not any(case.find(bad) is not None for bad in ("failure", "error", "skipped"))
        for key in (file, f"{file}::{name}"):
            outcome[key] = outcome.get(key, True) and passed
    return outcome


def table(outcome: Mapping[str, bool], known: Mapping[str, str]) -> str:
    lines = [
        "# Interoperability",
        "",
        f"Made by `make interop` from a run of dm-gateway {__version__} on "
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}. A cell is *yes* when every test behind it passed in "
        "that run, *NO* when one failed, and empty when nothing was tried.",
        "",
        "| peer | version | " + " | ".join(FEATURES) + " |",
        "|---|---|" + "---|" * len(FEATURES),
    ]
    for peer, cells in CELLS.items():
        row = [_cell(cells.get(feature), outcome) for feature in FEATURES]
        lines.append(f"| {peer} | {known[peer]} | " + " | ".join(row) + " |")
    lines += ["", "## What is behind the cells", ""]
    for peer, cells in CELLS.items():
        for feature, ids in cells.items():
            lines.append(f"- {peer}, {feature}: " + ", ".join(f"`{i}`" for i in ids))
    return "\n".join(lines) + "\n"


def _cell(ids: Sequence[str] | None, outcome: Mapping[str, bool]) -> str:
    if ids is None:
        return ""
    return "yes" if all(outcome.get(i, False) for i in ids) else "**NO**"


def main() -> None:
    outcome = run()
    text = table(outcome, versions())
    OUT.write_text(text, encoding="utf-8")
    print(text)  # a command's answer
    sys.exit("**NO**" in text)


if __name__ == "__main__":
    main()
