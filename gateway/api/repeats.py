"""POSTs with an ``Idempotency-Key``: done once, answered as often as asked, for a day.

What is kept of an answer can be read only with the token and the key: it may hold a PIN.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.fernet import Fernet

from gateway.api.access import Caller
from gateway.api.problems import Refused
from gateway.calls.server_ports import AnswerBook, InProgress, KeptAnswer

_KEY: Final = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Repeats:
    def __init__(self, book: AnswerBook, now: Callable[[], float]) -> None:
        self._book = book
        self._now = now

    async def once(
        self, caller: Caller, key: str, said: bytes, run: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """``said`` stands for the whole request.

        ``Refused`` with 422 for a key of another request, 409 while the first is under way.
        """
        if not _KEY.fullmatch(key):
            raise Refused(400, "Idempotency-Key has to be 1 to 128 printable characters")
        print_ = hmac.digest(caller.secret, said, "sha256").hex()
        name = hashlib.sha256(f"{caller.name}\0{key}".encode()).hexdigest()
        found = await self._book.begin(name, print_, self._now())
        box = _box(caller, key)
        match found:
            case KeptAnswer(said=before) | InProgress(said=before) if before != print_:
                raise Refused(422, "the Idempotency-Key was used for another request")
            case InProgress():
                raise Refused(409, "the first request of this Idempotency-Key is under way")
            case KeptAnswer(sealed=sealed):
                return _opened(box, sealed)
            case None:
                pass
        try:
            answer = await run()
        except BaseException:
            await self._book.forget(name)  # it may be tried again
            raise
        await self._book.keep(name, _sealed(box, answer))
        return answer


def _box(caller: Caller, key: str) -> Fernet:
    digest = hmac.digest(caller.secret, b"answer\0" + key.encode(), "sha256")
    return Fernet(base64.urlsafe_b64encode(digest))


def _sealed(box: Fernet, answer: Answer) -> str:
    text = json.dumps([answer.status, answer.headers, answer.body.decode()])
    return box.encrypt(text.encode()).decode()


def _opened(box: Fernet, sealed: str) -> Answer:
    status, headers, body = json.loads(box.decrypt(sealed.encode()))
    return Answer(status, {**headers, "Idempotent-Replayed": "true"}, body.encode())
