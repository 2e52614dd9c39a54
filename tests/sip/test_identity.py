"""Who calls: what is believed of whom, and what is told to whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.errors import SipSyntaxError
from gateway.sip.headers import parse_name_addr
from gateway.sip.identity import (
    ANONYMOUS_URI,
    ASSERTIONS,
    Identity,
    Shown,
    Style,
    asserted,
    identity_headers,
)
from gateway.sip.message import Headers
from gateway.values import SipAddress, TelAddress, UserAddress

TEL = TelAddress("+14155550123")
OTHER = TelAddress("+14155550199")
ALICE = SipAddress("alice", "example.org")
FROM = '"Al" <sip:alice@Example.org>;tag=1'
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1'


def headers(sender: str = FROM, **others: str | list[str]) -> Headers:
    items = [("From", sender)]
    for name, value in others.items():
        for one in [value] if isinstance(value, str) else value:
            items.append((name.replace("_", "-"), one))
    return Headers.of(*items)


PAI = '"Bob" <sip:+14155550123@carrier.example;user=phone>'
RPID = '"Carol" <sip:+14155550199@carrier.example>;party=calling;screen=yes;privacy=off'
PLAIN = Identity(ALICE, "Al", False)


@pytest.mark.parametrize(
    ("found", "trusted", "wanted"),
    [
        # From
        (headers(), False, PLAIN),
        (headers(), True, PLAIN),
        (headers("<sip:+14155550123@h>;tag=1"), False, Identity(TEL, "", False)),
        (headers("<tel:+1-415-555-0123>;tag=1"), False, Identity(TEL, "", False)),
        (headers("<sip:+14155550123;npdi@h;user=phone>"), True, Identity(TEL, "", False)),
        (headers("<sip:%2B14155550123@h>"), True, Identity(TEL, "", False)),
        (headers("<sip:4155550123@h>"), True, Identity(SipAddress("4155550123", "h"), "", False)),
        (headers("<sip:+0123@h>"), True, Identity(SipAddress("+0123", "h"), "", False)),
        (headers("<tel:5550123;phone-context=+1>"), True, Identity(None, "", False)),
        (headers("<mailto:a@b.c>"), True, Identity(None, "", False)),
        (headers("<sip:h>"), True, Identity(None, "", False)),
        (headers(ANONYMOUS), False, Identity(None, "", True)),
        (headers("<sip:Anonymous@other.example>"), True, Identity(None, "", True)),
        (headers("<sip:x@anonymous.invalid>"), True, Identity(None, "", True)),
        # P-Asserted-Identity
        (headers(P_Asserted_Identity=PAI), False, PLAIN),
        (headers(P_Asserted_Identity=PAI), True, Identity(TEL, "Bob", False, True)),
        (headers(ANONYMOUS, P_Asserted_Identity=PAI), True, Identity(TEL, "Bob", True, True)),
        (headers(ANONYMOUS, P_Asserted_Identity=PAI), False, Identity(None, "", True)),
        (
            headers(P_Asserted_Identity=["<sip:bob@c.example>", "<tel:+14155550123>"]),
            True,
            Identity(TEL, "", False, True),
        ),
        (
            headers(P_Asserted_Identity='"Bob" <sip:bob@c.example>, <tel:+14155550123>'),
            True,
            Identity(TEL, "Bob", False, True),
        ),
        (
            headers(P_Asserted_Identity="bob@c.example"),
            True,
            PLAIN,
        ),
        (
            headers(P_Asserted_Identity=["<broken", "sip:bob@c.example"]),
            True,
            Identity(SipAddress("bob", "c.example"), "", False, True),
        ),
        (
            headers(P_Asserted_Identity=['"B\x07o\tb" <tel:+14155550123>']),
            True,
            Identity(TEL, "Bob", False, True),
        ),
        # P-Preferred-Identity
        (headers(P_Preferred_Identity=PAI), True, PLAIN),
        (headers(P_Preferred_Identity=PAI), False, PLAIN),
        # Remote-Party-ID
        (headers(Remote_Party_ID=RPID), False, PLAIN),
        (headers(Remote_Party_ID=RPID), True, Identity(OTHER, "Carol", False, True)),
        (
            headers(Remote_Party_ID=RPID, P_Asserted_Identity=PAI),
            True,
            Identity(TEL, "Bob", False, True),
        ),
        (
            headers(Remote_Party_ID=RPID.replace("off", "full")),
            True,
            Identity(OTHER, "Carol", True, True),
        ),
        (
            headers(Remote_Party_ID=["<sip:+14155550123@h>;party=called", RPID]),
            True,
            Identity(OTHER, "Carol", False, True),
        ),
        (headers(Remote_Party_ID="<sip:+14155550199@h>;party=called"), True, PLAIN),
        # Privacy
        (headers(Privacy="none"), True, PLAIN),
        (headers(Privacy="id"), True, Identity(ALICE, "Al", True)),
        (headers(Privacy="ID"), False, Identity(ALICE, "Al", True)),
        (headers(Privacy="user;critical"), False, Identity(ALICE, "Al", True)),
        (headers(Privacy="header; id"), False, Identity(ALICE, "Al", True)),
        (headers(Privacy="session;critical"), True, PLAIN),
        (headers(Privacy="id;none"), True, PLAIN),
        (headers(Privacy="id", P_Asserted_Identity=PAI), True, Identity(TEL, "Bob", True, True)),
        (headers(ANONYMOUS, Privacy="none"), True, Identity(None, "", True)),
    ],
)
def test_who_calls(found: Headers, trusted: bool, wanted: Identity) -> None:
    assert asserted(found, trusted) == wanted


def test_a_request_without_a_sender() -> None:
    with pytest.raises(SipSyntaxError):
        asserted(Headers.of(("P-Asserted-Identity", PAI)), True)


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=30))
def test_anything_in_the_headers_of_a_trusted_peer(pai: str, rpid: str, privacy: str) -> None:
    found = asserted(headers(P_Asserted_Identity=pai, Remote_Party_ID=rpid, Privacy=privacy), True)
    assert found.address is not None
    assert found.display.isprintable()


CALLER = f"<sip:{TEL.number}@dm.example;user=phone>"


@pytest.mark.parametrize(
    ("privacy", "trusted", "style", "wanted"),
    [
        (False, False, "pai", Shown("Al", CALLER[1:-1])),
        (False, False, "rpid", Shown("Al", CALLER[1:-1])),
        (
            False,
            True,
            "pai",
            Shown("Al", CALLER[1:-1], (("P-Asserted-Identity", f'"Al" {CALLER}'),)),
        ),
        (
            False,
            True,
            "rpid",
            Shown(
                "Al",
                CALLER[1:-1],
                (("Remote-Party-ID", f'"Al" {CALLER};party=calling;screen=yes;privacy=off'),),
            ),
        ),
        (True, False, "pai", Shown("Anonymous", ANONYMOUS_URI)),
        (True, False, "rpid", Shown("Anonymous", ANONYMOUS_URI)),
        (
            True,
            True,
            "pai",
            Shown(
                "Anonymous",
                ANONYMOUS_URI,
                (("P-Asserted-Identity", f'"Al" {CALLER}'), ("Privacy", "id")),
            ),
        ),
        (
            True,
            True,
            "rpid",
            Shown(
                "Anonymous",
                ANONYMOUS_URI,
                (
                    ("Remote-Party-ID", f'"Al" {CALLER};party=calling;screen=yes;privacy=full'),
                    ("Privacy", "id"),
                ),
            ),
        ),
    ],
)
def test_what_a_peer_is_told(privacy: bool, trusted: bool, style: Style, wanted: Shown) -> None:
    shown = identity_headers(
        TEL, "Al", privacy=privacy, trusted=trusted, domain="dm.example", style=style
    )
    assert shown == wanted
    assert {name for name, _ in shown.headers} <= ASSERTIONS


@pytest.mark.parametrize(
    ("caller", "uri"),
    [(ALICE, "sip:alice@example.org"), (UserAddress("al.b_c-d"), "sip:al.b_c-d@dm.example")],
)
def test_an_account_and_a_person_are_told_by_address(
    caller: SipAddress | UserAddress, uri: str
) -> None:
    shown = identity_headers(caller, "", privacy=False, trusted=True, domain="dm.example")
    assert shown == Shown("", uri, (("P-Asserted-Identity", f"<{uri}>"),))


@given(st.text(), st.booleans(), st.sampled_from(["pai", "rpid"]))
def test_no_name_breaks_out_of_its_header(name: str, privacy: bool, style: Style) -> None:
    shown = identity_headers(
        TEL, name, privacy=privacy, trusted=True, domain="dm.example", style=style
    )
    for _, value in shown.headers:
        assert value.isprintable()
    read = parse_name_addr(shown.headers[0][1])
    assert str(read.uri) == CALLER[1:-1]


@given(st.text(max_size=90), st.booleans(), st.sampled_from(["pai", "rpid"]))
def test_what_one_gateway_tells_another_believes(name: str, privacy: bool, style: Style) -> None:
    shown = identity_headers(
        TEL, name, privacy=privacy, trusted=True, domain="dm.example", style=style
    )
    sender = parse_name_addr(f"<{shown.from_uri}>")
    found = asserted(Headers.of(("From", str(sender)), *shown.headers), True)
    assert (found.address, found.privacy, found.asserted) == (TEL, privacy, True)
