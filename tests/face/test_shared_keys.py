"""One key set serves several plans that were compiled with one chain."""

from pathlib import Path

import numpy as np
import pytest

import hecc
from hecc.runtime.ckks.circuit.parameters import union

DEEP = ((16,), ("gemm", 12), ("square",), ("gemm", 8), ("square",), ("gemm", 3))
FLAT = ((20,), ("gemm", 9), ("square",), ("gemm", 4))


@pytest.fixture(scope="module")
def deep(network) -> hecc.Plan:
    return hecc.compile(network(*DEEP))


@pytest.fixture(scope="module")
def flat(network, deep) -> hecc.Plan:
    return hecc.compile(network(*FLAT), chain_of=deep)


def test_the_chain_is_the_other_plans_and_less_of_it_is_used_where_less_is_needed(deep, flat) -> None:
    first, second = deep.header.keys, flat.header.keys
    for name in ("ring_degree", "data_primes", "special_primes", "digit_limbs"):
        assert getattr(first, name) == getattr(second, name)
    assert flat.header.inputs[0].limbs < deep.header.inputs[0].limbs
    assert flat.header.estimate.precision_bits >= 12


@pytest.mark.parametrize("shape", ["native", "seal"])
def test_one_key_set_serves_both(shape, deep, flat, network, tmp_path: Path) -> None:
    flat.client().save(tmp_path / "flat.bin")
    keys = hecc.Client(deep).keygen(tmp_path / "keys", device=shape, others=[tmp_path / "flat.bin"])
    generator = np.random.default_rng(0)
    for plan, size in ((deep, 16), (flat, 20)):
        rows = generator.uniform(-1, 1, (2, size))
        client = hecc.Client(plan, tmp_path / "keys")
        result = hecc.Server(plan, keys.evaluation).run(client.encrypt(rows))
        (name,) = (output.name for output in plan.header.outputs)
        clear = hecc.simulate(plan, rows)[name]
        np.testing.assert_allclose(client.decrypt(result)[name], clear, atol=2**-10 * max(1, np.abs(clear).max()))


def test_results_of_both_may_be_shown_to_others(network) -> None:
    deep = hecc.compile(network(*DEEP), precision=8, disclose=10)
    flat = hecc.compile(network(*FLAT), precision=8, disclose=10, chain_of=deep)
    first, second = deep.header.keys, flat.header.keys
    assert (first.data_primes, first.special_primes) == (second.data_primes, second.special_primes)
    assert flat.header.inputs[0].limbs < deep.header.inputs[0].limbs
    assert flat.header.disclosure.results == 10
    assert flat.header.estimate.precision_bits >= 8


def test_shared_keys_are_fewer_than_both(deep, flat) -> None:
    both = union(deep.header.keys, flat.header.keys)
    elements = [{key.element: key.limbs for key in keys.galois} for keys in (deep.header.keys, flat.header.keys)]
    assert {key.element for key in both.galois} == elements[0].keys() | elements[1].keys()
    assert all(key.limbs == max(own.get(key.element, 0) for own in elements) for key in both.galois)
    assert union(both, flat.header.keys) == both
    assert len(both.galois) < sum(map(len, elements))


def test_keys_of_one_plan_do_not_serve_the_other(deep, flat, tmp_path: Path) -> None:
    keys = hecc.Client(flat).keygen(tmp_path / "keys")
    with pytest.raises(hecc.KeyMismatchError, match="make keys for this plan"):
        hecc.Server(deep, keys.evaluation)


def test_plans_of_different_chains_have_no_keys_in_common(deep, network, tmp_path: Path) -> None:
    other = hecc.compile(network(*FLAT))
    with pytest.raises(hecc.KeyMismatchError, match="--chain-of the other"):
        hecc.Client(deep).keygen(tmp_path / "keys", others=[other])
    assert not (tmp_path / "keys" / "secret.bin").exists()


def test_a_chain_that_is_too_short_is_refused(flat, network) -> None:
    own = hecc.compile(network(*FLAT))
    with pytest.raises(hecc.CompileError, match="primes of the other plan do not give"):
        hecc.compile(network(*DEEP), chain_of=own)


def test_another_level_of_security_is_refused(deep, network) -> None:
    with pytest.raises(hecc.InputError, match="ask for the same here"):
        hecc.compile(network(*FLAT), chain_of=deep, security=192)
