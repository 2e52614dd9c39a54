"""Softphones that PJSIP alone could not serve: DTLS-SRTP and Opus, through rtpengine."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.talk import assert_tone
from tests.e2e.test_calls import hears
from tests.peers.fixtures import Cast
from tests.peers.gateway import Gateway
from tests.peers.waiting import pause

PHONES = {
    "DTLS-SRTP": {"media": "dtls_srtp"},
    "DTLS-SRTP and Opus": {"media": "dtls_srtp", "codecs": ["opus"]},
    "Opus alone": {"codecs": ["opus"]},
}


@pytest.mark.parametrize("options", PHONES.values(), ids=PHONES.keys())
@pytest_twisted.ensureDeferred
async def test_such_a_phone_calls(gateway: Gateway, cast: Cast, options: dict[str, Any]) -> None:
    phone = await cast.baresip(gateway, hz=440, **options)
    alice = await cast.client(gateway)
    async with nothing_left(gateway):
        await phone.dial("sip:alice@dm.localhost")
        call = (await alice.incoming())["call"]
        mine = await alice.accept(call, alice.stream(hz=1000))
        await alice.connected(call)
        await phone.established()
        await hears(mine, 440, 3, "alice")
        await pause(0.5)
        heard, rate = phone.heard()
        assert_tone(heard[-3 * rate :], rate, 1000, 2.5, "the phone")
        await phone.hangup()
        await alice.ended(call)
