"""Raising: to the bit what big integers say, and on real ciphertexts the message and small multiples of a prime."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from hecc.compiler.ckks.lowering import assembly
from hecc.compiler.ckks.prediction.cost import instruction_costs
from hecc.compiler.ckks.prediction.devices import DEVICE_MODELS
from hecc.measure.roofline import count_work
from hecc.runtime.ckks.circuit.instructions import Circuit, Input, Output, Raise
from hecc.runtime.ckks.circuit.parameters import KeyLayout, KeySpecification
from hecc.runtime.ckks.circuit.security import InsecureLevel
from hecc.runtime.ckks.client.keygen import generate_keys, secret_residues
from hecc.runtime.ckks.client.seal_bridge import LevelCipher
from hecc.runtime.ckks.devices.native.engine import NativeEngine
from hecc.runtime.ckks.devices.native.streams import read_ciphertext
from hecc.runtime.ckks.keys.keyfiles import EvaluationKeyFile, SecretKeyFile
from hecc.runtime.ckks.keys.switching_keys import layout_bytes, residues
from hecc.runtime.ckks.readings.clear import Simulator
from hecc.runtime.ckks.readings.noise_bound import worst_errors
from hecc.runtime.ckks.readings.noise_drawn import GaussianNoise, RingNoise
from hecc.runtime.ckks.readings.types import verify
from hecc.runtime.errors import CircuitError, FileFormatError, KeyMismatchError
from hecc.runtime.native import NttTables, _evaluator, implementations

INSECURE = InsecureLevel.INSECURE_FOR_TESTS_ONLY
LARGEST_MULTIPLE = 13
"""K of the bootstrap: beyond it lies a coefficient of 2^14 with probability 2^-51."""

Array = NDArray[Any]


class Raising:
    """A key set that raises, the secret key, and one limb."""

    def __init__(self, spec: KeySpecification, folder: Any) -> None:
        made = generate_keys(spec, folder, shape="native", min_security=INSECURE)
        self.spec, self.file = spec, EvaluationKeyFile(made.evaluation)
        self.secret = secret_residues(SecretKeyFile.load(made.secret), None)
        self.cipher = LevelCipher(spec, 1, enforce_128=False, secret=self.secret)

    def keys(self, context: _evaluator.Context) -> tuple[_evaluator.SwitchingKey, _evaluator.SwitchingKey]:
        kind: Any = _evaluator.SwitchingKey
        down, up = self.file.dense_to_sparse(), self.file.sparse_to_dense()
        return kind.dense_to_sparse(context, down), kind.sparse_to_dense(context, up)

    def rows(self, key: Any, layout: KeyLayout) -> Array:
        """Both polynomials of a key's only row: integers, shape (primes, 2, N)."""
        return np.stack([row[0] for row in residues(key, layout.primes, 1, self.spec.ring_degree)]).astype(object)

    def encrypted(self, count: int, scale: float) -> tuple[Array, Array]:
        """Messages of slots in [-1, 1], encrypted at one limb: slots, and residues of shape (count, 2, 1, N)."""
        rng = np.random.default_rng(11)
        slots = rng.uniform(-1, 1, (count, self.spec.slots))
        degree = self.spec.ring_degree
        context = context_of(self.spec)
        found = []
        for vector in slots:
            stream = self.cipher.encrypt(vector, scale)
            parsed = read_ciphertext(stream, ring_degree=degree, limbs=1, polynomials=2, where="a ciphertext")
            data = parsed.residues.reshape(-1).view(np.uint8)
            found.append(context.read_ciphertext(data, 2, 1, parsed.seed).array()[0].copy())
        return slots, np.array(found)


def context_of(spec: KeySpecification, kernels: str = "", threads: int = 1) -> _evaluator.Context:
    return _evaluator.Context(
        spec.ring_degree, spec.data_primes, spec.special_primes, spec.digit_limbs, threads, kernels
    )


@pytest.fixture(scope="module", params=[(6, 5), (1, 1)], ids=["hybrid", "one special prime"])
def raising(request: pytest.FixtureRequest, plans: Any, tmp_path_factory: pytest.TempPathFactory) -> Raising:
    return Raising(plans.insecure_small(*request.param), tmp_path_factory.mktemp("raising") / "keys")


def coefficients(values: Array, prime: int) -> Array:
    """Integers around zero, of values of one limb."""
    limb = np.ascontiguousarray(values, dtype=np.uint64).copy()
    NttTables(len(limb), prime).inverse(limb)
    return centred(limb.astype(object), prime)


