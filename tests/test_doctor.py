"""What the doctor finds on machines that lack something, and what it says would mend it."""

from __future__ import annotations

import io
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.doctor import CHECKS, Finding, examine, host, media, names, state, stir
from gateway.doctor.finding import output_of
from gateway.settings import Settings

SECRET = "a-secret-of-more-than-32-characters-here"


def settings(**sections: Any) -> Settings:
    app = {"token": {"secret": SECRET}, **sections.pop("app", {})}
    return Settings.model_validate({"app": app, **sections})


def signed_by(**token: Any) -> Settings:
    return Settings.model_validate({"app": {"token": token}})


def grades(found: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(f.grade, f.what) for f in found]


def only(found: Iterator[Finding]) -> Finding:
    (one,) = found
    return one


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    def made(script: str) -> Path:
        file = tmp_path / "program"
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    return made


# --- media ----------------------------------------------------------------------------------


def test_pjsip_of_this_machine() -> None:
    found = list(media.pjsip(settings()))
    assert [(f.grade, f.what) for f in found] == [
        ("ok", "pjsua2"),
        ("ok", "codecs"),
        ("ok", "calls a process"),
    ]
    assert found[0].found.startswith("PJSIP 2.")
    assert {"PCMU", "PCMA", "G722", "GSM", "iLBC", "speex"} <= set(found[1].found.split(", "))


def test_a_pjsip_that_holds_fewer_calls_than_are_wanted() -> None:
    *_, limit = media.pjsip(settings(media={"legs_per_worker": 64}))
    assert (limit.grade, limit.what) == ("fail", "calls a process")
    held = int(limit.found.split(",")[0])
    assert limit.mend.startswith(f"set media.legs_per_worker to {held}, ")


def test_a_pjsip_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pjsua2.py").write_text("raise ImportError\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = only(media.pjsip(settings()))
    assert (found.grade, found.found) == ("fail", "cannot be imported or started")
    assert "pip install pjsua2-python==" in found.mend


def test_a_pjsip_that_aborts_takes_nobody_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pjsua2.py").write_text("import os\nos.abort()\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert only(media.pjsip(settings())).grade == "fail"


def test_rtpengine_of_this_machine() -> None:
    found = only(media.rtpengine(settings()))
    assert found.grade == "ok"
    assert found.found.endswith(", /usr/bin/rtpengine")
    assert found.found[0].isdigit()


def test_an_rtpengine_that_is_not_there_or_does_not_run(program: Callable[[str], Path]) -> None:
    missing = only(media.rtpengine(settings(webrtc={"program": "/nowhere/rtpengine"})))
    assert missing.grade == "fail"
    assert missing.mend == "apt-get install rtpengine-daemon, or set webrtc.program"
    broken = program("exit 127")
    assert only(media.rtpengine(settings(webrtc={"program": str(broken)}))).grade == "fail"


def test_no_rtpengine_is_worth_a_warning() -> None:
    assert only(media.rtpengine(settings(webrtc={"rtpengine": "off"}))).grade == "warn"


def test_each_rtpengine_elsewhere_is_pinged() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(5)

        def answer() -> None:
            asked, who = s.recvfrom(2048)
            cookie, _, question = asked.partition(b" ")
            if question == b"d7:command4:pinge":
                s.sendto(cookie + b" d6:result4:ponge", who)

        thread = threading.Thread(target=answer)
        thread.start()
        up = f"127.0.0.1:{s.getsockname()[1]}"
        down = ["127.0.0.1:1", "no.such.host.invalid:2223"]
        found = list(media.rtpengine(settings(webrtc={"rtpengine": [up, *down]})))
        thread.join()
    assert [(f.grade, f.what) for f in found] == [
        ("ok", f"rtpengine {up}"),
        *(("fail", f"rtpengine {x}") for x in down),
    ]


def test_programs_that_fail_or_never_end_are_survived(program: Callable[[str], Path]) -> None:
    assert output_of(["/nowhere/program"]) is None
    assert output_of([str(program("exit 3"))]) is None
    assert output_of([str(program("exec sleep 30"))], timeout_s=0.1) is None
    assert output_of([str(program("echo yes; echo no >&2"))]) == "yes\nno\n"


