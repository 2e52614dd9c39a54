"""Several flows of one phone (RFC 5626)."""

from __future__ import annotations

import pytest
import pytest_twisted

from gateway.sip.message import Request, response_to
from gateway.values import SipAddress
from tests.edge.peers import Phone
from tests.edge.scene import PASSWORDS, Scene, outgoing
from tests.edge.test_streams import dial, over_tcp

AOR = SipAddress("1001", "dm.localhost")


def register(phone: Phone, reg_id: int, *lines: str) -> Request:
    contact = (
        f"{phone.contact};reg-id={reg_id};"
        '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
    )
    to = "sip:1001@dm.localhost"
    supported = "Supported: path, outbound"
    return phone.message("REGISTER", "sip:dm.localhost", contact, supported, *lines, to=to)


async def register_over(phone: Phone, reg_id: int, line: object = None, *lines: str) -> str:
    """Registers; the ``Require`` of the answer."""

    async def ask(request: Request) -> object:
        if line is None:
            phone.send(request)
            return await phone.next()
        line.send(over_tcp(request))  # type: ignore[attr-defined]
        return await line.next()  # type: ignore[attr-defined]

    challenge = await ask(register(phone, reg_id, *lines))
    signed = phone.authorization(
        challenge,  # type: ignore[arg-type]
        "REGISTER",
        "sip:dm.localhost",
        PASSWORDS["1001"],
    )
    answered = await ask(register(phone, reg_id, signed, *lines))
    assert answered.code == 200, answered  # type: ignore[attr-defined]
    assert answered.headers.get("Require") == "outbound"  # type: ignore[attr-defined]
    return answered.headers.get("Flow-Timer") or ""  # type: ignore[attr-defined]


@pytest_twisted.ensureDeferred
async def test_two_flows_of_one_phone_ring_once_and_one_follows_the_other(scene: Scene) -> None:
    phone, line = scene.phone(), await dial(scene.edge)
    assert await register_over(phone, 1) == "29"
    [first] = scene.edge.contacts(AOR)
    assert first.flow == f"udp:{phone.address}"
    assert await register_over(phone, 2, line) == "240"
    assert scene.outside.bindings == 2
    [second] = scene.edge.contacts(AOR)
    assert second.flow.startswith("tcp:")
    line.hang_up()
    await line.gone()
    probe = await dial(scene.edge)  # the edge has seen the end of the first by then
    probe.send(over_tcp(phone.message("OPTIONS", f"sip:{scene.edge.outer}")))
    await probe.next()
    assert [c.flow for c in scene.edge.contacts(AOR)] == [first.flow]
    probe.hang_up()


@pytest_twisted.ensureDeferred
async def test_a_flow_that_failed_further_on_is_forgotten(scene: Scene) -> None:
    phone, worker = scene.phone(), scene.worker()
    await register_over(phone, 1)
    [contact] = scene.edge.contacts(AOR)
    worker.send(outgoing(worker, phone, contact.flow))
    rung = await phone.request("INVITE")
    phone.send(response_to(rung, 430, "Flow Failed", to_tag="p"))
    await worker.response(430)
    assert scene.edge.contacts(AOR) == ()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ((), 439),
        (("Path: <sip:proxy.example;lr>",), 439),
        (("Path: <sip:proxy.example;lr;ob>",), 200),
    ],
)
async def test_a_proxy_that_keeps_no_flows(scene: Scene, path: tuple[str, ...], code: int) -> None:
    phone = scene.phone()

    def through_proxy(*lines: str) -> Request:
        request = register(phone, 1, *lines, *path)
        via = "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKbelow"
        return request.replaced(headers=request.headers.with_last("Via", via))

    phone.send(through_proxy())
    challenge = await phone.response(401)
    uri = "sip:dm.localhost"
    phone.send(through_proxy(phone.authorization(challenge, "REGISTER", uri, "secret1001")))
    await phone.response(code)
    assert scene.outside.bindings == (1 if code == 200 else 0)
