"""Logs: one event a line, no secret in any, and nobody waits for the reader."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe import logs
from gateway.observe.lines import Lines
from gateway.observe.redaction import STRUCK, struck

TOP = Path(__file__).resolve().parents[2]
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _afterwards() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def written(style: logs.Style, event: str, level: str = "info", **fields: Any) -> str:
    out = io.StringIO()
    logs.begin("debug", style, out, twisted=False)
    getattr(structlog.get_logger(), level)(event, **fields)
    return out.getvalue()


def test_json_is_one_object_a_line() -> None:
    line = written("json", "leg_closed", "warning", call="c1", code=486, text="a\nb", none=None)
    entry = json.loads(line)
    assert line.count("\n") == 1
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "leg_closed",
        "level": "warning",
        "call": "c1",
        "code": 486,
        "text": "a\nb",
        "none": None,
    }


def test_text_is_one_line_whatever_it_holds() -> None:
    line = written("text", "invite\nrefused", who="x\r\n2026 forged\x1b[2J\u2028y")
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert "\x1b" not in line
    assert "forged" in line


@pytest.mark.parametrize("style", ["json", "text"])
def test_failures_have_their_traceback_in_one_line(style: logs.Style) -> None:
    out = io.StringIO()
    logs.begin("info", style, out, twisted=False)
    try:
        raise ZeroDivisionError("over password=hunter22")
    except ZeroDivisionError:
        structlog.get_logger().exception("broke")
    line = out.getvalue()
    assert line.count("\n") == 1
    assert "ZeroDivisionError" in line
    assert "hunter22" not in line


def test_what_is_less_severe_is_left_out() -> None:
    out = io.StringIO()
    logs.begin("warning", "json", out, twisted=False)
    log = structlog.get_logger()
    log.info("quiet")
    log.warning("loud")
    assert [json.loads(x)["event"] for x in out.getvalue().splitlines()] == ["loud"]


# --- secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "abc"},
        {"password": "abc"},
        {"auth_secret": "abc"},
        {"Authorization": "Digest abc"},
        {"offer_sdp": "v=0 abc"},
        {"nested": {"deep": [{"password": "abc"}]}},
        {"cookies": ["abc"]},
        {"text": f"got {JWT.replace('c2ln', 'abc')} back"},
        {"line": "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc+/|2^20|1:4"},
        {"line": "a=ice-pwd:abc"},
        {"header": 'Digest username="1001", response="abc"'},
        {"url": "postgresql://gateway:abc@db/x"},
        {"header": "Bearer abc"},
        {"query": "/app?token=abc&x=1"},
        {"raw": b"inline:abc"},
        {"error": ValueError("password=abc was wrong")},
    ],
)
@pytest.mark.parametrize("style", ["json", "text"])
def test_secrets_are_struck_out(style: logs.Style, fields: dict[str, Any]) -> None:
    line = written(style, "event", **fields)
    assert "abc" not in line
    assert STRUCK in line


def test_the_event_itself_is_searched_and_its_name_is_not_a_secret() -> None:
    assert JWT not in written("json", f"got {JWT}")
    assert json.loads(written("json", "token_refused", why="expired"))["why"] == "expired"


def test_what_is_no_secret_stays() -> None:
    fields = {
        "address": "127.0.0.1:5060",
        "call": "c1",
        "error": "app.token: the secret needs 32 characters",
        "uri": "sip:1001@dm.localhost:5060;transport=udp",
    }
    entry = json.loads(written("json", "event", **fields))
    assert {k: entry[k] for k in fields} == fields


def test_what_never_ends_is_cut() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "too deep" in written("json", "event", x=endless)


@given(
    st.recursive(
        st.text() | st.binary() | st.integers() | st.none(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_anything_can_be_logged(value: Any) -> None:
    json.dumps(struck(value))


# --- standard error -------------------------------------------------------------------------

PROGRAM = """
import asyncio, logging, warnings, sys
from twisted.internet import asyncioreactor
loop = asyncio.new_event_loop()
asyncioreactor.install(loop)
from gateway.observe import logs
logs.begin("debug", "json")
import structlog
from twisted.logger import Logger
from twisted.internet.defer import fail
structlog.get_logger().info("ours", n=1)
Logger().warn("from twisted {x}", x=2)
logging.getLogger("asyncio").error("from asyncio %s", 3)
warnings.warn("from warnings 4")
fail(ZeroDivisionError("nobody looks"))
import gc; gc.collect()
for n in range(300):
    structlog.get_logger().debug("many", n=n)
"""


def test_everything_that_logs_comes_out_as_json_and_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    shown = [(e["event"], e["level"], e.get("text", "")) for e in entries if e["event"] != "many"]
    assert ("ours", "info", "") in shown
    assert ("twisted", "warning", "from twisted 2") in shown
    assert ("library", "error", "from asyncio 3") in shown
    assert any(e == "library" and "from warnings 4" in t for e, _, t in shown)
    assert any(e["event"] == "unhandled" and "nobody looks" in e["traceback"] for e in entries)
    # nothing of the end is lost, nothing out of order
    assert [e["n"] for e in entries if e["event"] == "many"] == list(range(300))


class Stalled(io.StringIO):
    """A reader that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.go.wait(10)
        return super().write(text)


def test_a_reader_that_stalls_costs_lines_and_no_time() -> None:
    out = Stalled()
    lines = Lines(out, lambda n: f"lost {n}\n", most=3)
    lines.write("first\n")
    assert out.reached.wait(5)
    for n in range(10):  # three fit
        lines.write(f"{n}\n")
    out.go.set()
    lines.close()
    assert out.getvalue() == "first\nlost 7\n0\n1\n2\n"
    lines.close()


def test_a_full_pipe_does_not_stop_the_one_who_logs() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        lines = Lines(pipe, lambda n: f"lost {n}\n", most=10)
        for _ in range(1000):
            lines.write("x" * 1000 + "\n")
        # whoever logs is through, though nobody has read
        os.close(reading)
        lines.close()
