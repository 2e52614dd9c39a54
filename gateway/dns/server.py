"""One name server, asked by dnspython over UDP, or TCP where an answer is too long for that."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.nameserver
import dns.rcode

from gateway.values import HostPort

MOST_BYTES: Final = 16_384
"""Largest answer over TCP that is read: dnspython takes the reactor's time for it, 64 kB 0.1 s."""


class TooLong(dns.exception.FormError):
    """An answer over ``MOST_BYTES``, of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"an answer of {size} bytes")  # type: ignore[no-untyped-call]  # dnspython's


class Server(dns.nameserver.Do53Nameserver):
    """``heard`` is called when it answers: with records, or that there are none."""

    def __init__(self, address: str, port: int, heard: Callable[[Server], None]) -> None:
        super().__init__(address, port)
        self._heard = heard

    def __str__(self) -> str:
        return str(HostPort(self.address, self.port))

    async def async_query(
        self, request: dns.message.QueryMessage, *args: Any, **kwargs: Any
    ) -> dns.message.Message:
        if kwargs["max_size"]:
            response = await self._by_tcp(request, kwargs["timeout"], kwargs["backend"])
        else:
            response = await super().async_query(request, *args, **kwargs)
        if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            self._heard(self)
        return response

    async def _by_tcp(
        self, request: dns.message.QueryMessage, limit_s: float, backend: Any
    ) -> dns.message.Message:
        seconds = asyncio.get_running_loop().time
        end = seconds() + limit_s
        family = dns.inet.af_for_address(self.address)
        where = (self.address, self.port)
        connecting = backend.make_socket(family, socket.SOCK_STREAM, 0, None, where, limit_s)
        async with await connecting as stream:
            bounded: Any = _Bounded(stream)
            left_s = max(0.0, end - seconds())
            return await dns.asyncquery.tcp(request, self.address, left_s, sock=bounded)


class _Bounded:
    """A stream of dnspython's that does not give long messages."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def getpeername(self) -> Any:
        return await self._stream.getpeername()

    async def sendall(self, what: bytes, timeout: float | None) -> None:  # noqa: ASYNC109  # dnspython's
        await self._stream.sendall(what, timeout)

    async def recv(self, size: int, timeout: float | None) -> Any:  # noqa: ASYNC109  # dnspython's
        # the length of a message is asked for first, and then as much at once
        if size > MOST_BYTES:
            raise TooLong(size)
        return await self._stream.recv(size, timeout)
