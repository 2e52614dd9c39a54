"""Text between people who are signed in, kept in memory: a stand-in for the messenger.

The gateway is none.  This is for the development page alone, and is there only with
``app.dev_login``: an app brings its own messages.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from gateway.app.messages import AddressText, Comment, Params, read
from gateway.app.sessions import Sessions
from gateway.calls.events import AppEvent
from gateway.errors import NotAllowed
from gateway.values import Address, Client, UserAddress

Result = dict[str, Any]
Work = Callable[[], Awaitable[Result]]

THREADS: Final = 1000
"""As many pairs of people as are remembered; whose last word is the oldest give way."""
TEXTS: Final = 100


class Say(Params):
    to: AddressText
    text: Annotated[Comment, Field(min_length=1)]


class List(Params):
    with_: Annotated[AddressText, Field(alias="with")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(AppEvent):
    METHOD: ClassVar[str] = "thread.said"
    by: Address
    to: Address
    text: str
    at: float


class Relay:
    def __init__(self, sessions: Sessions, now: Callable[[], float]) -> None:
        self._sessions = sessions
        self._now = now
        self._threads: OrderedDict[frozenset[Address], deque[Said]] = OrderedDict()

    def readers(self) -> Mapping[str, Callable[[Client, Any], Work]]:
        return {"thread.say": self._say, "thread.list": self._list}

    def _say(self, client: Client, params: Any) -> Work:
        m = read(Say, params)

        async def work() -> Result:
            if not isinstance(m.to, UserAddress):
                raise NotAllowed("messages reach people in the app alone")
            me = client.principal.address
            said = Said(by=me, to=m.to, text=m.text, at=self._now())
            self._keep(frozenset((me, m.to)), said)
            for handle in {client.principal.handle, m.to.handle}:
                for other in self._sessions.clients_of(handle):
                    if other.id != client.id:
                        self._sessions.notify(other.id, said)
            return {"at": said.at}

        return work

    def _list(self, client: Client, params: Any) -> Work:
        m = read(List, params)

        async def work() -> Result:
            pair = frozenset((client.principal.address, m.with_))
            return {"texts": [said.params() for said in self._threads.get(pair, ())]}

        return work

    def _keep(self, pair: frozenset[Address], said: Said) -> None:
        self._threads.setdefault(pair, deque(maxlen=TEXTS)).append(said)
        self._threads.move_to_end(pair)
        while len(self._threads) > THREADS:
            self._threads.popitem(last=False)
