"""Every message of RFC 4475 behaves as that RFC says."""

from __future__ import annotations

import pytest

from gateway.sip.errors import SipParseError, SipSyntaxError
from gateway.sip.framing import StreamFramer
from gateway.sip.headers import parse_auth
from gateway.sip.message import Request, Response
from gateway.sip.parser import parse_datagram
from gateway.sip.proxying import Refusal, refusal
from gateway.sip.registration import Limits, apply
from gateway.sip.sdp import parse_sdp
from gateway.sip.uri import OtherUri, SipUri, parse_uri, unescape
from tests.sip.torture import NAMES, SDP, message

METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER")


def request(name: str) -> Request:
    parsed = parse_datagram(message(name))
    assert isinstance(parsed, Request)
    return parsed


def response(name: str) -> Response:
    parsed = parse_datagram(message(name))
    assert isinstance(parsed, Response)
    return parsed


def broken(name: str) -> SipParseError:
    with pytest.raises(SipParseError) as caught:
        parse_datagram(message(name))
    return caught.value


def refused(name: str) -> Refusal:
    found = refusal(request(name), METHODS, ())
    assert found is not None
    return found


# --- 3.1.1: valid messages


def test_wsinv_white_space_and_folding_everywhere() -> None:
    m = request("wsinv")
    assert m.to.tag == "1918181833n"
    assert m.from_.display == 'J Rosenberg \\"'
    assert m.from_.tag == "98asjd8"
    assert m.max_forwards == 68
    assert (m.cseq.number, m.cseq.method) == (9, "INVITE")
    assert [(v.transport, v.host, v.branch) for v in m.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert m.headers.get("Subject") == ""
    assert m.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert m.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert m.contacts[0].display == 'Quoted string ""'
    assert m.contacts[0].params == (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33"))
    assert m.body == SDP.lstrip("\n").replace("\n", "\r\n").encode()


def test_intmeth_every_character_that_is_allowed() -> None:
    m = request("intmeth")
    assert m.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert m.cseq.method == m.method
    uri = parse_uri(m.uri)
    assert isinstance(uri, SipUri)
    assert uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert m.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert m.from_.display == "token1~` token2'+_ token3*%!.-"
    assert m.from_.tag == "_token~1'+`*%!-."
    assert m.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert m.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"
    assert refused("intmeth").code == 501


def test_esc01_escapes_are_kept_and_compared_undone() -> None:
    m = request("esc01")
    uri = parse_uri(m.uri)
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host) == ("sips%3Auser%40example.com", "example.net")
    plain = parse_uri("sip:user@example.com")
    assert isinstance(m.to.uri, SipUri)
    assert isinstance(plain, SipUri)
    assert m.to.uri.equivalent(plain)
    contact = m.contacts[0].uri
    assert isinstance(contact, SipUri)
    assert contact.param("%6c%72") == ""
    # %25%34%31 is "%41" once undone, and is not undone again
    assert unescape(contact.params[1][1] or "") == "value%41"


def test_escnull_contacts_are_two_different_ones() -> None:
    m = request("escnull")
    bindings = apply((), m, 0.0, Limits(1, 3600, 5), "udp:h:1")
    assert not isinstance(bindings, Refusal)
    assert [str(b.uri) for b in bindings] == [
        "sip:%00@host5.example.com",
        "sip:%00%00@host5.example.com",
    ] or [str(b.uri) for b in bindings][::-1] == [
        "sip:%00@host5.example.com",
        "sip:%00%00@host5.example.com",
    ]


def test_esc02_percent_is_no_escape_in_a_token() -> None:
    m = request("esc02")
    assert m.method == "RE%47IST%45R"
    assert refused("esc02").code == 501
    assert m.to.display == "%Z%45"
    assert m.top_via.branch == "z9hG4bK209%fzsnel234"
    assert [str(c.uri) for c in m.contacts] == [
        "sip:alias1@host1.example.com",
        "sip:alias3@host3.example.com",
    ]


def test_lwsdisp_no_space_before_the_bracket() -> None:
    assert request("lwsdisp").from_.display == "caller"


def test_longreq_long_values() -> None:
    m = request("longreq")
    assert len(m.vias) == 34
    assert len(m.to.display) > 90
    assert m.from_.tag == "129" * 40
    assert refusal(m, METHODS, ()) is None


def test_dblreq_octets_after_the_body_are_dropped() -> None:
    m = request("dblreq")
    assert (m.method, m.body) == ("REGISTER", b"")


def test_semiuri_semicolons_in_the_user_part() -> None:
    uri = parse_uri(request("semiuri").uri)
    assert isinstance(uri, SipUri)
    assert (uri.user, uri.host, uri.params) == ("user;par=u%40example.net", "example.com", ())
    assert len(request("semiuri").headers.all("Accept")) == 6


def test_transports_known_and_unknown() -> None:
    m = request("transports")
    assert [v.transport for v in m.vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_mpart01_a_binary_body_survives() -> None:
    m = request("mpart01")
    assert m.body.endswith(b"--7a9cbec02ceef655--")
    assert b"\x00\r\n\xff\xfe" in m.body
    assert refusal(m, METHODS, ()) == Refusal(
        405, "Method Not Allowed", (("Allow", ", ".join(sorted(METHODS))),)
    )


def test_unreason_utf8_in_the_reason_phrase() -> None:
    m = response("unreason")
    assert (m.code, m.reason) == (200, "= 2**3 * 5**2 регион")


def test_noreason_empty_phrase() -> None:
    m = response("noreason")
    assert (m.code, m.reason) == (100, "")


# --- 3.1.2: invalid messages


def test_badinv01_separators_without_values() -> None:
    error = broken("badinv01")
    assert error.code == 400


def test_clerr_length_beyond_the_datagram() -> None:
    error = broken("clerr")
    assert error.code == 400
    assert error.request is not None
    assert "Content-Length is 9999" in error.what
    # on a stream the rest is waited for
    assert list(StreamFramer(65_535).feed(message("clerr"))) == []


def test_ncl_negative_length() -> None:
    error = broken("ncl")
    assert error.code == 400
    assert error.what == "bad Content-Length '-999'"


def test_scalar02_numbers_out_of_range() -> None:
    error = broken("scalar02")
    assert error.code == 400
    assert "CSeq" in error.what


def test_scalarlg_a_response_with_such_numbers_is_dropped() -> None:
    error = broken("scalarlg")
    assert error.request is None


def test_quotbal_a_quote_that_is_never_closed() -> None:
    error = broken("quotbal")
    assert error.code == 400
    assert error.what == "a quoted display name is not closed"


@pytest.mark.parametrize("name", ["ltgtruri", "lwsruri", "lwsstart", "trws"])
def test_broken_request_lines_get_400(name: str) -> None:
    error = broken(name)
    assert error.code == 400
    assert error.request is not None


def test_escruri_headers_in_the_request_uri() -> None:
    assert refused("escruri").code == 400


def test_baddate_a_date_that_nobody_reads_does_no_harm() -> None:
    m = request("baddate")
    assert refusal(m, METHODS, ()) is None


def test_regbadct_a_uri_with_headers_needs_brackets() -> None:
    result = apply((), request("regbadct"), 0.0, Limits(1, 3600, 5), "udp:h:1")
    assert isinstance(result, Refusal)
    assert result.code == 400


def test_badaspec_spaces_within_the_brackets() -> None:
    assert broken("badaspec").code == 400


def test_baddn_a_comma_outside_quotes() -> None:
    assert broken("baddn").code == 400


def test_badvers_another_version() -> None:
    error = broken("badvers")
    assert error.code == 505


def test_mismatch01_cseq_of_another_method() -> None:
    assert broken("mismatch01").code == 400


def test_mismatch02_unknown_method_with_cseq_of_another() -> None:
    """The RFC lets a server choose between 400 and 501."""
    assert broken("mismatch02").code in (400, 501)


def test_bigcode_is_dropped() -> None:
    error = broken("bigcode")
    assert error.request is None


# --- 3.2: transaction layer


def test_badbranch_nothing_behind_the_cookie() -> None:
    """Still a request to be answered; its transaction is told by all of it (RFC 3261 §17.2.3)."""
    m = request("badbranch")
    assert m.top_via.branch == "z9hG4bK"


# --- 3.3: application layer


def test_insuf_mandatory_headers_missing() -> None:
    error = broken("insuf")
    assert error.code == 400
    assert error.request is not None


@pytest.mark.parametrize("name", ["unkscm", "novelsc"])
def test_unknown_schemes_in_the_request_uri(name: str) -> None:
    assert refused(name).code == 416


def test_unksm2_unknown_schemes_in_headers() -> None:
    m = request("unksm2")
    assert isinstance(m.to.uri, OtherUri)
    assert isinstance(m.from_.uri, OtherUri)
    assert refusal(m, METHODS, ()) is None
    result = apply((), m, 0.0, Limits(1, 3600, 5), "udp:h:1")
    assert isinstance(result, Refusal)
    assert result.code == 400


def test_bext01_extensions_nobody_has() -> None:
    found = refused("bext01")
    assert found.code == 420
    [(name, value)] = found.headers
    assert name == "Unsupported"
    assert value.split(", ") == [
        "nothingSupportsThis",
        "nothingSupportsThisEither",
        "noProxiesSupportThis",
        "norDoAnyProxiesSupportThis",
    ]


def test_invut_an_unknown_body_passes_a_proxy() -> None:
    m = request("invut")
    assert refusal(m, METHODS, ()) is None
    assert m.body.startswith(b"<audio>")


def test_regaut01_an_unknown_scheme_is_no_credential() -> None:
    value = request("regaut01").headers.get("Authorization")
    assert value is not None
    scheme, members = parse_auth(value)
    assert (scheme, members) == ("nooneknowsthisscheme", {"opaque-data": "here"})


@pytest.mark.parametrize("name", ["multi01", "mcl01"])
def test_headers_that_may_be_there_once(name: str) -> None:
    error = broken(name)
    assert error.code == 400
    assert "is there twice" in error.what


def test_bcast_only_the_top_via_of_a_response_counts() -> None:
    m = response("bcast")
    assert [v.host for v in m.vias] == ["192.0.2.198", "255.255.255.255"]


def test_zeromf_no_hop_is_left() -> None:
    """A proxy that is not the target answers 483; OPTIONS to zero hops may be answered for."""
    m = request("zeromf")
    assert m.max_forwards == 0
    other = Request(headers=m.headers.replaced("CSeq", "1 INVITE"), method="INVITE", uri=m.uri)
    found = refusal(other, METHODS, ())
    assert found is not None
    assert found.code == 483


def test_cparam_unknown_parameters_of_contact_and_of_its_uri() -> None:
    outside = apply((), request("cparam01"), 0.0, Limits(1, 3600, 5), "udp:h:1")
    inside = apply((), request("cparam02"), 0.0, Limits(1, 3600, 5), "udp:h:1")
    assert not isinstance(outside, Refusal)
    assert not isinstance(inside, Refusal)
    assert str(outside[0].uri) == "sip:+19725552222@gw1.example.net"
    assert str(inside[0].uri) == "sip:+19725552222@gw1.example.net;unknownparam"


def test_regescrt_escaped_route_stays_in_the_contact() -> None:
    bindings = apply((), request("regescrt"), 0.0, Limits(1, 3600, 5), "udp:h:1")
    assert not isinstance(bindings, Refusal)
    assert bindings[0].uri.headers == "Route=%3Csip:sip.example.com%3E"


def test_sdp01_an_accept_without_sdp() -> None:
    m = request("sdp01")
    assert refusal(m, METHODS, ()) is None
    assert parse_sdp(m.body).audio is not None


# --- 3.4: RFC 2543


def test_inv2543_an_old_invite_is_read() -> None:
    m = request("inv2543")
    assert m.from_.tag is None
    assert m.top_via.branch is None
    assert m.max_forwards is None
    assert str(m.record_routes[0].uri) == "sip:UserB@example.com;maddr=ss1.example.com"


@pytest.mark.parametrize("name", NAMES)
def test_no_truncation_breaks_the_parser(name: str) -> None:
    octets = message(name)
    for end in range(0, len(octets), 7):
        try:
            parse_datagram(octets[:end])
        except SipParseError as e:
            assert e.what
        except SipSyntaxError as e:
            raise AssertionError(f"{name}[:{end}]") from e
