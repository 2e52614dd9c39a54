"""The shape of the tree: floors and rooms, who may import what, sizes, and what is documented."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.settings import (
    Account,
    ConsoleAccount,
    HeaderRules,
    NumberRule,
    OwnNumber,
    Period,
    Route,
    RouteTrunk,
    ServiceToken,
    Settings,
    Tariff,
    Trunk,
    TrunkRegistration,
    TrustedSource,
    Webhook,
)
from gateway.settings.transports import Certificate

TOP = Path(__file__).resolve().parent.parent
GATEWAY = TOP / "gateway"

FLOORS = {
    "errors": 0,
    "values": 0,
    "settings": 0,
    "hours": 1,
    "sip": 1,
    "policy": 2,
    "routing": 2,
    "moderation": 2,
    "calls": 3,
    "edge": 4,
    "media": 4,
    "app": 4,
    "api": 4,
    "console": 4,
    "webhooks": 4,
    "store": 4,
    "dns": 4,
    "stir": 4,
    "trunks": 4,
    "observe": 4,
    "service": 5,
    "parts": 5,
    "cli": 5,
    "web": 5,
    "doctor": 5,
    "explain": 5,
    "describe": 5,
}
TOP_LEVEL = {
    ".ci",
    ".editorconfig",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "conf",
    "docs",
    "gateway",
    "pyproject.toml",
    "setup.cfg",
    "systemd",
    "tests",
}
PJSUA2_MODULES = {
    f"gateway.media.{name}"
    for name in ("accounts", "dialog", "endpoint", "far_end", "leg", "playing")
}
REACTOR_MODULES = {
    "gateway.service",
    "gateway.cli",
    "gateway.dns.asking",
    "gateway.media.worker",
}
SEES_NO_WORLD = {"socket", "time", "asyncio", "threading", "subprocess", "select", "ssl"}
"""What floors 1 to 3 never import: they get bytes, values and the clock from outside."""

LONGEST = 500


def _module_name(path: Path) -> str:
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module_name(p): p for p in sorted(GATEWAY.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def _room(module: str) -> str | None:
    """The room a module of ours is in; ``None`` for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def _imports(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, wherever in the file it stands."""
    is_package = MODULES[module].name == "__init__.py"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                up = node.level - 1 if is_package else node.level
                base = ".".join([*parts[: len(parts) - up], *([base] if base else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


IMPORTS = [
    (module, line, name) for module, tree in TREES.items() for line, name in _imports(module, tree)
]


def _is_or_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_every_room_has_its_floor() -> None:
    rooms = {room for room in map(_room, MODULES) if room is not None}
    assert rooms <= set(FLOORS), f"rooms without a floor: {sorted(rooms - set(FLOORS))}"


def test_lower_floors_never_import_upper_ones_nor_their_neighbours() -> None:
    wrong = []
    for module, line, name in IMPORTS:
        here, there = _room(module), _room(name)
        if not _is_or_in(name, "gateway") or here is None or here == there:
            continue
        if there not in FLOORS:  # gateway.__version__
            continue
        up = FLOORS[there] > FLOORS[here]
        neighbour = FLOORS[there] == FLOORS[here] and FLOORS[here] in {1, 2, 3, 4}
        if up or neighbour:
            wrong.append(f"{module}:{line} (floor {FLOORS[here]}) imports {name}")
    assert not wrong, "\n".join(wrong)


def test_only_the_endpoint_and_its_legs_know_pjsua2() -> None:
    users = {module for module, _, name in IMPORTS if _is_or_in(name, "pjsua2")}
    assert users <= PJSUA2_MODULES


def test_the_global_reactor_is_imported_only_where_things_are_wired() -> None:
    users = {m for m, _, name in IMPORTS if _is_or_in(name, "twisted.internet.reactor")}
    assert users <= REACTOR_MODULES


def test_floors_one_to_three_see_neither_sockets_nor_clocks() -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, line, name in IMPORTS
        if FLOORS.get(_room(module) or "", 0) in {1, 2, 3}
        and (name.split(".")[0] in SEES_NO_WORLD or name.endswith("reactor"))
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_sleeps_on_a_thread() -> None:
    calls = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    ]
    calls += [f"{m}:{line}" for m, line, name in IMPORTS if name == "time.sleep"]
    assert not calls, f"time.sleep at {calls}"


def test_a_worker_process_loads_nothing_of_the_daemon() -> None:
    """A worker is forked per few calls: what it loads is paid for that often."""
    program = "import json, sys, gateway.media.worker; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    ours = {name for name in loaded if _is_or_in(name, "gateway")}
    strangers = {
        name
        for name in ours
        if _room(name) not in {None, "errors", "values", "media"}
        or name in {"gateway.media.pool", "gateway.media.webrtc", "gateway.media.ng"}
    }
    assert not strangers, f"a worker loads {sorted(strangers)}"
    heavy = {"pydantic", "sqlalchemy", "alembic", "autobahn", "klein", "prometheus_client", "yaml"}
    heavy |= {"phonenumbers", "zoneinfo"}
    assert not heavy & set(loaded), f"a worker loads {sorted(heavy & set(loaded))}"


def _tracked() -> list[Path]:
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    return [Path(name) for name in listing.split("\0") if name]


def test_files_stay_small_enough_to_read() -> None:
    long = {}
    for path in [p for p in _tracked() if p.suffix == ".py" and (TOP / p).exists()]:
        lines = len((TOP / path).read_text(encoding="utf-8").splitlines())
        if lines > LONGEST:
            long[str(path)] = lines
    assert not long


def test_the_top_level_holds_what_belongs_there() -> None:
    assert {path.parts[0] for path in _tracked()} <= TOP_LEVEL


def test_tracked_text_speaks_of_the_product_alone() -> None:
    elsewhere = [re.escape(w) for w in ("shared" + "/", "/wo" + "rk/", "/tmp/sp" + "ec")]
    pattern = re.compile("|".join(elsewhere))
    found = []
    for path in _tracked():
        if path.suffix in {".wav", ".png", ".dat", ".bin"} or not (TOP / path).exists():
            continue
        text = (TOP / path).read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


# --- settings are documented ------------------------------------------------------------


def _sections(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner = f"{at}.{name}" if at else name
            yield inner, kind
            yield from _sections(kind, inner)


SECTIONS: dict[str, type[BaseModel]] = {
    **dict(_sections(Settings)),
    "sip.accounts[]": Account,
    "sip.trusted[]": TrustedSource,
    "sip.tls.certificates[]": Certificate,
    "trunks[]": Trunk,
    "api.tokens[]": ServiceToken,
    "console.accounts[]": ConsoleAccount,
    "webhooks[]": Webhook,
    "trunks[].register": TrunkRegistration,
    "trunks[].headers": HeaderRules,
    "regions.numbers[]": NumberRule,
    "routing.numbers[]": OwnNumber,
    "routing.routes[]": Route,
    "routing.routes[].trunks[]": RouteTrunk,
    "routing.routes[].times[]": Period,
    "limits.telephone.tariffs[]": Tariff,
}


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """Key → default."""
    return {
        field.alias or name: field.default
        for name, field in model.model_fields.items()
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))
    }


def _shown(value: Any) -> str:
    """A default as docs/settings.md writes it: YAML, or words for what YAML has no value for."""
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value) or '""'


def _documented() -> dict[str, dict[str, str]]:
    """Section → key → default, from the tables of docs/settings.md."""
    tables: dict[str, dict[str, str]] = {}
    section = ""
    for line in (TOP / "docs/settings.md").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"#+ `([a-z0-9_.\[\]]+)`.*", line):
            section = heading[1]
            tables[section] = {}
        elif row := re.fullmatch(r"\| `([a-z0-9_]+)` \|[^|]+\| `([^|]*)` \|[^|]+\|", line):
            tables[section][row[1]] = row[2]
    return tables


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_documented_with_its_default(section: str) -> None:
    model = SECTIONS[section]
    expected = {key: _shown(default) for key, default in _keys(model).items()}
    assert _documented().get(section) == expected


def test_no_section_is_documented_that_does_not_exist() -> None:
    assert set(_documented()) == set(SECTIONS)


def test_the_example_configuration_names_every_setting() -> None:
    """Set, or there as a comment that shows its default or a use."""
    text = (TOP / "conf/gateway.yaml").read_text(encoding="utf-8")
    bare = re.sub(r"(?m)^( *)# ?(?=( *)(- )?[a-z0-9_]+:( |$))", r"\1", text)
    named = set(re.findall(r"(?m)^\s*(?:- )?(?:\{ *)?([a-z0-9_]+):", bare))
    named |= set(re.findall(r"[{,] *([a-z0-9_]+):", bare))
    wanted = {key for model in SECTIONS.values() for key in _keys(model)}
    assert not wanted - named, f"conf/gateway.yaml lacks {sorted(wanted - named)}"
    assert set(yaml.safe_load(text)) <= set(Settings.model_fields)
