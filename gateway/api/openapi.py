"""The OpenAPI 3.1 document, made of the models that requests are read and answered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from gateway import __version__
from gateway.api.operation import Asked, Operation
from gateway.api.problems import Problem

_REF: Final = "#/components/schemas/{model}"
_ALWAYS: Final = (400, 401, 403, 413, 429, 500, 503)
_IDEMPOTENT: Final = (409, 422)
_PRIMITIVE_MOST: Final = 128

Schemas = Mapping[Any, dict[str, Any]]
"""By model and mode."""


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    for o in operations:
        if o.shown is not None:
            models.append((o.shown, "serialization"))
        if o.body is not None:
            models.append((o.body, "validation"))
    unique = list(dict.fromkeys(models))
    refs, defined = models_json_schema(unique, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for o in operations:
        paths.setdefault(o.template, {})[o.method.lower()] = _operation(o, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dm-gateway",
            "version": __version__,
            "description": "For the app's own servers.",
        },
        "paths": paths,
        "components": {
            "schemas": defined["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(o: Operation, refs: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": o.name,
        "summary": o.summary,
        "description": f"Scope: `{o.scope}`.",
        "tags": [o.template.split("/")[2]],
        "parameters": [*_parameters(o.path, "path"), *_parameters(o.query, "query")],
        "responses": _responses(o, refs),
    }
    if o.body is not None:
        schema = refs[o.body, "validation"]
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    if o.method == "POST":
        found["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same request with the same key is done once.",
                "schema": {
                    "type": "string",
                    "pattern": "^[!-~]+$",
                    "minLength": 1,
                    "maxLength": _PRIMITIVE_MOST,
                },
            }
        )
    return found


def _parameters(model: type[Asked], place: str) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return [
        {"name": name, "in": place, "required": name in required, "schema": _plain(of, schema)}
        for name, of in schema.get("properties", {}).items()
    ]


def _plain(of: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema by itself: without null, which no URL can hold, nor references."""
    kept = {k: v for k, v in of.items() if k not in ("anyOf", "title", "default")}
    choices = [c for c in of.get("anyOf", ()) if c.get("type") != "null"]
    if choices:
        kept |= choices[0]
    if "$ref" in kept:
        kept |= schema["$defs"][kept.pop("$ref").rpartition("/")[2]]
        kept.pop("title", None)
        kept.pop("description", None)
    if of.get("default") is not None:
        kept["default"] = of["default"]
    return kept


def _responses(o: Operation, refs: Schemas) -> dict[str, Any]:
    done: dict[str, Any] = {"description": HTTPStatus(o.status).phrase}
    if o.shown is not None:
        done["content"] = {"application/json": {"schema": refs[o.shown, "serialization"]}}
    refusals = {*_ALWAYS, *o.refuses}
    if o.body is not None:
        refusals.add(415)
    if o.method == "POST":
        refusals.update(_IDEMPOTENT)
    problem = refs[Problem, "serialization"]
    found = {str(o.status): done}
    for status in sorted(refusals):
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": problem}},
        }
    return found
