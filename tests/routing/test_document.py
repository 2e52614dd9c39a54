"""docs/routing.md and the example of conf/gateway.yaml say what is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gateway.settings import load
from tests.test_cli import called

TOP = Path(__file__).resolve().parent.parent.parent
TEXT = (TOP / "docs/routing.md").read_text(encoding="utf-8")
APP = "app: {token: {secret: a-secret-of-more-than-32-characters-here}}\n"


def _commands() -> list[tuple[str, list[str]]]:
    """Each command with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


COMMANDS = _commands()


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 4


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=[c for c, _ in COMMANDS])
def test_each_command_prints_what_the_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, printed: list[str]
) -> None:
    settings = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert settings is not None
    (tmp_path / "gateway.yaml").write_text(APP + settings[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    program, *args = shlex.split(command)
    assert program == "dm-gateway"
    result = called(*args)
    assert result.stderr == ""
    assert [line.rstrip() for line in result.stdout.splitlines()] == printed
    assert result.exit_code == int(printed[-1].startswith("refused"))


def test_the_example_that_is_commented_out_is_right(tmp_path: Path) -> None:
    text = (TOP / "conf/gateway.yaml").read_text(encoding="utf-8")
    begin, end = text.index("routing:\n  # ISO 3166"), text.index("# STIR/SHAKEN: ")
    example = re.sub(r"(?m)^( *)# (?=( *)(- )?[a-z0-9_]+:( |$)|  +- )", r"\1", text[begin:end])
    file = tmp_path / "gateway.yaml"
    file.write_text(text[:begin] + example + text[end:], encoding="utf-8")
    s = load(file, environment={})
    assert [t.name for t in s.trunks] == ["carrier", "carrier-b"]
    assert s.routing.home_country == "US"
    assert s.routing.emergency.trunk == "carrier"
    assert len(s.routing.caller_id.pool) == 2
    assert len(s.routing.numbers) == 3
    assert [r.name for r in s.routing.routes] == ["us", "germany-at-night", "premium"]
    assert called("check-config", file).exit_code == 0
