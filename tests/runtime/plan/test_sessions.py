"""What every scheme's sessions have in common: addresses, and the sentences about how they ended."""

import pytest

from hecc.runtime.errors import InputError, PeerError
from hecc.runtime.plan.sessions import Address, Ended, load_sessions


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:7000", "localhost", 7000),
        ("10.0.0.1:0", "10.0.0.1", 0),
        ("[::1]:65535", "::1", 65535),
        ("a-b.example.org:1", "a-b.example.org", 1),
    ],
)
def test_addresses_are_read_and_written_alike(text, host, port):
    assert Address.of(text) == (host, port)
    assert str(Address.of(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "localhost:", ":7000", "localhost:65536", "localhost:-1", "::1:7000", "[::1]", "a b:1", "a:1\n"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InputError, match="is no address; give HOST:PORT"):
        Address.of(text)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Ended(evaluated=1), "evaluated 1 row"),
        (Ended(evaluated=2), "evaluated 2 rows"),
        (Ended(prepared=1), "prepared 1 block of material"),
        (Ended(prepared=3, evaluated=2), "prepared 3 blocks of material, evaluated 2 rows"),
        (Ended(dealt=4, role="client"), "dealt the client's half of 4 blocks"),
        (Ended(), "refused a client, and told it why"),
        (Ended(error=PeerError("it left")), "a session ended early: it left"),
    ],
)
def test_how_a_session_ended_is_a_sentence(end, words):
    assert end.words == words


def test_schemes_without_sessions_say_what_to_do_instead():
    with pytest.raises(InputError, match=r"plans of the scheme ckks have no sessions.*--scheme sharing"):
        load_sessions("ckks")
    assert load_sessions("sharing") is load_sessions("sharing")
