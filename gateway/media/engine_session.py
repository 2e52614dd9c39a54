"""A call inside an rtpengine: asked, failed over while it is new, deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog

from gateway.errors import GatewayError, MediaFailed
from gateway.media.engines import Engine, Engines
from gateway.media.ng import NgClient, NgRefused, NgSilent

log = structlog.get_logger()

_TRIES: Final = 3


class EngineSession:
    """One call inside one rtpengine, as the NG protocol names it; ``tag`` is a party of it."""

    def __init__(self, engine: Engine, client: NgClient, call: str, tag: str) -> None:
        self.engine = engine
        self.client = client
        self.call = call
        self.tag = tag
        engine.sessions += 1

    @property
    def gone(self) -> bool:
        """The rtpengine that held it is no more."""
        return self.engine.client is not self.client

    async def ask(self, command: str, **fields: object) -> dict[str, Any]:
        """``MediaFailed`` when the rtpengine is gone or knows the session no more."""
        if self.gone:
            raise MediaFailed("the rtpengine that carried this call is gone")
        try:
            return await self.client.request(command, call_id=self.call, **fields)
        except NgSilent:
            self.engine.failed(self.client)
            if self.gone:
                raise MediaFailed("the rtpengine that carried this call is gone") from None
            raise

    async def delete(self) -> None:
        self.engine.sessions -= 1
        if self.gone:
            return
        try:
            await self.ask("delete", from_tag=self.tag)
        except GatewayError as e:
            log.warning("rtpengine_session_left", engine=self.engine.name, error=str(e))


async def begun(
    engines: Engines, call: str, tag: str, offer: Callable[[EngineSession], dict[str, object]]
) -> tuple[EngineSession, str]:
    """A new session, by the first engine that takes the offer, and the SDP it made of it."""
    failed: list[Engine] = []
    while True:
        engine, client = await engines.pick(failed)
        session = EngineSession(engine, client, call, tag)
        try:
            return session, sdp_of(await session.ask("offer", **offer(session)))
        except (NgSilent, MediaFailed) as e:
            await session.delete()
            if isinstance(e, NgRefused):
                raise
            log.warning("rtpengine_offer_failed", engine=engine.name, error=str(e))
            failed.append(engine)
            if len(failed) >= _TRIES:
                raise


def sdp_of(reply: dict[str, Any]) -> str:
    sdp = reply.get("sdp")
    if not isinstance(sdp, str):
        raise MediaFailed("rtpengine answered without SDP")
    return sdp
