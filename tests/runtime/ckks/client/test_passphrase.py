"""A passphrase opens what it closed, and nothing else does."""

import pytest

from hecc.runtime.ckks.client.passphrase import new_protection, protect, unprotect
from hecc.runtime.errors import InputError

CHEAP = new_protection(log2_cost=14)


def test_the_passphrase_opens_it():
    sealed = protect(b"secret", "correct horse", CHEAP, b"header")
    assert b"secret" not in sealed
    assert unprotect(sealed, "correct horse", CHEAP, b"header") == b"secret"


def test_how_the_keyboard_composes_a_letter_does_not_matter():
    assert unprotect(protect(b"secret", "cl\u00e9", CHEAP, b""), "cle\u0301", CHEAP, b"") == b"secret"


@pytest.mark.parametrize(
    ("passphrase", "bound", "flip"),
    [("other", b"header", 0), ("correct horse", b"headex", 0), ("correct horse", b"header", 1)],
)
def test_another_passphrase_header_or_byte_does_not(passphrase, bound, flip):
    sealed = bytearray(protect(b"secret", "correct horse", CHEAP, b"header"))
    sealed[2] ^= flip
    with pytest.raises(
        InputError, match="the passphrase does not open this secret key, or the file was altered; type it"
    ):
        unprotect(bytes(sealed), passphrase, CHEAP, bound)


def test_an_empty_passphrase_is_refused():
    with pytest.raises(InputError, match="the passphrase is empty"):
        protect(b"secret", "", CHEAP, b"")


def test_every_key_has_its_own_salt_and_nonce():
    made = [new_protection() for _ in range(20)]
    assert len({p.salt for p in made}) == len({p.nonce for p in made}) == 20
    assert all(p.log2_cost == 17 for p in made)