def values_of(integers: Array, prime: int) -> Array:
    limb = (integers % prime).astype(np.uint64)
    NttTables(len(limb), prime).forward(limb)
    return limb.astype(object)


def centred(integers: Array, modulus: int) -> Array:
    reduced = integers % modulus
    return np.where(reduced > modulus // 2, reduced - modulus, reduced)


def composed(limbs: Array, primes: tuple[int, ...]) -> Array:
    """The integers around zero behind values modulo several primes."""
    modulus = math.prod(primes)
    total: Any = 0
    for limb, prime in zip(limbs, primes, strict=True):
        rest = modulus // prime
        total = total + coefficients(limb, prime) * (rest * pow(rest, -1, prime))
    return centred(total, modulus)


def divided(limbs: Array, kept: tuple[int, ...], special: tuple[int, ...]) -> Array:
    """The quotient of integers by the special primes, rounded to nearest, modulo the others: values."""
    product = math.prod(special)
    whole = composed(limbs, (*kept, *special))
    quotient = (whole - centred(whole, product)) // product
    return np.stack([values_of(quotient, prime) for prime in kept])


def reference(raising: Raising, ciphertext: Array, limbs: int) -> Array:
    """The raise of one ciphertext by the definition, with Python's integers."""
    spec = raising.spec
    first, single, special = spec.data_primes[0], spec.special_primes[0], spec.special_primes
    c0, c1 = ciphertext[0, 0], ciphertext[1, 0]
    down = raising.rows(raising.file.dense_to_sparse(), spec.dense_to_sparse)
    digit = coefficients(c1, first)
    under = []
    for half in range(2):
        sums = np.stack([values_of(digit, q) * down[i, half] % q for i, q in enumerate((first, single))])
        under.append(coefficients(divided(sums, (first,), (single,))[0], first))
    under[0] = centred(under[0] + coefficients(c0, first), first)
    key_limbs = spec.encapsulation.limbs  # type: ignore[union-attr]
    up = raising.rows(raising.file.sparse_to_dense(), spec.sparse_to_dense(key_limbs))
    data = spec.data_primes[:limbs]
    places = [*range(limbs), *range(key_limbs, key_limbs + len(special))]
    result = []
    for half in range(2):
        sums = np.stack(
            [values_of(under[1], q) * up[i, half] % q for i, q in zip(places, (*data, *special), strict=True)]
        )
        result.append(divided(sums, data, special))
    for i, prime in enumerate(data):
        result[0][i] = (result[0][i] + values_of(under[0], prime)) % prime
    return np.stack(result)


@pytest.mark.parametrize("implementation", implementations())
def test_the_lift_is_that_of_big_integers_to_the_bit(plans: Any, implementation: str) -> None:
    """Residues modulo the first prime to the closest integers to zero, modulo all primes; at all extremes."""
    from hecc.runtime.native import Kernels

    spec, kernels = plans.insecure_small(), Kernels(implementation)
    first, degree = spec.data_primes[0], spec.ring_degree
    rng = np.random.default_rng(3)
    found = rng.integers(0, first, degree, dtype=np.uint64)
    extremes = [0, 1, first // 2 - 1, first // 2, first // 2 + 1, first // 2 + 2, first - 2, first - 1]
    found[: len(extremes)] = extremes
    exact = centred(found.astype(object), first)
    assert exact.min() == -(first // 2)
    assert exact.max() == first // 2
    for prime in (*spec.data_primes, *spec.special_primes):
        lifted = np.empty_like(found)
        kernels.lift(found, first, lifted, prime)
        np.testing.assert_array_equal(lifted, (exact % prime).astype(np.uint64))


@pytest.mark.parametrize("limbs", [18, 2])
def test_a_raise_is_that_of_big_integers_to_the_bit(raising: Raising, limbs: int) -> None:
    _, given = raising.encrypted(2, 2.0**28)
    expected = np.stack([reference(raising, ciphertext, limbs) for ciphertext in given])
    for name in implementations():
        for threads in (1, 2):
            context = context_of(raising.spec, name, threads)
            found = context.raise_to(context.ciphertexts(given), *raising.keys(context), limbs)
            assert (found.count, found.polynomials, found.limbs) == (2, 2, limbs)
            np.testing.assert_array_equal(found.array(), expected.astype(np.uint64))


def test_what_is_raised_decrypts_to_the_message_and_small_multiples_of_the_first_prime(raising: Raising) -> None:
    spec, count, limbs = raising.spec, 24, 18
    first, scale = spec.data_primes[0], 2.0**28
    _, given = raising.encrypted(count, scale)
    context = context_of(spec)
    raised = context.raise_to(context.ciphertexts(given), *raising.keys(context), limbs).array()
    secret = coefficients(raising.secret[0], first)
    errors, multiples = [], []
    for before, after in zip(given, raised, strict=True):
        # Three limbs hold all that there is: far less than their product.
        primes = spec.data_primes[:3]
        phase = np.stack(
            [
                (after[0, i].astype(object) + after[1, i].astype(object) * values_of(secret, q)) % q
                for i, q in enumerate(primes)
            ]
        )
        message = coefficients((before[0, 0].astype(object) + before[1, 0] * values_of(secret, first)) % first, first)
        whole = composed(phase, primes)
        error = centred(whole - message, first)
        multiple = whole - message - error
        assert not (multiple % first).any()
        errors.append(error.astype(np.int64))
        multiples.append((multiple // first).astype(np.int64))
    weight = spec.encapsulation.weight  # type: ignore[union-attr]
    assert np.abs(multiples).max() <= LARGEST_MULTIPLE
    # The rounded sum of weight + 1 uniform variables: 1.66 give or take 0.03 where 2^16 coefficients are counted.
    assert np.std(multiples) == pytest.approx(math.sqrt((weight + 1) / 12), rel=0.03)
    # In coefficients: a slot's real part has N / 2 of their variance.
    ring = RingNoise(spec.ring_degree, spec.slots)
    predicted = math.sqrt(ring.encapsulated(spec) * 2 / spec.ring_degree)
    assert np.std(errors) == pytest.approx(predicted, rel=0.05)
    assert np.abs(errors).max() < 7 * predicted


def program(limbs: int, slots: int) -> Circuit:
    scale = Fraction(1 << 28)
    every = {"all": np.ones((1, slots), np.uint8)}
    source = Input(name="x", count=1, occupied="all", period=slots, limbs=1, scale=scale)
    return Circuit(
        slots, (source, Raise(x=0, limbs=limbs, source="/relu"), Output(x=1, name="y", occupied="all")), every
    )


def test_the_native_device_raises(raising: Raising) -> None:
    spec = raising.spec
    circuit = program(18, spec.slots)
    slots = np.random.default_rng(4).uniform(-1, 1, spec.slots)
    with NativeEngine(circuit, spec).session(raising.file) as session:
        (stream,) = session.run({"x": [raising.cipher.encrypt(slots, 2.0**28)]})["y"]
    found = LevelCipher(spec, 18, enforce_128=False, secret=raising.secret).decrypt(stream, 2.0**28).real
    deviation = math.sqrt(RingNoise(spec.ring_degree, spec.slots).multiples(spec)) / 2.0**28
    assert np.std(found - slots) == pytest.approx(deviation, rel=0.1)


def test_the_noise_model_draws_multiples_and_the_bound_is_above_all_of_them(raising: Raising) -> None:
    spec = raising.spec
    circuit = program(18, spec.slots)
    types = verify(circuit, spec)
    inputs = {"x": np.random.default_rng(4).uniform(-1, 1, (6, 1, spec.slots))}
    model = GaussianNoise(circuit, types, spec, np.random.default_rng(5))
    simulated = Simulator(circuit).run(inputs, model)["y"] - Simulator(circuit).run(inputs)["y"]
    with NativeEngine(circuit, spec).session(raising.file) as session:
        (stream,) = session.run({"x": [raising.cipher.encrypt(inputs["x"][0, 0], 2.0**28)]})["y"]
    cipher = LevelCipher(spec, 18, enforce_128=False, secret=raising.secret)
    errors = cipher.decrypt(stream, 2.0**28) - inputs["x"][0, 0]
    assert np.std(simulated) == pytest.approx(np.std(errors.real), rel=0.1)
    bound = worst_errors(circuit, types, spec, {"x": (-1.0, 1.0)})["y"]
    # As large as it could be if all polynomials were as bad as they can be in one slot.
    assert np.abs(errors).max() < bound < 1000 * np.abs(errors).max()


def test_what_a_raise_takes_is_counted(raising: Raising) -> None:
    circuit, spec = program(18, raising.spec.slots), raising.spec
    special = len(spec.special_primes)
    work = count_work(circuit, spec)[1]
    assert (work.forward, work.inverse) == (4 * 18 + special + 1, 6 + 2 * special)
    assert work.key_bytes == sum(
        layout_bytes(layout, spec.ring_degree) for layout in (spec.dense_to_sparse, spec.sparse_to_dense(18))
    )
    model = DEVICE_MODELS["native"].key_cost_model(spec, spec.slots)
    costs = [cost.seconds for cost in instruction_costs(circuit, [1, 18, 18], model)]
    assert costs[1] > 5 * costs[0] > 0
    # Beside it, decomposing a polynomial of as many limbs takes longer.
    assert costs[1] < model.key_switch(18)
    use = DEVICE_MODELS["native"].memory.use(circuit, [1, 18, 18], spec)
    assert use.evaluation_keys == sum(array.nbytes for array in _all_keys(raising.file))
    polynomial = 8 * spec.ring_degree
    assert use.ciphertexts > polynomial * (2 * 18 + 2 * (18 + special))


def _all_keys(file: EvaluationKeyFile) -> list[Array]:
    galois = [file.galois(key.element) for key in file.header.keys.galois]
    return [
        np.asarray(key) for key in (file.relinearization(), file.dense_to_sparse(), file.sparse_to_dense(), *galois)
    ]


def test_limbs_of_values_rise_where_keys_are_asked_for(raising: Raising) -> None:
    circuit = program(18, raising.spec.slots)
    assert assembly.circuit_limbs(circuit) == [1, 18, 18]


def test_keys_that_raise_nothing_are_refused(raising: Raising, plans: Any, tmp_path: Any) -> None:
    context = context_of(raising.spec)
    down, up = raising.keys(context)
    one = context.ciphertexts(raising.encrypted(1, 2.0**28)[1])
    kind: Any = _evaluator.SwitchingKey
    relinearization = kind(context, raising.file.relinearization())
    with pytest.raises(ValueError, match="two of one limb are raised"):
        context.raise_to(context.raise_to(one, down, up, 2), down, up, 3)
    with pytest.raises(ValueError, match=r"raised to 2\.\.18 limbs, not to 19"):
        context.raise_to(one, down, up, 19)
    with pytest.raises(ValueError, match="not to 1"):
        context.raise_to(one, down, up, 1)
    with pytest.raises(ValueError, match="the first key is not one of one limb"):
        context.raise_to(one, relinearization, up, 18)
    with pytest.raises(ValueError, match="the second key is not one of one digit"):
        context.raise_to(one, down, relinearization, 14)
    with pytest.raises(ValueError, match="of another shape: it is for raising ciphertexts"):
        context.rotate(context.raise_to(one, down, up, 2), up, 3)
    with pytest.raises(ValueError, match="was made for another context"):
        context.raise_to(one, kind.dense_to_sparse(context_of(raising.spec), raising.file.dense_to_sparse()), up, 2)
    with pytest.raises(ValueError, match="is of no number of limbs"):
        kind.dense_to_sparse(context, raising.file.sparse_to_dense())


def test_a_session_names_the_key_that_is_none(raising: Raising) -> None:
    class Source:
        def __init__(self, file: EvaluationKeyFile) -> None:
            self.dense_to_sparse = file.sparse_to_dense

    session = NativeEngine(program(18, raising.spec.slots), raising.spec).session(Source(raising.file))  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match="the key to the sparse secret is not one for this plan"):
        session.run({"x": [raising.cipher.encrypt(np.zeros(raising.spec.slots), 2.0**28)]})


def test_a_circuit_that_raises_needs_keys_that_do(raising: Raising) -> None:
    without = msgspec.structs.replace(raising.spec, encapsulation=msgspec.UNSET)
    with pytest.raises(CircuitError, match="the keys that raise a value, to a sparse secret and back, are missing"):
        NativeEngine(program(18, without.slots), without)
    with pytest.raises(KeyMismatchError, match="no keys that raise ciphertexts; make keys for this plan"):
        _without(raising).dense_to_sparse()


def _without(raising: Raising) -> EvaluationKeyFile:
    file = EvaluationKeyFile.__new__(EvaluationKeyFile)
    file.__dict__.update(raising.file.__dict__)
    file._container = {}  # type: ignore[assignment]
    return file
