"""A YAML document as plain data that remembers the line of everything in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gateway.errors import SettingsError, SettingsFault

Path = tuple[str | int, ...]

DEEPEST: Final = 16
MOST_NODES: Final = 200_000
MOST_CHARACTERS: Final = 4_000_000
SET: Final = "--set"
"""What stands for a file's name in faults of overrides; the line is the place among them."""

_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_VARIABLE = re.compile(r"\$(\$\{|\{([^}]*)\})")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?", re.DOTALL)


class Document:
    """Data, lines and faults of one file; ``SettingsError`` at once where it cannot be read."""

    def __init__(self, file: str, text: str, environment: Mapping[str, str] | None = None) -> None:
        self.file = file
        self.faults: list[SettingsFault] = []
        self.blind: set[Path] = set()
        """Where a value could not be made out; nothing more is to be said of these."""
        self._environment = os.environ if environment is None else environment
        self._places: dict[Path, tuple[str, int]] = {(): (file, 1)}
        self._constructor = yaml.SafeLoader("")
        self._nodes = 0
        self.data: dict[str, Any] = self._read(text)

    def _read(self, text: str) -> dict[str, Any]:
        if len(text) > MOST_CHARACTERS:
            raise self._unreadable(1, f"has more than {MOST_CHARACTERS} characters")
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.reader.ReaderError as e:
            line = text.count("\n", 0, e.position) + 1
            raise self._unreadable(line, f"a character that YAML does not allow: {e.reason}") from e
        except yaml.MarkedYAMLError as e:
            mark = e.problem_mark or e.context_mark
            raise self._unreadable(mark.line + 1 if mark else 1, e.problem or str(e)) from e
        except RecursionError as e:
            raise self._unreadable(1, f"is nested more than {DEEPEST} deep") from e
        found = {} if root is None else self._plain(root, (), self.file)
        if not isinstance(found, dict):
            raise SettingsError([SettingsFault(self.file, 1, "top", "must be a mapping")])
        # a section whose every line is a comment is an empty one
        return {key: {} if value is None else value for key, value in found.items()}

    def _unreadable(self, line: int, problem: str) -> SettingsError:
        return SettingsError([SettingsFault(self.file, line, "YAML", problem)])

    def place(self, path: Path) -> tuple[str, int]:
        """File and line of what is at ``path``, or of the nearest thing around it."""
        while path not in self._places:
            path = path[:-1]
        return self._places[path]

    def fault(self, path: Path, problem: str) -> None:
        file, line = self.place(path)
        where = ".".join(map(str, path)) or "top"
        self.faults.append(SettingsFault(file, line, where, problem))

    def _plain(self, node: yaml.Node, path: Path, file: str, line: int | None = None) -> Any:
        """``line`` is that of an override; a file's lines are its nodes'."""
        self._places[path] = (file, line or node.start_mark.line + 1)
        self._nodes += 1
        if len(path) > DEEPEST or self._nodes > MOST_NODES:
            raise self._unreadable(node.start_mark.line + 1, "is too deep, too large, or endless")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, file, line)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(n, (*path, i), file, line) for i, n in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path, file: str, line: int | None) -> Any:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at_line = line or key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._places[path] = (file, at_line)
                self.fault(path, "has a key that is no plain text")
                continue
            key = str(key_node.value)
            at = (*path, key)
            if key in out:
                before = self.place(at)[1]
                self.faults.append(
                    SettingsFault(
                        file,
                        at_line,
                        ".".join(map(str, at)),
                        f"is there twice (line {before}); keep one",
                    )
                )
                continue
            out[key] = self._plain(value_node, at, file, line)
            self._places[at] = (file, at_line)
        return out

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag in _NUMBERS and ":" in node.value:
            return node.value  # 22:30 is a time of day, not 1350 in base 60 (YAML 1.1)
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as e:
            self._lost(path, f"is not what YAML says it is: {getattr(e, 'problem', None) or e}")
            return None
        return self._expand(value, path) if isinstance(value, str) else value

    def _lost(self, path: Path, problem: str) -> None:
        self.fault(path, problem)
        self.blind.add(path)

    def _expand(self, text: str, path: Path) -> str:
        """``${NAME}``, ``${NAME:-else}``, ``$${``: how secrets come in from the environment."""

        def value(match: re.Match[str]) -> str:
            if match[1] == "${":
                return "${"
            name = _NAME.fullmatch(match[2])
            if name is None:
                self._lost(path, "${...} must name an environment variable, as ${NAME}")
                return ""
            found = self._environment.get(name[1], name[3])
            if found is None:
                self._lost(path, f"the environment variable {name[1]} is not set")
                return ""
            return found

        return _VARIABLE.sub(value, text)

    def override(self, number: int, assignment: str) -> None:
        """Apply ``section.key=value``, the ``number``-th of them; the value is YAML.

        A section as a whole is ``section=[…]`` or ``section={…}``.
        """
        name, equals, text = assignment.partition("=")
        parts = tuple(name.strip().split("."))

        def wrong(problem: str) -> None:
            self.faults.append(SettingsFault(SET, number, name.strip() or SET, problem))

        if not equals or not all(parts) or (len(parts) == 1 and text.strip()[:1] not in ("[", "{")):
            # not quoted: it may well hold a secret
            wrong("is not section.key=value")
            return
        at: Any = self.data
        for part in parts[:-1]:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                wrong(f"{part!r} holds no keys; set the whole of it")
                return
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError):
            wrong("its value is not YAML; quote it")
            return
        self._forget(parts)
        self._places[parts] = (SET, number)
        at[parts[-1]] = None if node is None else self._plain(node, parts, SET, number)

    def _forget(self, path: Path) -> None:
        """What the file said here counts no more, nor do its faults."""
        for known in [p for p in self._places if p[: len(path)] == path]:
            del self._places[known]
        where = ".".join(map(str, path))
        self.blind = {p for p in self.blind if p[: len(path)] != path}
        self.faults = [
            f for f in self.faults if f.where != where and not f.where.startswith(where + ".")
        ]