def test_trunks_whose_tones_nobody_hears() -> None:
    trunks = [
        {"name": word, "address": "192.0.2.1", "dtmf": word, "media": "direct"}
        for word in ("rfc4733", "info", "inband")
    ]
    trunks.append({"name": "heard", "address": "192.0.2.1", "dtmf": "inband"})
    found = only(media.digits(settings(trunks=trunks)))
    assert (found.grade, found.what) == ("warn", "digits of trunk inband")
    assert "telephone-event" in found.mend


# --- the machine ----------------------------------------------------------------------------


def _ports(sip: int = 0) -> Settings:
    return settings(sip={"port": sip}, http={"port": 0}, metrics={"port": 0})


def test_free_ports_are_free() -> None:
    assert {f.grade for f in host.ports(_ports())} == {"ok"}


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_that_is_taken(kind: socket.SocketKind) -> None:
    with closing(socket.socket(socket.AF_INET, kind)) as s:
        s.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            s.listen(1)
        port = s.getsockname()[1]
        failed = [f for f in host.ports(_ports(port)) if f.grade == "fail"]
    transport = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    assert [(f.what, f.found) for f in failed] == [
        (f"sip {transport} 127.0.0.1:{port}", "Address already in use")
    ]
    assert "set sip.port" in failed[0].mend


def test_an_address_of_another_machine() -> None:
    s = settings(
        sip={"host": "192.0.2.1", "port": 0},
        http={"port": 0},
        metrics={"host": "no.such.host.invalid", "port": 0},
        media={"host": "192.0.2.1"},
    )
    found = list(host.ports(s))
    assert [f.grade for f in found] == ["fail", "fail", "ok", "fail", "fail"]
    assert found[0].mend.startswith("set sip.host to an address of this machine")


def test_too_few_rtp_ports_for_the_workers() -> None:
    *_, rtp = host.ports(settings(media={"rtp_ports": [30_000, 30_500], "max_workers": 64}))
    assert rtp.grade == "warn"
    assert rtp.mend == "widen media.rtp_ports, or lower media.max_workers"


def test_a_clock_that_was_never_set() -> None:
    found = only(host.clock(settings(), now=1_000_000.0))
    assert (found.grade, found.found) == ("fail", "1970-01-12 13:46:40 UTC")


@pytest.mark.parametrize(("said", "grade"), [("no", "warn"), ("yes", "ok")])
def test_a_clock_that_nobody_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, grade: str
) -> None:
    file = tmp_path / "timedatectl"
    file.write_text(f"#!/bin/sh\necho {said}\n", encoding="utf-8")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert only(host.clock(settings())).grade == grade


@pytest.mark.parametrize(
    ("soft", "grade"), [(256, "fail"), (1024, "warn"), (65_536, "ok"), (-1, "ok")]
)
def test_how_many_files_may_be_open(monkeypatch: pytest.MonkeyPatch, soft: int, grade: str) -> None:
    monkeypatch.setattr(host.resource, "getrlimit", lambda _: (soft, -1))
    found = only(host.limits(settings()))
    assert found.grade == grade
    assert "(hard unlimited)" in found.found


# --- what it keeps --------------------------------------------------------------------------


def _store(file: Path) -> Settings:
    return settings(store={"url": f"sqlite:///{file}"})


