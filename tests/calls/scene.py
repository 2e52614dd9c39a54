"""How tests make calls: invitations from either side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.calls.ports import IncomingInvite
from gateway.calls.registry import CallRegistry
from gateway.values import (
    CallId,
    Client,
    HostPort,
    LegEnd,
    SipAddress,
    parse_address,
)
from tests.calls.outside import World

BYE = LegEnd(200, "OK", remote=True)


def invite(world: World, client: Client, to: str, sdp: str | None = "plain") -> CallId:
    work = world.registry.invite(client, parse_address(to), "t1", sdp)
    return CallId(world.do(work))


def message(target: str = "sip:bob@dm.localhost", **other: Any) -> IncomingInvite:
    """From a softphone, unless told otherwise."""
    usual = IncomingInvite(
        caller=SipAddress("1001", "dm.localhost"),
        caller_name="Phone 1001",
        target=parse_address(target),
        sip_call_id="abc",
        offer=b"v=0",
        source=HostPort("127.0.0.1", 5070),
        transport="udp",
    )
    return replace(usual, **other)


def incoming(world: World, target: str = "sip:bob@dm.localhost", **other: Any) -> Any:
    return world.do(world.registry.incoming(message(target, **other)))


def app_to_app(world: World) -> tuple[CallRegistry, Client, Client, CallId]:
    alice, bob = world.person("alice"), world.person("bob")
    call = invite(world, alice, "user:bob", "dtls")
    world.do(world.registry.accept(bob, call, "plain"))
    assert "connect c1.1 c1.2" in world.log
    return world.registry, alice, bob, call
