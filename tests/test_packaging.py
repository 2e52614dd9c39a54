"""What installs and runs the gateway: pins, Debian packages, the systemd unit, the documents."""

from __future__ import annotations

import configparser
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.settings import DaemonSection

TOP = Path(__file__).resolve().parent.parent
UNIT = TOP / "systemd/dm-gateway.service"
PACKAGES = TOP / ".ci/packages"


def _run(
    *command: str | Path, env: dict[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=TOP,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _unit() -> dict[str, list[str]]:
    """Every directive of the unit with its values, in order."""
    out: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            out.setdefault(name, []).append(value)
    return out


# --- Python packages --------------------------------------------------------------------


def _needed() -> dict[str, str]:
    """Name → installed version of everything that the package with its extras brings in."""
    found: dict[str, str] = {}
    waiting = [("dm-gateway", frozenset({"", "test"}))]
    while waiting:
        name, extras = waiting.pop()
        dist = distribution(name)
        for text in dist.requires or ():
            need = Requirement(text)
            marker = need.marker
            if marker is not None and not any(marker.evaluate({"extra": e}) for e in extras):
                continue
            key = canonicalize_name(need.name)
            if key not in found or need.extras:
                found[key] = distribution(key).version
                waiting.append((key, frozenset({"", *need.extras})))
    return found


def test_every_python_package_is_pinned_to_the_version_that_is_tested() -> None:
    pins: dict[str, str] = {}
    for line in (TOP / "conf/constraints.txt").read_text(encoding="utf-8").splitlines():
        name, equals, version = line.partition("==")
        assert equals, f"not a pin: {line!r}"
        pins[canonicalize_name(name)] = version
    needed = _needed()
    assert {name: pins.get(name) for name in needed} == needed


def test_what_is_no_module_is_packaged_too() -> None:
    """An editable install would hide that a page or a migration is missing from a wheel."""
    setup = configparser.ConfigParser()
    setup.read(TOP / "setup.cfg", encoding="utf-8")
    patterns = [
        f"{package.replace('.', '/')}/{pattern.strip()}"
        for package, found in setup["options.package_data"].items()
        for pattern in found.split(",")
    ]
    tracked = _run("git", "-c", "safe.directory=*", "ls-files", "gateway").stdout.split()
    assert tracked
    packages = {p.parent.relative_to(TOP) for p in (TOP / "gateway").rglob("__init__.py")}
    lost = [
        name
        for name in tracked
        if not (name.endswith(".py") and Path(name).parent in packages)
        and not any(fnmatch.fnmatch(name, p) for p in patterns)
    ]
    assert not lost


# --- Debian packages --------------------------------------------------------------------


@pytest.fixture
def programs() -> Iterator[Path]:
    """A PATH in which no package is installed, and apt-get only says what it was asked."""
    with tempfile.TemporaryDirectory(prefix="dm-gateway-") as name:
        path = Path(name)
        path.chmod(0o755)  # for the test that is somebody else
        _fill(path)
        yield path


def _fill(path: Path) -> None:
    scripts = {
        "dpkg-query": 'case "$4" in there) echo -n installed ;; *) exit 1 ;; esac',
        "apt-get": 'echo "$DEBIAN_FRONTEND apt-get $*"',
        "sudo": 'if [ "$1" = -n ]; then shift; [ "$1" = true ] && exit 0; fi; exec "$@"',
        "systemctl": 'echo "systemctl $*"',
        "update-rc.d": 'echo "update-rc.d $*"',
    }
    for name, body in scripts.items():
        (path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (path / name).chmod(0o755)
    env = shutil.which("env")
    assert env is not None
    (path / "env").symlink_to(env)


def _packages(programs: Path, *names: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    lowered: list[str] = []
    if user != "root" and os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        assert setpriv is not None
        lowered = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    script = PACKAGES.read_text(encoding="utf-8")
    return subprocess.run(
        [*lowered, "/bin/bash", "-s", "--", *names],
        cwd="/",
        env={"PATH": str(programs)},
        input=script,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_nothing_is_installed_that_is_there(programs: Path) -> None:
    done = _packages(programs, "there")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_missing_packages_are_installed_without_questions(programs: Path) -> None:
    done = _packages(programs, "there", "lacking", "missing")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "installing lacking missing",
        "noninteractive apt-get -q update",
        "noninteractive apt-get install -y --no-install-recommends lacking missing",
    ]


def test_without_root_the_command_to_run_is_printed(programs: Path) -> None:
    (programs / "sudo").unlink()
    done = _packages(programs, "lacking", user="nobody")
    assert done.returncode == 1
    assert (
        "    apt-get update && apt-get install -y --no-install-recommends lacking\n" in done.stderr
    )
    assert done.stdout == ""


# --- make -------------------------------------------------------------------------------


def test_the_make_targets_that_documents_name_exist() -> None:
    targets = {line.split()[0] for line in _run("make", "help").stdout.splitlines()}
    assert {"setup", "run", "test", "lint", "bench", "clean"} <= targets
    documents = [TOP / "README.md", *(TOP / "docs").rglob("*.md")]
    named = {
        match[1]
        for path in documents
        for match in re.finditer(r"(?m)`?\bmake (?:[A-Z_]+=\S+ )*([a-z-]+)`", path.read_text())
    }
    assert named <= targets


def test_ci_runs_the_tests_and_nothing_else() -> None:
    lines = (TOP / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "exec make test"
    assert os.access(TOP / ".ci/run", os.X_OK)


# --- systemd ----------------------------------------------------------------------------


def test_the_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    """With the paths of an installation replaced by this tree's, which exist."""
    command = Path(sys.executable).parent / "dm-gateway"
    text = UNIT.read_text(encoding="utf-8")
    here = text.replace("/opt/dm-gateway/.venv/bin/dm-gateway", str(command))
    copy = tmp_path / UNIT.name
    copy.write_text(here.replace("/opt/dm-gateway", str(TOP)), encoding="utf-8")
    done = _run("systemd-analyze", "verify", copy)
    assert (done.returncode, done.stdout) == (0, "")
    assert not [line for line in done.stderr.splitlines() if UNIT.name in line], done.stderr


def test_the_unit_is_confined() -> None:
    done = _run("systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT)
    assert done.returncode == 0, done.stdout


def test_stopping_leaves_time_to_drain() -> None:
    unit = _unit()
    assert float(unit["TimeoutStopSec"][0]) >= DaemonSection().drain_s + 10
    assert unit["Type"] == ["notify"]


def test_workers_outlive_a_killed_daemon_long_enough_to_say_goodbye() -> None:
    """KillMode=mixed would kill them together with the daemon; and none may stay for good."""
    unit = _unit()
    assert unit["KillMode"] == ["process"]
    wait, kill = unit["ExecStopPost"]
    assert "sleep 2" in wait
    assert "--signal=SIGKILL %n" in kill


def test_user_and_directories_are_made(tmp_path: Path) -> None:
    """The user by sysusers; the directories by tmpfiles as whoever may own them here."""
    (tmp_path / "etc").mkdir()
    made = _run("systemd-sysusers", f"--root={tmp_path}", TOP / "systemd/dm-gateway.sysusers.conf")
    assert made.returncode == 0, made.stderr
    assert "dm-gateway:x:" in (tmp_path / "etc/passwd").read_text(encoding="utf-8")
    text = (TOP / "systemd/dm-gateway.tmpfiles.conf").read_text(encoding="utf-8")
    mine = tmp_path / "tmpfiles.conf"
    mine.write_text(re.sub(r"root (dm-gateway|root)", "- -", text), encoding="utf-8")
    made = _run("systemd-tmpfiles", "--create", f"--root={tmp_path}", mine)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "etc/dm-gateway").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "etc/dm-gateway/secrets").stat().st_mode & 0o777 == 0o750


# --- documents --------------------------------------------------------------------------


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in [TOP / "README.md", TOP / "CHANGELOG.md", *(TOP / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{path.relative_to(TOP)}: {target}")
    assert not broken


def test_the_change_log_has_a_place_for_what_comes() -> None:
    assert "\n## [Unreleased]\n" in (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
