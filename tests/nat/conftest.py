"""A phone's private network behind a NAT, made of network namespaces.

The tests and the gateway run in a network namespace of their own: in it ``PUBLIC`` is the
gateway's address.  A second namespace is the NAT, a third the phone's network.  No packet leaves
them, and no private address can be reached from the gateway's side but through the NAT.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.values import HostPort

PUBLIC, NAT_OUTSIDE = "198.51.100.1", "198.51.100.2"
NAT_INSIDE, PHONE = "10.99.0.1", "10.99.0.2"
CONTROL = 4444
CLONE_NEWNET = 0x4000_0000
"""unshare(2), setns(2)."""

RULES = f"""
table ip nat {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        iifname "outside" tcp dport {CONTROL} dnat to {PHONE}:{CONTROL}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        oifname "outside" masquerade random
    }}
}}
table ip filter {{
    chain forward {{
        type filter hook forward priority filter; policy drop;
        iifname "inside" accept
        ct state established,related accept
        ct status dnat accept
    }}
}}
"""


@dataclass(frozen=True)
class Behind:
    """``phone`` is the namespace, ``control`` where the tests reach a port of it."""

    phone: str
    nat: str
    control: HostPort


def run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _libc(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    if os.geteuid() != 0:
        pytest.fail("network namespaces need root: run these tests as root")
    nat, phone = f"dmgw-nat-{os.getpid()}", f"dmgw-phone-{os.getpid()}"
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    made: list[str] = []
    try:
        _libc("unshare", CLONE_NEWNET)
        for name in (nat, phone):
            run("ip", "netns", "add", name)
            made.append(name)
        run("ip", "link", "set", "lo", "up")
        _wire("public", PUBLIC, None, "outside", NAT_OUTSIDE, nat)
        _wire("phone", PHONE, phone, "inside", NAT_INSIDE, nat)
        run("ip", "-n", phone, "route", "add", "default", "via", NAT_INSIDE)
        within = ("ip", "netns", "exec", nat)
        run(*within, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        run(*within, "nft", "-f", "-", given=RULES)
        yield Behind(phone, nat, HostPort(NAT_OUTSIDE, CONTROL))
    finally:
        for name in made:
            run("ip", "netns", "delete", name)
        _libc("setns", home, CLONE_NEWNET)
        os.close(home)


def _wire(
    near: str, near_address: str, near_space: str | None, far: str, far_address: str, far_space: str
) -> None:
    """A pair of interfaces; ``None`` is the namespace of the tests."""
    run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", far_space)
    if near_space is not None:
        run("ip", "link", "set", near, "netns", near_space)
    for name, address, space in ((near, near_address, near_space), (far, far_address, far_space)):
        there = ("-n", space) if space is not None else ()
        run("ip", *there, "address", "add", f"{address}/24", "dev", name)
        run("ip", *there, "link", "set", name, "up")
        if space is not None:
            run("ip", *there, "link", "set", "lo", "up")
