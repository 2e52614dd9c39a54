"""The DM call protocol as an OpenRPC document, made of the models that requests are read with.

See https://spec.open-rpc.org.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from gateway import __version__
from gateway.app import messages, pass_methods, people_messages
from gateway.calls import events

REQUESTS: Final[Mapping[str, type[BaseModel]]] = {
    "session.open": messages.SessionOpen,
    "call.invite": messages.CallInvite,
    "call.accept": messages.CallAccept,
    "call.decline": messages.CallDecline,
    "call.hangup": messages.CallHangup,
    "call.mute": messages.CallMute,
    "call.hold": messages.CallHold,
    "call.dtmf": messages.CallDtmf,
    "call.media": messages.CallMedia,
    "call.transfer": messages.CallTransfer,
    "call.add": messages.CallAdd,
    "call.whisper": messages.CallWhisper,
    "call.listen": messages.CallListen,
    "call.mute_all": messages.CallMuteAll,
    "call.feedback": messages.CallFeedback,
    "call.report": messages.CallReport,
    "history.list": messages.HistoryList,
    "history.delete": messages.HistoryDelete,
    "pin.create": messages.PinCreate,
    "pin.list": messages.PinList,
    "pin.revoke": messages.PinRevoke,
    "settings.get": people_messages.SettingsGet,
    "settings.set": people_messages.SettingsSet,
    "contacts.list": people_messages.Listed,
    "contacts.put": people_messages.ContactsPut,
    "contacts.remove": people_messages.ContactsRemove,
    "blocks.list": people_messages.Listed,
    "blocks.add": people_messages.BlocksOf,
    "blocks.remove": people_messages.BlocksRemove,
    "pass.grant": pass_methods.PassGrant,
    "pass.list": pass_methods.PassList,
    "pass.revoke": pass_methods.PassRevoke,
}


def document() -> dict[str, Any]:
    """Results are objects that docs/protocol.md describes; events are under ``x-events``."""
    schemas: dict[str, Any] = {}
    methods = [_method(name, model, schemas) for name, model in REQUESTS.items()]
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": "DM call protocol",
            "version": __version__,
            "description": "JSON-RPC 2.0 over a WebSocket at /v1/dm, subprotocol dm-call.v1.",
        },
        "methods": methods,
        "x-events": sorted(
            event.METHOD
            for event in events.AppEvent.__subclasses__()
            if event.__module__ == events.__name__  # development has others
        ),
        "components": {"schemas": schemas},
    }


def _method(name: str, model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    required = schema.get("required", ())
    return {
        "name": name,
        "paramStructure": "by-name",
        "params": [
            {"name": member, "required": member in required, "schema": of}
            for member, of in schema.get("properties", {}).items()
        ],
        "result": {"name": "result", "schema": {"type": "object"}},
    }
