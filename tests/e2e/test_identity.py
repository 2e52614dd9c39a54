"""Who telephones are told calls, and who they say they are: asserted, hidden, signed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted

from tests.e2e.residue import nothing_left
from tests.e2e.test_trunks import NUMBER, OURS, Office, office, routing
from tests.peers.fixtures import Cast

if TYPE_CHECKING:
    from tests.stir.scene import Scene


@pytest_twisted.async_yield_fixture
async def authority(tmp_path: Path) -> AsyncIterator[Scene]:
    from tests.stir.repository import Repository  # it takes the reactor, which has to be there
    from tests.stir.scene import Scene

    repository = Repository()
    repository.start()
    scene = Scene(tmp_path, repository)
    yield scene
    await scene.close()


async def signing(cast: Cast, authority: Scene, trunk: dict[str, Any], **stir: Any) -> Office:
    from tests.stir.authority import pem_of_key

    key = authority.directory / "signer.key"
    key.write_bytes(pem_of_key(authority.signer.key))
    section = {
        "sign": True,
        "key_file": str(key),
        "certificate_url": authority.url,
        "verify": True,
        "trust_anchors": str(authority.anchors),
        "ca_file": str(authority.repository.write_ca(authority.directory)),
        "allow_hosts": [authority.repository.host],
        **stir,
    }
    return await office(cast, [trunk], routing("main"), f"stir={json.dumps(section)}")


@pytest_twisted.ensureDeferred
async def test_what_we_sign_is_verified(cast: Cast, authority: Scene) -> None:
    """A call out has a signature; the same signature coming in is believed, once it fits."""
    here = await signing(cast, authority, {"name": "main", "sources": ["127.0.0.0/8"]})
    alice = await cast.client(here.gateway)
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        call = await alice.invite(f"tel:{NUMBER}")
        leg = await carrier.incoming()
        assert leg.invite is not None
        identity = leg.invite.get("identity")
        assert 'ppt="shaken"' in identity or "ppt=shaken" in identity
        found = await authority.told(
            identity, orig=OURS, dest=NUMBER, now=time.time(), verifier=authority.verifier()
        )
        assert (found.status, found.attest) == ("passed", "A")
        leg.answer(486, "Busy Here")
        await alice.ended(call)


@pytest.mark.parametrize(
    ("changed", "verified"),
    [({}, True), ({"attest": "B"}, False), ({"iat": 1000}, False), (None, False)],
)
@pytest_twisted.ensureDeferred
async def test_a_telephone_that_is_vouched_for(
    cast: Cast, authority: Scene, changed: dict[str, Any] | None, verified: bool
) -> None:
    from gateway.sip.passport import party

    here = await signing(cast, authority, {"name": "main", "sources": ["127.0.0.0/8"]})
    alice = await cast.client(here.gateway)
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        carrier.user = NUMBER
        leg = carrier.call(f"sip:{OURS}@dm.localhost", carrier.stream())
        headers = []
        if changed is not None:
            claims = {
                "iat": int(time.time()),
                "orig": party(NUMBER),
                "dest": (party(OURS),),
                **changed,
            }
            headers.append(("identity", authority.identity(**claims)))
        await leg.admitted(None, *headers)
        incoming = await alice.incoming()
        assert incoming["from"]["verified"] is verified
        leg.cancel()
        assert (await leg.final()).code == 487


@pytest.mark.parametrize("trusted", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_a_trunk_says_of_its_callers(cast: Cast, trusted: bool) -> None:
    trunk = {"name": "main", "sources": ["127.0.0.0/8"], "trusted": trusted}
    here = await office(cast, [trunk], routing("main"))
    alice = await cast.client(here.gateway)
    carrier = here.carriers["main"]
    async with nothing_left(here.gateway):
        carrier.user = "anonymous"
        asserted = ("p-asserted-identity", f'"Carol" <sip:{NUMBER}@carrier.example>')
        for extra, shown in (
            ((), f"tel:{NUMBER}" if trusted else "sip:anonymous@anonymous.invalid"),
            ((("privacy", "id"),), "sip:anonymous@anonymous.invalid"),
        ):
            seen = alice.events.mark()
            leg = carrier.call(f"sip:{OURS}@dm.localhost", carrier.stream())
            await leg.admitted(None, asserted, *extra)
            incoming = await alice.incoming(since=seen)
            anonymous_from = not trusted or extra
            if anonymous_from:
                assert incoming["from"]["address"] == "sip:anonymous@anonymous.invalid"
            else:
                # From was anonymous, so the caller wants to be, whatever is asserted
                assert incoming["from"]["address"] in (shown, "sip:anonymous@anonymous.invalid")
            assert "verified" not in incoming["from"]
            leg.cancel()
            assert (await leg.final()).code == 487
        call = await alice.invite(f"tel:{NUMBER}")
        out = await carrier.incoming()
        assert out.invite is not None
        told = out.invite.all("p-asserted-identity")
        assert bool(told) is trusted
        if trusted:
            assert OURS in told[0]
        out.answer(486)
        await alice.ended(call)
