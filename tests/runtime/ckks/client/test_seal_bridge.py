"""Keys cut down to the limbs of a ciphertext: what the small contexts encrypt is what the server's chain expects."""

import msgspec
import numpy as np
import pytest
from tenseal import sealapi

from hecc.runtime.ckks.circuit.security import ntt_primes
from hecc.runtime.ckks.client.seal_bridge import KeyMaker, LevelCipher, public_residues
from hecc.runtime.ckks.devices.seal.streams import load_stream, make_context, save_stream
from hecc.runtime.errors import FileFormatError

RNG = np.random.default_rng(3)
SCALE = 2.0**30


@pytest.fixture(scope="module", params=[1, 2], ids=["one special prime", "two special primes"])
def spec(request, insecure_plan):
    keys = insecure_plan.header.keys
    special = ntt_primes(40, keys.ring_degree, request.param, exclude=keys.data_primes)
    return msgspec.structs.replace(keys, special_primes=special)


@pytest.fixture(scope="module")
def maker(spec):
    return KeyMaker(spec, enforce_128=False)


@pytest.mark.parametrize("limbs", [1, 2, 3])
@pytest.mark.parametrize("kind", ["secret", "public"])
def test_every_level_of_the_servers_chain_can_be_encrypted_and_decrypted(spec, maker, limbs, kind):
    keys = {"secret": maker.secret_residues()}
    if kind == "public":
        keys = {"public": public_residues(spec, maker.public(), enforce_128=False)}
    values = RNG.uniform(-1, 1, 512)
    stream = LevelCipher(spec, limbs, enforce_128=False, **keys).encrypt(values, SCALE)
    # The server has the chain of all data primes and one special prime.
    chain = make_context(spec.ring_degree, (*spec.data_primes, spec.special_primes[0]), expand=True, enforce_128=False)
    ciphertext = sealapi.Ciphertext()
    load_stream(ciphertext, chain, stream)
    assert ciphertext.coeff_modulus_size() == limbs
    # Saved by the server, it is no longer seeded.
    decrypted = LevelCipher(spec, limbs, enforce_128=False, secret=maker.secret_residues()).decrypt(
        save_stream(ciphertext), SCALE
    )
    np.testing.assert_allclose(decrypted, values, atol=1e-5)


def coefficients(row, prime):
    """The polynomial behind residues in SEAL's NTT order: bit-reversed, by the minimal primitive 2N-th root."""
    degree = len(row)
    roots = (pow(g, (prime - 1) // (2 * degree), prime) for g in range(2, 100))
    some = next(root for root in roots if pow(root, degree, prime) == prime - 1)
    minimal = min(pow(some, odd, prime) for odd in range(1, 2 * degree, 2))
    powers = np.array([pow(minimal, -k, prime) for k in range(2 * degree)], dtype=object)
    bits = degree.bit_length() - 1
    odd = np.array([2 * int(f"{i:0{bits}b}"[::-1], 2) + 1 for i in range(degree)])
    values = row.astype(object)
    found = [values @ powers[odd * j % (2 * degree)] * pow(degree, -1, prime) % prime for j in range(degree)]
    return [c - prime if c > prime // 2 else c for c in found]


def test_the_secret_is_one_ternary_polynomial_modulo_every_prime(spec, maker):
    residues = maker.secret_residues()
    primes = (*spec.data_primes, *spec.special_primes)
    assert residues.shape == (len(primes), spec.ring_degree)
    first, last = (coefficients(residues[i], primes[i]) for i in (0, -1))
    assert first == last
    assert set(first) == {-1, 0, 1}
    assert 0.6 < np.count_nonzero(first) / spec.ring_degree < 0.73


def test_public_keys_are_seeded_and_all_different(spec, maker):
    streams = [maker.public() for _ in range(3)]
    residues = [public_residues(spec, stream, enforce_128=False) for stream in streams]
    assert len(streams[0]) < 0.6 * residues[0].nbytes
    assert len({r.tobytes() for r in residues}) == 3


def test_a_key_of_another_ring_is_refused(spec, maker):
    other = msgspec.structs.replace(spec, data_primes=spec.data_primes[::-1])
    with pytest.raises(FileFormatError, match="SEAL refuses a stream"):
        public_residues(other, maker.public(), enforce_128=False)


def test_every_galois_key_is_its_own_and_seeded(spec, maker):
    context = make_context(spec.ring_degree, (*spec.data_primes, *spec.special_primes), expand=False, enforce_128=False)
    keys = sealapi.GaloisKeys()
    stream = maker.galois(9)
    load_stream(keys, context, stream)
    assert keys.has_key(9)
    assert not keys.has_key(3)
    assert len(stream) < 0.6 * len(save_stream(keys))
