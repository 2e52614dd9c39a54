"""The commands: what they print, where, and with which exit code; never a traceback."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import jwt
import pytest
import pytest_twisted
from click.testing import CliRunner, Result

from gateway.app.tokens import AUDIENCE
from gateway.cli import EMBEDDED, main
from gateway.settings import load, secret
from tests.peers.ports import free_ports
from tests.peers.programs import Program

TOP = Path(__file__).resolve().parent.parent
DEV, EXAMPLE = TOP / "conf/dev.yaml", TOP / "conf/gateway.yaml"
COMMAND = str(Path(sys.executable).parent / "dm-gateway")


def called(*args: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def token_of(*args: str) -> dict[str, object]:
    result = called("token", "--config", DEV, *args)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    app = load(DEV).app.token
    key = secret(app.secret, app.secret_file)
    claims: dict[str, object] = jwt.decode(
        result.stdout.strip(), key, algorithms=["HS256"], audience=AUDIENCE
    )
    return claims


# --- check-config ---------------------------------------------------------------------------


@pytest.mark.parametrize("file", [DEV, EXAMPLE, EMBEDDED])
def test_the_files_that_come_with_it_are_right(file: Path) -> None:
    result = called("check-config", file)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{file}: OK\n", "")


def test_every_fault_is_a_line_of_standard_error(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("sip:\n  prot: 1\n  port: x\n", encoding="utf-8")
    result = called("check-config", file, "--set", "http.port=-1")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "--set:1: http.port: should be greater than or equal to 0",
        f"{file}:1: app: is missing",
        f"{file}:2: sip.prot: no such setting; did you mean 'port'?",
        f"{file}:3: sip.port: should be a valid integer, unable to parse string as an integer",
    ]


def test_overrides_count_when_settings_are_checked() -> None:
    assert called("check-config", DEV, "--set", "sip.port=5070").exit_code == 0
    assert called("check-config", DEV, "--set", "sip.port=70000").exit_code == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for command in ("check-config", "run --config", "doctor --config", "token --user a --config"):
        result = called(*command.split(), tmp_path / "none.yaml")
        assert result.exit_code == 1
        assert result.stderr.endswith(
            "none.yaml:1: file: cannot be read: No such file or directory\n"
        )


# --- token ----------------------------------------------------------------------------------


def test_a_token_says_what_was_asked_for() -> None:
    claims = token_of(
        "--user", "alice", "--name", "Alice A.", "--region", "DE", "--group", "beta",
        "--group", "staff", "--age", "18+", "--ttl", "60",
    )  # fmt: skip
    assert claims["sub"] == "alice"
    assert claims["name"] == "Alice A."
    assert claims["region"] == "DE"
    assert claims["groups"] == ["beta", "staff"]
    assert claims["age"] == "18+"
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 60


def test_a_token_needs_no_more_than_a_user() -> None:
    claims = token_of("--user", "bob")
    assert (claims["sub"], claims["groups"]) == ("bob", [])
    assert "region" not in claims
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 3600


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--user", "no spaces"), "sub: "),
        (("--user", "a", "--region", "Germany"), "region: "),
        (("--user", "a", "--group", ""), "groups: "),
    ],
)
def test_claims_that_would_not_be_taken(args: tuple[str, ...], told: str) -> None:
    result = called("token", "--config", DEV, *args)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"no token: not a token's claims: {told}")


def test_no_token_where_only_the_platform_can_sign(tmp_path: Path) -> None:
    file = tmp_path / "public.yaml"
    file.write_text("app: {token: {algorithm: RS256, key_file: key.pem}}\n", encoding="utf-8")
    result = called("token", "--config", file, "--user", "a")
    assert result.exit_code == 1
    assert "no token: app.token has RS256: only the platform holds" in result.stderr


def test_no_token_without_the_secrets_file(tmp_path: Path) -> None:
    sets = ("--set", f"app.token.secret_file={tmp_path}/none")
    result = called("token", "--config", EXAMPLE, *sets, "--user", "a")
    assert result.exit_code == 1
    assert result.stderr.startswith("no token: [Errno 2] No such file or directory")


@pytest.mark.parametrize(
    "args", [("token",), ("token", "--user", "a", "--age", "99"), ("check-config",), ("sing",)]
)
def test_wrong_use_is_told_and_exits_with_2(args: tuple[str, ...]) -> None:
    result = called(*args)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_help_and_version() -> None:
    shown = called("--help").stdout
    assert all(name in shown for name in ("run", "check-config", "token", "doctor", "locate"))
    assert called("--version").stdout.startswith("dm-gateway, version ")


# --- the development settings inside of the package -----------------------------------------


def test_there_is_one_copy_of_the_development_settings() -> None:
    assert EMBEDDED.resolve() == DEV


def test_a_build_holds_the_development_settings_and_the_migrations(tmp_path: Path) -> None:
    """As a wheel is made: what is a link here is a file there."""
    import shutil

    tree, out = tmp_path / "tree", tmp_path / "out"
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("gateway", "conf"):
        shutil.copytree(TOP / name, tree / name, symlinks=True, ignore=skip)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, tree / name)
    build = "from setuptools import setup; setup()"
    done = subprocess.run(
        [sys.executable, "-c", build, "-q", "build_py", "--build-lib", str(out)],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    packaged = out / "gateway/conf/dev.yaml"
    assert not packaged.is_symlink()
    assert packaged.read_bytes() == DEV.read_bytes()
    versions = {p.name for p in (TOP / "gateway/store/migrations/versions").glob("*.py")}
    assert {p.name for p in (out / "gateway/store/migrations/versions").glob("*.py")} == versions
    assert (out / "gateway/store/migrations/env.py").exists()


# --- doctor ---------------------------------------------------------------------------------


def test_the_doctor_of_a_machine_that_has_everything(tmp_path: Path) -> None:
    store = ("--set", f"store.url=sqlite:///{tmp_path}/x.db")
    result = called("doctor", "--config", DEV, *sets(), *store)
    assert result.exit_code == 0, result.stdout
    lines = result.stdout.splitlines()
    assert not [line for line in lines if line.startswith("fail")]
    well = {line.split()[1] for line in lines if line.startswith(("ok ", "warn "))}
    assert {"pjsua2", "codecs", "rtpengine", "sip", "database", "clock", "file"} <= well


def test_the_doctor_exits_with_1_where_something_is_amiss() -> None:
    result = called("doctor", "--config", DEV, *sets(), "--set", "webrtc.program=/nowhere")
    assert result.exit_code == 1
    assert "apt-get install rtpengine-daemon" in result.stdout


# --- run ------------------------------------------------------------------------------------


def sets() -> list[str]:
    first = free_ports(3, step=2)
    ports = {"sip.port": first, "http.port": first + 2, "metrics.port": first + 4}
    return [part for k, v in ports.items() for part in ("--set", f"{k}={v}")]


@pytest_twisted.ensureDeferred
async def test_run_without_a_file_uses_the_development_settings(tmp_path: Path) -> None:
    program = Program([COMMAND, "run", *sets()], cwd=tmp_path)
    try:
        await program.stderr.expect(lambda line: '"event": "ready"' in line, "ready", 30)
        assert (tmp_path / "var/dm-gateway.db").exists()
        program.signal(signal.SIGTERM)
        assert await program.exited(15) == 0
    finally:
        await program.stop()
    assert program.stdout.seen == []
    assert all(isinstance(json.loads(line), dict) for line in program.stderr.seen)


@pytest_twisted.ensureDeferred
async def test_run_says_what_keeps_it_from_starting(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        program = Program([COMMAND, "run", *sets(), "--set", f"metrics.port={port}"], cwd=tmp_path)
        try:
            assert await program.exited(30) == 1
        finally:
            await program.stop()
    entries = [json.loads(line) for line in program.stderr.seen]
    (why,) = [e["error"] for e in entries if e["event"] == "cannot_start"]
    assert why.startswith(f"metrics cannot listen on 127.0.0.1:{port} ")
    assert not any("traceback" in e for e in entries)
