"""PASSporTs and Identity headers: the RFCs' examples, what is refused, and anything at all."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.errors import SipSyntaxError
from gateway.sip.passport import (
    MAX_VALUE,
    Party,
    Passport,
    SignedIdentity,
    canonical_number,
    identity_value,
    parse_identity,
    party,
    signing_input,
    sip_date,
    split_identities,
)

# RFC 8225, appendix A
KEY_OF_RFC_8225 = b"""-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFeZ1R208QCvcu5GuYyMfG4W7sH4m99/7eHSDLpdYllFoAoGCCqGSM49
AwEHoUQDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH78YTU8qLS8I5HLHSSmlATLcs
lQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==
-----END EC PRIVATE KEY-----
"""
HEADER_OF_RFC_8225 = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9j"
    "ZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9"
)
APPENDIX_A = (
    f"{HEADER_OF_RFC_8225}."
    "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI"
    "6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19."
    "VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUkqk79UD81fHQ0E1b3_GluIkb"
    "a7UWYRM47ZbNFdOJquE35cw"
)
SECTION_7_1 = (
    f"{HEADER_OF_RFC_8225}."
    "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI"
    "6IjE0NDMyMDgzNDUiLCJvcmlnIjp7InRuIjoiMTIxNTU1NTEyMTIifX0."
    "rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojN"
    "CpTzO3QfPOlckGaS6hEck7w"
)
INFO = "info=<https://cert.example.org/passport.cer>"
URL = "https://cert.example.org/passport.cer"

CALLER, CALLEE = Party("tn", "12155551212"), Party("tn", "12155550131")
SHAKEN = Passport(
    URL, 1443208345, CALLER, (CALLEE,), "shaken", "A", "123e4567-e89b-12d3-a456-426655440000"
)


def key_of_rfc_8225() -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(KEY_OF_RFC_8225, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


KEY = key_of_rfc_8225()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(header: Any, claims: Any, signature: bytes = bytes(64)) -> str:
    parts = (v if isinstance(v, bytes) else json.dumps(v).encode() for v in (header, claims))
    return ".".join(map(b64, (*parts, signature)))


HEADER = {"alg": "ES256", "typ": "passport", "ppt": "shaken", "x5u": URL}
CLAIMS = {
    "attest": "A",
    "dest": {"tn": ["12155550131"]},
    "iat": 1443208345,
    "orig": {"tn": "12155551212"},
    "origid": "123e4567-e89b-12d3-a456-426655440000",
}


# --- the examples ---------------------------------------------------------------------------


def test_appendix_a_of_rfc_8225() -> None:
    read = parse_identity(f"{APPENDIX_A};{INFO}")
    passport = Passport(URL, 1471375418, CALLER, (Party("uri", "sip:alice@example.com"),))
    assert read.passport == passport
    # our own form of the same claims is theirs, to the octet
    assert signing_input(passport) == read.signed
    again = parse_identity(identity_value(passport, KEY))
    assert (again.passport, again.signed) == (passport, read.signed)
    assert again.fits(KEY.public_key())


def test_the_example_of_rfc_8225_section_7_whose_iat_is_a_text() -> None:
    read = parse_identity(f"{SECTION_7_1};{INFO}")
    assert read.passport is not None
    assert read.passport.iat == 1443208345
    assert read.fits(KEY.public_key())
    signature = SECTION_7_1.rpartition(".")[2]
    compact = parse_identity(f"..{signature};{INFO}")
    assert (compact.passport, compact.signed) == (None, b"")
    assert compact.signature == read.signature


@pytest.mark.parametrize("iat", [1443208345, "1443208345"])  # erratum 6656
def test_the_example_of_rfc_8588_section_6(iat: object) -> None:
    text = token(HEADER, {**CLAIMS, "iat": iat, "orig": {"tn": "12155550121"}})
    read = parse_identity(f"{text};{INFO};alg=ES256;ppt=shaken")
    assert read.passport == Passport(
        URL,
        1443208345,
        Party("tn", "12155550121"),
        (CALLEE,),
        "shaken",
        "A",
        "123e4567-e89b-12d3-a456-426655440000",
    )


def test_shaken_as_it_is_written() -> None:
    header, payload, signature = identity_value(SHAKEN, KEY).partition(";")[0].split(".")
    assert base64.urlsafe_b64decode(header + "==") == (
        b'{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"' + URL.encode() + b'"}'
    )
    assert base64.urlsafe_b64decode(payload + "==") == (
        b'{"attest":"A","dest":{"tn":["12155550131"]},"iat":1443208345,'
        b'"orig":{"tn":"12155551212"},"origid":"123e4567-e89b-12d3-a456-426655440000"}'
    )
    assert len(signature) == 86
    assert identity_value(SHAKEN, KEY).endswith(f";{INFO};alg=ES256;ppt=shaken")


def test_several_destinations_are_sorted_and_grouped() -> None:
    dest = (Party("uri", "sip:z@b"), Party("tn", "2"), Party("uri", "sip:a@b"), Party("tn", "1"))
    payload = signing_input(Passport(URL, 1, CALLER, dest)).split(b".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=="))
    assert claims["dest"] == {"tn": ["1", "2"], "uri": ["sip:a@b", "sip:z@b"]}


def test_compact_form_comes_back_with_what_the_request_says() -> None:
    plain = Passport(URL, 1443208345, CALLER, (CALLEE,))
    text = identity_value(plain, KEY, compact=True)
    assert text.startswith("..")
    read = parse_identity(text)
    assert read.completed(CALLER, (CALLEE,), 1443208345).fits(KEY.public_key())
    assert not read.completed(CALLER, (CALLEE,), 1443208346).fits(KEY.public_key())
    assert not read.completed(CALLEE, (CALLEE,), 1443208345).fits(KEY.public_key())
    shaken = parse_identity(identity_value(SHAKEN, KEY, compact=True))
    with pytest.raises(SipSyntaxError, match="shaken has no compact form"):
        shaken.completed(CALLER, (CALLEE,), 1443208345)


def test_an_extension_that_is_not_known_is_told_by_its_name_alone() -> None:
    text = token({**HEADER, "ppt": "div"}, {"div": {"tn": "1"}})
    read = parse_identity(f'{text};{INFO};ppt="div"')
    assert (read.ppt, read.passport) == ("div", None)


# --- who ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+12155551212", "12155551212"),
        ("+1 (215) 555-1212", "12155551212"),
        ("1.215.555.1212", "12155551212"),
        ("911", "911"),
        ("*69", "*69"),
        ("#31", "#31"),
        ("*21#", "*21#"),
    ],
)
def test_numbers_in_canonical_form(text: str, number: str) -> None:
    assert canonical_number(text) == number


@pytest.mark.parametrize("text", ["", "+", "alice", "++1", "1" * 32, "12a", "١٢٣", " " * 100 + "1"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(SipSyntaxError, match="is no telephone number"):
        canonical_number(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+12155551212", Party("tn", "12155551212")),
        ("tel:+1-215-555-1212;cic=1", Party("tn", "12155551212")),
        ("sip:+12155551212@example.com", Party("tn", "12155551212")),
        ("sip:+12155551212;npdi@example.com:5070;user=phone", Party("tn", "12155551212")),
        ("sip:911@example.com;user=phone", Party("tn", "911")),
        ("sip:%2B12155551212@example.com;user=phone", Party("tn", "12155551212")),
        ("sip:1001@Example.COM:5070;transport=tcp", Party("uri", "sip:1001@example.com")),
        ("sips:alice@example.com", Party("uri", "sips:alice@example.com")),
    ],
)
def test_whom_a_request_names(text: str, found: Party) -> None:
    assert party(text) == found


@pytest.mark.parametrize("text", ["sip:example.com", "mailto:a@b.c", "sip:", "tel:alice", "a:b"])
def test_whom_nothing_can_be_signed_for(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        party(text)


def test_the_date_of_a_request() -> None:
    assert sip_date(" Tue, 16 Aug 2016 19:23:38 GMT ") == 1471375418


@pytest.mark.parametrize(
    "text", ["", "now", "Tue, 16 Aug 2016 19:23:38", "Tue, 32 Aug 2016 19:23:38 GMT", "1471375418"]
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(SipSyntaxError, match="is no Date"):
        sip_date(text)


# --- what is refused ------------------------------------------------------------------------

GOOD = token(HEADER, CLAIMS)


def claims(**other: Any) -> str:
    return token(HEADER, {**CLAIMS, **other})


def header(**other: Any) -> str:
    return token({**HEADER, **other}, CLAIMS)


def without(name: str) -> str:
    return token(HEADER, {k: v for k, v in CLAIMS.items() if k != name})


BROKEN: dict[str, str] = {
    "": "does not begin",
    "a.b": "does not begin",
    "a b.c.d": "does not begin",
    f"{GOOD}": "needs info",
    f"{GOOD};alg=ES256": "needs info",
    f"{GOOD};info={URL}": "stands in angle brackets",
    f'{GOOD};info="x"': "stands in angle brackets",
    f"{GOOD};{INFO};ppt=<shaken>": "stands in angle brackets",
    f"{GOOD};info=<https://{'x' * 1024}>": "needs info",
    f"{GOOD};info=<https://é.example>": "ASCII",
    f"{GOOD};{INFO};{INFO}": "there twice in Identity",
    f"{GOOD};{INFO};ppt=shaken,": "bad parameter",
    f"{GOOD};info=<https://other.example/>;ppt=shaken": "info of the Identity header",
    f"{GOOD};{INFO};ppt=shaken;alg=RS256": "alg of the Identity header",
    f"{GOOD};{INFO}": "ppt of the Identity header",
    f"{GOOD}=;{INFO};ppt=shaken": "bad parameter",
    f"{GOOD[:-1]}B;{INFO};ppt=shaken": "in its one form",
    f"{GOOD}AAA;{INFO};ppt=shaken": "base64url",
    f"x{GOOD};{INFO};ppt=shaken": "a part of the PASSporT is not",
    f".{GOOD.partition('.')[2]};{INFO};ppt=shaken": "not JSON",
    "A" * (MAX_VALUE + 1): "more than 8192",
}
FULL: dict[str, str] = {
    token([], CLAIMS): "not a JSON object",
    token(HEADER, 7): "not a JSON object",
    token(HEADER, b"\xff\xff"): "not JSON",
    token(HEADER, b"[" * 3000): "not JSON",
    token(HEADER, b'{"iat":NaN}'): "not JSON",
    token(HEADER, b'{"iat":' + b"9" * 5000 + b"}"): "not JSON",
    token(HEADER, b'{"iat":1,"iat":2}'): "a key twice",
    token(HEADER, b'{"orig":{"tn":"1","tn":"2"}}'): "a key twice",
    header(typ="JWT"): "typ is not passport",
    header(crit=["b64"]): "extension that is not known",
    header(x5u=7): "x5u of the PASSporT is not a text",
    header(alg=None): "alg of the PASSporT is not a text",
    header(ppt=["shaken"]): "ppt of the PASSporT is not a text",
    without("iat"): "iat of the PASSporT",
    without("orig"): "orig of the PASSporT",
    without("dest"): "dest of the PASSporT",
    without("attest"): "attest is none of",
    without("origid"): "origid of the PASSporT",
    claims(iat=True): "iat of the PASSporT",
    claims(iat=1.5): "iat of the PASSporT",
    claims(iat=-1): "iat of the PASSporT",
    claims(iat=10**13): "iat of the PASSporT",
    claims(iat="now"): "iat of the PASSporT",
    claims(attest="D"): "attest is none of",
    claims(attest=["A"]): "attest is none of",
    claims(origid="x" * 129): "origid of the PASSporT",
    claims(origid="a\nb"): "origid of the PASSporT",
    claims(orig={"tn": ["1"]}): "orig of the PASSporT",
    claims(orig={"tn": "1", "uri": "sip:a@b"}): "orig of the PASSporT",
    claims(orig={"tn": "alice"}): "is no telephone number",
    claims(orig={"uri": "sip:\ud800@b"}): "or odd ones",
    claims(dest={}): "does not name 1 to",
    claims(dest={"tn": []}): "does not name 1 to",
    claims(dest={"tn": "12155550131"}): "no list of texts",
    claims(dest={"tn": [12155550131]}): "no list of texts",
    claims(dest=["12155550131"]): "not an object",
    claims(dest={"tn": ["1"] * 33}): "does not name 1 to 32",
}


@pytest.mark.parametrize(
    ("text", "problem"),
    [*BROKEN.items(), *((f"{t};{INFO};ppt=shaken", p) for t, p in FULL.items())],
)
def test_what_is_refused_and_why(text: str, problem: str) -> None:
    with pytest.raises(SipSyntaxError, match=problem):
        parse_identity(text)


def test_the_good_one_of_which_those_are_made() -> None:
    assert parse_identity(f"  {GOOD} ; {INFO} ;alg=ES256 ; ppt = shaken").passport == SHAKEN
    assert parse_identity(f'{GOOD};{INFO};alg="ES256";ppt="shaken";x=y').passport == SHAKEN


@pytest.mark.parametrize("length", [1, 63, 65, 128])
def test_a_signature_of_another_length_fits_nothing(length: int) -> None:
    text = token(HEADER, CLAIMS, bytes([1]) * length)
    assert not parse_identity(f"{text};{INFO};ppt=shaken").fits(KEY.public_key())


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64])
def test_numbers_that_are_none_of_the_curve_fit_nothing(signature: bytes) -> None:
    text = token(HEADER, CLAIMS, signature)
    assert not parse_identity(f"{text};{INFO};ppt=shaken").fits(KEY.public_key())


def test_every_octet_that_was_signed_counts() -> None:
    text = identity_value(SHAKEN, KEY)
    end = text.index(";")
    for at in range(0, end, 7):
        other = "A" if text[at] != "A" else "B"
        try:
            read = parse_identity(text[:at] + other + text[at + 1 :])
        except SipSyntaxError:
            continue
        assert not read.fits(KEY.public_key()), at


def test_every_truncation_is_refused() -> None:
    text = identity_value(SHAKEN, KEY)
    for end in range(len(text)):
        try:
            read = parse_identity(text[:end])
        except SipSyntaxError:
            continue
        # nothing is lost but letters of ppt: an extension that is not known
        assert (read.passport, read.ppt) == (None, "shaken"[: end - len(text)])


def test_several_headers_and_several_values_in_one() -> None:
    one, two = f"a.b.c;{INFO}", "d.e.f;info=<https://x.example/a,b>"
    assert split_identities([f"{one}, {two}", one]) == (one, two, one)
    assert split_identities([]) == ()
    assert split_identities([" , "]) == ()


# --- anything at all --------------------------------------------------------------------------


def only_syntax(read: Callable[[], object]) -> None:
    with contextlib.suppress(SipSyntaxError):
        read()


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    only_syntax(lambda: parse_identity(text))
    only_syntax(lambda: party(text))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*CLAIMS, *HEADER), JSON)))
def test_any_claims(found: dict[str, Any]) -> None:
    def read() -> SignedIdentity:
        return parse_identity(f"{token({**HEADER, **found}, found)};{INFO};ppt=shaken")

    only_syntax(read)


numbers = st.from_regex(r"[0-9]{1,15}", fullmatch=True).map(lambda n: Party("tn", n))
uris = st.from_regex(r"sip:[a-z0-9.]{1,20}@[a-z][a-z0-9.]{0,20}", fullmatch=True).map(
    lambda u: Party("uri", u)
)


@given(
    st.builds(
        Passport,
        x5u=st.just(URL),
        iat=st.integers(0, 10**12 - 1),
        orig=numbers | uris,
        dest=st.lists(numbers | uris, min_size=1, max_size=5).map(
            lambda found: tuple(sorted(found, key=lambda p: (p.kind, p.value)))
        ),
        ppt=st.just("shaken"),
        attest=st.sampled_from(["A", "B", "C"]),
        origid=st.text(st.characters(blacklist_categories=["C", "Z"]), min_size=1, max_size=128),
    )
)
def test_what_is_written_is_read_again(passport: Passport) -> None:
    read = parse_identity(identity_value(passport, KEY))
    assert read.passport == passport
    assert read.fits(KEY.public_key())