def test_a_database_that_is_not_there_yet(tmp_path: Path) -> None:
    found = only(state.database(_store(tmp_path / "var" / "x.db")))
    assert (found.grade, found.found) == ("ok", f"not there yet; {tmp_path} is writable")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_there(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE t (x)")
    file.chmod(0o600)
    assert only(state.database(_store(file))).found == "writable"
    file.chmod(0o644)
    found = only(state.database(_store(file)))
    assert (found.grade, found.mend) == ("warn", f"chmod 600 {file}")


def test_a_database_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_text("prose" * 1000, encoding="utf-8")
    found = only(state.database(_store(file)))
    assert (found.grade, found.found) == ("fail", "file is not a database")


def test_a_directory_that_cannot_be_written() -> None:
    found = only(state.database(_store(Path("/proc/none/x.db"))))
    assert found.grade == "fail"
    assert found.mend == f"make its directory writable for uid {os.getuid()}, or set store.url"


def test_a_server_whose_driver_is_missing_and_whose_password_is_not_shown() -> None:
    url = "postgresql+psycopg2://gateway:hush@127.0.0.1/x"
    found = only(state.database(settings(store={"url": url})))
    assert (found.grade, found.found) == ("fail", "No module named 'psycopg2'")
    assert "hush" not in found.what


def test_the_key_of_tokens(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    s = settings(app={"token": {"secret_file": str(file)}})
    assert only(state.tokens(s)).grade == "fail"
    file.write_text("short\n", encoding="utf-8")
    assert "needs 32 characters" in only(state.tokens(s)).found
    file.write_text(SECRET, encoding="utf-8")
    file.chmod(0o644)
    assert grades(state.tokens(s)) == [
        ("ok", "app.token HS256"),
        ("warn", "app.token.secret_file"),
    ]
    file.chmod(0o640)
    assert [f.grade for f in state.tokens(s)] == ["ok", "ok"]
    key = settings(app={"token": {"secret": None, "algorithm": "ES256", "key_file": str(file)}})
    assert "neither a PEM public key" in only(state.tokens(key)).found


def test_the_key_set_of_tokens(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    s = signed_by(jwks_file=str(file))
    assert "No such file" in only(state.tokens(s)).found
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    key = jwt.get_algorithm_by_name("ES256").to_jwk(public)
    file.write_text(f'{{"keys": [{key}]}}', encoding="utf-8")
    assert only(state.tokens(s)) == Finding("app.token jwks_file", "ok", "keys: 1")
    with served(file.read_bytes()) as url:
        s = signed_by(jwks_url=url)
        assert only(state.tokens(s)) == Finding("app.token jwks_url", "ok", "keys: 1")
    assert "refused" in only(state.tokens(s)).found
    with served(b"{}") as url:
        s = signed_by(jwks_url=url)
        assert "is no JWK Set" in only(state.tokens(s)).found


@contextmanager
def served(body: bytes) -> Iterator[str]:
    """The URL of a server on loopback that answers so."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks"
        finally:
            server.shutdown()
            thread.join()


def test_files_of_passwords(tmp_path: Path) -> None:
    good, short, open_ = tmp_path / "good", tmp_path / "short", tmp_path / "open"
    for file, text, mode in (
        (good, "secret1001\n", 0o600),
        (short, "x\n", 0o600),
        (open_, "secret1002", 0o644),
    ):
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
    files = {"a": good, "b": short, "c": open_, "d": tmp_path / "none"}
    accounts: list[dict[str, str]] = [
        {"user": user, "password_file": str(file)} for user, file in files.items()
    ]
    accounts.append({"user": "e", "password": "secret1003"})
    found = list(state.passwords(settings(sip={"accounts": accounts})))
    assert [(f.grade, f.what) for f in found] == [
        ("ok", "password of a"),
        ("fail", "password of b"),
        ("warn", "password of c"),
        ("fail", "password of d"),
    ]
    assert not any("secret100" in f.found + f.mend for f in found)


def test_development_settings_on_a_network() -> None:
    app = {"dev_login": True, "plain_rtp": True}
    assert grades(state.development(settings(app=app))) == []
    for own in ("localhost", "127.0.0.2"):
        assert grades(state.development(settings(app=app, http={"host": own}))) == []
    assert grades(state.development(settings(app=app, http={"host": "192.0.2.1"}))) == [
        ("warn", "app.dev_login"),
        ("warn", "app.plain_rtp"),
    ]


# --- the report -----------------------------------------------------------------------------


@pytest.mark.parametrize(("worst", "code"), [("ok", 0), ("warn", 0), ("fail", 1)])
def test_the_report_and_its_exit_code(worst: Any, code: int) -> None:
    def check(_: Settings) -> Iterator[Finding]:
        yield Finding("one", "ok", "well")
        yield Finding("other", worst, "[Errno 2] [red]odd[/red]", "mend it [so]")

    out = io.StringIO()
    assert examine(settings(), [check], out) == code
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[1] == ["ok", "one", "well"]
    assert lines[2] == [worst, "other", "[Errno", "2]", "[red]odd[/red]", "mend", "it", "[so]"]


def test_every_check_is_made() -> None:
    made = {
        f
        for m in (media, host, names, state, stir)
        for n, f in vars(m).items()
        if f in CHECKS and n[0] != "_"
    }
    assert made == set(CHECKS)
    assert len(CHECKS) == 13
