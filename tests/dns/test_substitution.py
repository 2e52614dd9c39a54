"""NAPTR substitution expressions: what they do, what is refused, and that none takes long."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sip.errors import SipSyntaxError
from gateway.sip.substitution import LONGEST_RESULT, Substitution, parse_substitution

NUMBER = "+441632960083"


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("!^.*$!sip:info@example.org!", "sip:info@example.org"),
        ("/^.*$/sip:info@example.org/", "sip:info@example.org"),
        ("#^.*$#sip:info@example.org#i", "sip:info@example.org"),
        (r"!^\+44(.*)$!sip:0\1@example.org!", "sip:01632960083@example.org"),
        (r"!^(\+..)(....)(.*)$!sip:\3-\2-\1@example.org!", "sip:960083-1632-+44@example.org"),
        (r"!^(.)(.)(.)(.)(.)(.)(.)(.)(.).*$!\9\8\7\6\5\4\3\2\1!", "69236144+"),
        (r"!^.*$!sip:a\!b\\c@example.org!", "sip:a!b\\c@example.org"),
        (r"!^\+44|x\!y$!sip:a@b!", "sip:a@b"),
        ("!^[+][[:digit:]]{12}$!sip:a@b!", "sip:a@b"),
        ("!^(x)?.*$!sip:a\\1b@c!", "sip:ab@c"),
        ("!^X?!A!i", "A"),
        ("!^\\+49!sip:a@b!", None),
        # the longest match counts, not the first one that is tried
        (r"!\+(4|44)!\1!", "44"),
        (r"|^(\+44\|x)|\1|", "+44"),
        ("!.*!!", ""),
    ],
)
def test_substitutions(expression: str, result: str | None) -> None:
    assert parse_substitution(expression).apply(NUMBER) == result


def test_case() -> None:
    assert parse_substitution("!^ABC$!x!").apply("abc") is None
    assert parse_substitution("!^ABC$!x!i").apply("abc") == "x"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "bad delimiter"),
        *((f"{d}a{d}b{d}", "bad delimiter") for d in "\\19i"),
        ("!", "not delimiter, pattern"),
        ("!^.*$", "not delimiter, pattern"),
        ("!^.*$!sip:a@b", "not delimiter, pattern"),
        ("!^.*$!sip:a@b!!", "not delimiter, pattern"),
        # a delimiter is one within brackets too
        ("/^[+/]44/sip:a@b/", "not delimiter, pattern"),
        ("!a!b!x", "bad flags 'x'"),
        ("!a!b!ii", "bad flags 'ii'"),
        ("!!sip:a@b!", "no pattern"),
        (r"!^.*$!sip:\0@b!", r"bad escape \0"),
        (r"!^.*$!sip:\n@b!", r"bad escape \n"),
        ("!^.*$!" + "x" * 250 + "!", "an expression too long"),
    ],
)
def test_no_expressions(expression: str, said: str) -> None:
    with pytest.raises(SipSyntaxError, match=re.escape(said)):
        parse_substitution(expression)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (r"!^(.*)$!\2!", "a group that '^(.*)$' does not have"),
        ("!(!x!", "bad pattern '(': missing )"),
        ("![z-a]!x!", "bad pattern '[z-a]'"),
        (r"!^\d+$!x!", "bad pattern"),
        (r"!(.)\1!x!", "bad pattern"),
        ("!(?=a)!x!", "bad pattern"),
        ("!((a{999}){999}){999}!x!", "bad pattern"),
    ],
)
def test_patterns_that_cannot_be_used(expression: str, said: str) -> None:
    with pytest.raises(SipSyntaxError, match=re.escape(said)):
        parse_substitution(expression).apply(NUMBER)


def test_a_result_has_an_end() -> None:
    grows = Substitution("^(.*)$", (1,) * (LONGEST_RESULT // 10))
    with pytest.raises(SipSyntaxError, match="a result too long"):
        grows.apply(NUMBER)
    with pytest.raises(SipSyntaxError, match="a text too long"):
        grows.apply("1" * 1000)


HOSTILE = [
    "(a|a)*" * 30 + "$x",
    "^" + "(([+0-9])*)*" * 15 + "$x",
    "(" * 50 + "[0-9]" + "*)" * 50 + "x",
    "(.*)" * 40 + "x",
    "(.?){200}" + "." * 200 + "x",
    "[^!-~]{250}",
    "([0-9]{1,250}){1,250}x",
    "(" * 120 + ")" * 120,
    "|" * 250,
    "^(" + "(0|1)?" * 30 + ")*$",
]


@pytest.mark.parametrize("pattern", HOSTILE)
def test_no_pattern_takes_long(pattern: str) -> None:
    """Backtracking would take years for most of these; a tenth of a second is far from both."""
    began = perf_counter()
    for text in (NUMBER, "0" * 255, "a" * 255):
        try:
            Substitution(pattern, ("x",)).apply(text)
        except SipSyntaxError as e:
            assert "bad pattern" in str(e)
    assert perf_counter() - began < 1


@given(st.text(max_size=300), st.text("+0123456789", max_size=16))
def test_any_text_is_an_expression_or_told(expression: str, number: str) -> None:
    try:
        result = parse_substitution(expression).apply(number)
    except SipSyntaxError:
        return
    assert result is None or len(result) <= LONGEST_RESULT


_pieces = st.sampled_from(
    [*"()[]{}*+?|^$.\\!-,", "\\1", "\\2", "{2}", "{1,9}", "[0-9]", "[[:alpha:]]", "(.*)", "4"]
)


@given(st.lists(_pieces, max_size=40).map("".join), st.lists(_pieces, max_size=10).map("".join))
def test_any_pattern_works_or_is_told(pattern: str, replacement: str) -> None:
    try:
        result = parse_substitution(f"~{pattern}~{replacement}~").apply(NUMBER)
    except SipSyntaxError:
        return
    assert result is None or isinstance(result, str)


_plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(_plain, st.sampled_from("!/#%~"))
def test_a_quoted_replacement_comes_out_as_it_was(text: str, delimiter: str) -> None:
    quoted = "".join(f"\\{c}" if c in ("\\", delimiter) else c for c in text)
    expression = f"{delimiter}^.*${delimiter}{quoted}{delimiter}"
    assert parse_substitution(expression).apply(NUMBER) == text
