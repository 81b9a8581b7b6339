"""Headers: strict, canonical, exact."""

import json
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hecc.runtime.errors import FileFormatError
from hecc.runtime.files import codec


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scale: Fraction
    low: float = 0.0


@given(st.fractions(min_value=Fraction(1, 10**30), max_value=10**30))
def test_a_scale_survives_exactly(scale):
    assert codec.decode(codec.encode(Header(scale)), Header, where="here").scale == scale


@pytest.mark.parametrize(
    "text", ["0/1", "1/0", "-1/2", "1", "1/2 ", "01/2", "1/2/3", "", "½", "٣/4", "1e5/1", "9" * 4301 + "/1"]
)
def test_what_is_no_positive_fraction_is_refused(text):
    data = json.dumps({"scale": text, "low": 0.0}, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(FileFormatError, match=r"here has a malformed field \(expected a positive fraction such as"):
        codec.decode(data, Header, where="here")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"scale":"1/2"}', "is not in canonical form"),
        (b'{"low":0.0,"scale":"1/2"}', "is not in canonical form"),
        (b'{"scale":"2/4","low":0.0}', "is not in canonical form"),
        (b'{"scale":"1/2","low":0}', "is not in canonical form"),
        (b'{"scale":"1/2", "low":0.0}', "is not in canonical form"),
        (b'{"scale":"1/2","low":0.0,"low":0.0}', "is not in canonical form"),
        (b'{"scale":"1/2","low":0.0,"more":1}', "unknown field `more`"),
        (b'{"low":0.0}', "missing required field `scale`"),
        (b'{"scale":0.5,"low":0.0}', r"scale"),
        (b'{"scale":"1/2","low":NaN}', "malformed"),
        (b'{"scale":"1/2","low":1e999}', "malformed"),
        (b'{"scale":"1/2","low":null}', "Expected `float`, got `null`"),
        (b"[" * 100_000, "malformed"),
        (b"\xff", "malformed"),
        (b"", "malformed"),
    ],
)
def test_what_is_not_canonical_or_not_a_header_is_refused(data, problem):
    with pytest.raises(FileFormatError, match=problem) as refusal:
        codec.decode(data, Header, where="a.bin: the header")
    assert str(refusal.value).startswith("a.bin: the header ")


def test_normalising_gives_what_a_file_gives_back():
    written = Header(Fraction(1, 2), low=3)
    assert type(codec.normalise(written).low) is float
    assert codec.fingerprint(codec.normalise(written)) != codec.fingerprint(written)


def test_only_fractions_have_an_encoding_of_their_own():
    with pytest.raises(NotImplementedError, match="cannot hold a complex"):
        codec.encode(1j)


def test_a_message_quotes_a_file_as_a_terminal_can_print_it():
    data = json.dumps({"scale": "1/2", "low": 0.0, "\x1b[2J" + "x" * 1000: 1}, separators=(",", ":")).encode()
    with pytest.raises(FileFormatError) as refusal:
        codec.decode(data, Header, where="here")
    assert str(refusal.value).isprintable()
    assert r"\x1b[2J" in str(refusal.value)
    assert len(str(refusal.value)) < 500
