"""From a file to settings, or to every fault of it with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gateway.errors import SettingsError, SettingsFault
from gateway.settings.contradictions import contradictions, nameless, repeated
from gateway.settings.document import Document
from gateway.settings.document import Path as At
from gateway.settings.kinds import AT_KEY
from gateway.settings.sections import AppSection, Settings
from gateway.settings.tokens import TokenSection


def load(
    path: Path, overrides: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> Settings:
    """Read settings; raise ``SettingsError`` with every fault and its line.

    ``overrides`` are ``section.key=value``; ``environment`` is the process's unless given.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "not UTF-8"
        raise SettingsError([SettingsFault(str(path), 1, "file", f"cannot be read: {why}")]) from e
    document = Document(str(path), text, environment)
    for number, assignment in enumerate(overrides, 1):
        document.override(number, assignment)
    settings = _judged(document)
    if document.faults:
        raise SettingsError(document.faults)
    return settings


def secret(inline: SecretStr | None, file: Path | None) -> str:
    """The secret that a settings pair ``x``/``x_file`` holds; trailing newlines are not part."""
    if inline is not None:
        return inline.get_secret_value()
    if file is None:
        raise ValueError("neither a secret nor its file is set")
    return file.read_text(encoding="utf-8").rstrip("\r\n")


def _judged(document: Document) -> Settings:
    """The settings, with faults added to the document's where there are any."""
    wrong = {str(at[0]) for at in document.blind if at}
    try:
        settings = Settings.model_validate(document.data)
    except ValidationError as e:
        errors = e.errors(include_url=False, include_input=False)
        around = {tuple(error["loc"][:n]) for error in errors for n in range(len(error["loc"]))}
        for error in errors:
            at: At = tuple(error["loc"])
            if error["type"] == "too_short" and at in around:
                continue  # for want of the entries that are at fault themselves
            if error["type"] == AT_KEY:
                at = (*at, error["ctx"]["key"])
            wrong.add(str(at[0]))
            if not any(at[: len(b)] == b or b[: len(at)] == at for b in document.blind):
                document.fault(at, _problem(error, at))
        settings = _what_is_right(document.data, wrong)
    known = not any(at[:1] == ("trunks",) for at in document.blind)
    unnamed = nameless(document.data) if known else ()
    for found in (*repeated(document.data), *unnamed):
        if found.path not in document.blind:
            document.fault(found.path, found.problem)
    for found in contradictions(settings):
        if not wrong & {str(found.path[0]), *found.others}:
            document.fault(found.path, found.problem)
    return settings


def _what_is_right(data: Mapping[str, Any], wrong: set[str]) -> Settings:
    """The sections without fault, defaults for the rest, so that contradictions are seen too."""
    fit: dict[str, Any] = {"app": AppSection.model_construct(token=TokenSection.model_construct())}
    for name, field in Settings.model_fields.items():
        if name in data and name not in wrong:
            kind: TypeAdapter[Any] = TypeAdapter(cast(Any, field.annotation))
            fit[name] = kind.validate_python(data[name])
    return Settings.model_construct(**fit)


def _problem(error: ErrorDetails, at: At) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"no such setting{_did_you_mean(at)}"
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return f"needs {error['ctx']['min_length']} at least"
    if kind == "string_type":
        return "should be text; put it in quotes"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "should hold keys"
    if kind == "string_pattern_mismatch":
        return f"should match {error['ctx']['pattern'].strip('^$')}"
    message = error["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "should be", 1)


def _did_you_mean(at: At) -> str:
    name = str(at[-1])
    model = _model_at(at[:-1])
    near = difflib.get_close_matches(name, model.model_fields if model else (), 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    elsewhere = [".".join(path) for path in _all_keys(Settings) if path[-1] == name]
    return f"; did you mean {' or '.join(elsewhere)}?" if elsewhere else ""


def _model_at(at: At) -> type[BaseModel] | None:
    """The section class at a path; numbers in it are places in lists."""
    model: type[BaseModel] | None = Settings
    for part in at:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model else None
        model = _model_in(field.annotation) if field else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m), None)


def _all_keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        yield (*path, name)
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _all_keys(inner, (*path, name))
