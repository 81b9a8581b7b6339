"""SEAL's own evaluator, instruction by instruction: the simple, slow reference that faster ones are held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Conjugate,
    DropLimbs,
    Fold,
    FourierFactor,
    Input,
    Instruction,
    LinearTransform,
    MatrixProduct,
    Multiply,
    MultiplyPlain,
    MultiplyScalar,
    Negate,
    Output,
    PairedInput,
    Polynomial,
    Raise,
    Relinearize,
    Rescale,
    Rotate,
    Square,
    Subtract,
)
from hecc.runtime.ckks.circuit.parameters import conjugation_element, galois_element
from hecc.runtime.ckks.devices.device import SCALE_TOLERANCE, KeySource, input_streams
from hecc.runtime.ckks.devices.native.streams import checked_ciphertext, checked_switching_key
from hecc.runtime.ckks.devices.seal.streams import load_stream, save_stream
from hecc.runtime.ckks.readings.types import ArrayType
from hecc.runtime.closing import Closing
from hecc.runtime.errors import CircuitError, FileFormatError
from hecc.runtime.execution import execute
from hecc.runtime.plan.interfaces import Buffer, Progress
from hecc.runtime.reading import Reading

if TYPE_CHECKING:
    from hecc.runtime.ckks.devices.seal.engine import SealEngine

__all__ = ["SealSession"]

Ciphertexts: TypeAlias = list[Any]


class SealSession(Closing):
    """One client on SEAL (:class:`hecc.runtime.plan.interfaces.Session`).

    Parameters
    ----------
    engine
        The circuit made ready. Its weights are shared with all other sessions.
    source
        The client's keys as SEAL streams: ``RelinKeys``, and for every element a ``GaloisKeys`` that holds it.
    """

    def __init__(self, engine: SealEngine, source: KeySource) -> None:
        self._engine = engine
        self._circuit = engine.circuit
        self._degree = engine.keys.ring_degree
        self._types = engine.types
        self._context = engine.context
        self._evaluator = engine.evaluator
        self._encoder = engine.encoder
        self._levels = engine.levels
        self._plaintexts = engine.plaintexts
        self._last_uses = engine.last_uses
        self._rotations_budget = engine.rotations_memory
        primes = len(engine.keys.data_primes) + len(engine.keys.special_primes)
        self._keys = _Keys(engine.context, source, self._degree, primes)

    def close(self) -> None:
        """Let go of the keys."""
        self._keys.clear()

    def run(
        self, inputs: Mapping[str, Sequence[Buffer]], *, progress: Progress | None = None
    ) -> dict[str, list[bytes]]:
        """Evaluate one row.

        Parameters
        ----------
        inputs
            For every input of the circuit its ciphertexts as SEAL streams.
        progress
            Called after every instruction.

        Returns
        -------
        dict
            For every output its ciphertexts as SEAL streams.

        Raises
        ------
        FileFormatError
            When a stream is damaged or is not at the level and scale of its input.
        CircuitError
            When SEAL refuses an instruction.
        InputError
            When the engine was closed.
        """
        self._engine.check_open()
        given = {ins.name: input_streams(ins, inputs) for _, ins in self._circuit.inputs()}
        return execute(self._circuit, _RULES, self, given=given, after=self._settle, progress=progress)

    def _load(self, index: int, instruction: Input, streams: Sequence[Buffer]) -> Ciphertexts:
        """The client's ciphertexts, checked to be what the circuit was verified for."""
        assert instruction.encoding_scale is not None
        expected, scale = self._types[index], float(instruction.encoding_scale)
        loaded = []
        for number, stream in enumerate(streams):
            where = f"input {instruction.name!r}, ciphertext {number}"
            plain = checked_ciphertext(
                stream,
                ring_degree=self._degree,
                limbs=expected.limbs,
                polynomials=expected.polynomials,
                where=where,
                remedy="encrypt again for this plan",
            )
            ciphertext = sealapi.Ciphertext()
            load_stream(ciphertext, self._context, plain)
            if ciphertext.parms_id() != self._levels[expected.limbs]:
                raise FileFormatError(f"{where}: encrypted for other primes; encrypt again for this plan")
            if not _close(ciphertext.scale, scale):
                raise FileFormatError(f"{where}: scale {ciphertext.scale:.9g}, not {scale:.9g}")
            loaded.append(ciphertext)
        return loaded

    def _load_pairs(self, index: int, instruction: PairedInput, streams: Sequence[Buffer]) -> Ciphertexts:
        """Twice ``a`` and twice ``b`` from each ``a + X^(N/2) b``."""
        # Slot s of -X^(N/2), by which the second is divided by X^(N/2).
        quotient = np.resize([-1j, 1j], self._degree // 2)
        plaintext = sealapi.Plaintext()
        self._encoder.encode(quotient.tolist(), self._levels[self._types[index].limbs], 1.0, plaintext)
        separated: Ciphertexts = []
        for both in self._load(index, instruction, streams):
            conjugate = self._apply_galois(both, conjugation_element(self._degree))
            separated.append(_result(self._evaluator.add, both, conjugate))
            difference = _result(self._evaluator.sub, both, conjugate)
            separated.append(_result(self._evaluator.multiply_plain, difference, plaintext))
        for ciphertext in separated:
            ciphertext.scale = 2 * ciphertext.scale
        return separated[: instruction.count]

    def _save(self, index: int, instruction: Output, x: Ciphertexts) -> list[bytes]:
        return [save_stream(ciphertext) for ciphertext in x]

    def _settle(
        self, index: int, instruction: Instruction, value: Ciphertexts, operands: Sequence[Ciphertexts]
    ) -> Ciphertexts:
        """Replace SEAL's rounded scales by the exact one, so that equal scales are equal doubles."""
        if index not in self._last_uses:
            return value
        exact = _double(self._types[index])
        for ciphertext in value:
            if not _close(ciphertext.scale, exact):
                raise CircuitError(f"%{index}: SEAL has scale {ciphertext.scale:.12g}, the circuit {exact:.12g}")
            ciphertext.scale = exact
        return value

    def _encode(self, vector: NDArray[np.float64], limbs: int, scale: float) -> Any:
        """A vector of logical slots, repeated over the ring's, as a plaintext at a level."""
        plaintext = sealapi.Plaintext()
        lanes = np.repeat(vector, self._circuit.lanes)
        repeated = np.tile(lanes, self._degree // 2 // self._circuit.period)
        self._encoder.encode(repeated.tolist(), self._levels[limbs], scale, plaintext)
        return plaintext

    def _multiply_plain(self, x: Any, vector: NDArray[np.float64], limbs: int, scale: float) -> Any:
        """``x * vector``; a vector that encodes to zero becomes the polynomial 1, for SEAL refuses transparent results.

        That is a product with ``1 / scale`` instead of 0: an error below that of rounding any other plaintext.
        """
        plaintext = self._encode(vector, limbs, scale)
        if plaintext.is_zero():
            plaintext = self._encode(np.full_like(vector, 1 / scale), limbs, scale)
        result = sealapi.Ciphertext()
        self._evaluator.multiply_plain(x, plaintext, result)
        return result

    def _encode_number(self, value: float, limbs: int, scale: float) -> Any:
        """A number in all slots as a plaintext: the constant polynomial of the integer nearest to value * scale."""
        plaintext = sealapi.Plaintext()
        self._encoder.encode(float(value), self._levels[limbs], scale, plaintext)
        return plaintext

    def _multiply_number(self, x: Any, value: float, limbs: int, scale: float) -> Any:
        """``x * value``; a number that encodes to zero becomes the integer 1, as in :meth:`_multiply_plain`."""
        plaintext = self._encode_number(value, limbs, scale)
        if plaintext.is_zero():
            plaintext = self._encode_number(1 / scale, limbs, scale)
        return _result(self._evaluator.multiply_plain, x, plaintext)

    def _rotate(self, x: Any, step: int) -> Any:
        """``x`` rotated by ``step`` logical slots, by the key of exactly that step."""
        return self._apply_galois(x, galois_element(step * self._circuit.lanes, self._degree))

    def _apply_galois(self, x: Any, element: int) -> Any:
        result = sealapi.Ciphertext()
        self._evaluator.apply_galois(x, element, self._keys.galois(element), result)
        return result

    def _add(self, index: int, instruction: Add, x: Ciphertexts, y: Ciphertexts) -> Ciphertexts:
        return [_result(self._evaluator.add, a, b) for a, b in zip(x, y, strict=True)]

    def _subtract(self, index: int, instruction: Subtract, x: Ciphertexts, y: Ciphertexts) -> Ciphertexts:
        return [_result(self._evaluator.sub, a, b) for a, b in zip(x, y, strict=True)]

    def _negate(self, index: int, instruction: Negate, x: Ciphertexts) -> Ciphertexts:
        return [_result(self._evaluator.negate, a) for a in x]

    def _multiply(self, index: int, instruction: Multiply, x: Ciphertexts, y: Ciphertexts) -> Ciphertexts:
        return [_result(self._evaluator.multiply, a, b) for a, b in zip(x, y, strict=True)]

    def _square(self, index: int, instruction: Square, x: Ciphertexts) -> Ciphertexts:
        return [_result(self._evaluator.square, a) for a in x]

    def _relinearize(self, index: int, instruction: Relinearize, x: Ciphertexts) -> Ciphertexts:
        key = self._keys.relinearization()
        return [_result(self._evaluator.relinearize, a, key) for a in x]

    def _add_vector(self, index: int, instruction: AddPlain, x: Ciphertexts) -> Ciphertexts:
        vectors = self._circuit.constants[instruction.vector]
        kind = self._types[index]
        plaintexts = [self._encode(vector, kind.limbs, _double(kind)) for vector in vectors]
        return [_result(self._evaluator.add_plain, a, p) for a, p in zip(x, plaintexts, strict=True)]

    def _multiply_vector(self, index: int, instruction: MultiplyPlain, x: Ciphertexts) -> Ciphertexts:
        vectors = self._circuit.constants[instruction.vector]
        limbs = self._types[index].limbs
        scale = _encoding_scale(instruction)
        return [self._multiply_plain(a, vector, limbs, scale) for a, vector in zip(x, vectors, strict=True)]

    def _add_scalar(self, index: int, instruction: AddScalar, x: Ciphertexts) -> Ciphertexts:
        kind = self._types[index]
        plaintext = self._encode_number(instruction.value, kind.limbs, _double(kind))
        return [_result(self._evaluator.add_plain, a, plaintext) for a in x]

    def _multiply_scalar(self, index: int, instruction: MultiplyScalar, x: Ciphertexts) -> Ciphertexts:
        limbs, scale = self._types[index].limbs, _encoding_scale(instruction)
        return [self._multiply_number(a, instruction.value, limbs, scale) for a in x]

    def _conjugate(self, index: int, instruction: Conjugate, x: Ciphertexts) -> Ciphertexts:
        return [self._apply_galois(a, conjugation_element(self._degree)) for a in x]

    def _rotate_all(self, index: int, instruction: Rotate, x: Ciphertexts) -> Ciphertexts:
        return [self._rotate(a, instruction.step) for a in x]

    def _fold(self, index: int, instruction: Fold, x: Ciphertexts) -> Ciphertexts:
        for step in instruction.steps:
            x = [_result(self._evaluator.add, a, self._rotate(a, step)) for a in x]
        return x

    def _rescale(self, index: int, instruction: Rescale, x: Ciphertexts) -> Ciphertexts:
        level = self._levels[self._types[index].limbs]
        return [_result(self._evaluator.rescale_to, a, level) for a in x]

    def _drop_limbs(self, index: int, instruction: DropLimbs, x: Ciphertexts) -> Ciphertexts:
        level = self._levels[self._types[index].limbs]
        return [_result(self._evaluator.mod_switch_to, a, level) for a in x]

    def _linear_transform(self, index: int, instruction: LinearTransform, x: Ciphertexts) -> Ciphertexts:
        """Baby steps once per operand, an inner sum and one giant step per (giant, row).

        ``y[s] = sum_g inner_g[s + g]`` with ``inner_g[t] = sum v[t - g] * x[t + baby]``: a diagonal is rolled forward
        by its giant step. When the baby rotations exceed their memory they are made in batches, each with giant steps
        of its own.
        """
        diagonals = self._circuit.diagonals(instruction)
        limbs, slots = self._types[index].limbs, self._circuit.slots
        scale = _encoding_scale(instruction)
        steps = list(zip(diagonals.column.tolist(), diagonals.baby.tolist(), strict=True))
        batch = max(1, self._rotations_budget // (2 * self._degree * limbs * 8))
        rows: list[Any] = [None] * instruction.count

        def encode(k: int, giant: int) -> Callable[[], Any]:
            return lambda: self._encode(np.roll(diagonals.dense(k, slots), giant), limbs, scale)

        for some in _batches(sorted(set(steps)), batch):
            babies = {(column, baby): self._rotate(x[column], baby) if baby else x[column] for column, baby in some}
            chosen = [k for k, step in enumerate(steps) if step in babies]
            for (giant, row), members in groupby(chosen, lambda k: (int(diagonals.giant[k]), int(diagonals.row[k]))):
                inner: Any = None
                for k in members:
                    plaintext = self._plaintexts.get((index, k), self._degree * limbs * 8, encode(k, giant))
                    if not plaintext.is_zero():
                        term = _result(self._evaluator.multiply_plain, babies[steps[k]], plaintext)
                        inner = self._accumulate(inner, term)
                if inner is not None:
                    rows[row] = self._accumulate(rows[row], self._rotate(inner, giant) if giant else inner)
            # Freed before the next batch is made, or both would be in memory at once.
            babies.clear()
        zero = np.zeros(slots)
        return [self._multiply_plain(x[0], zero, limbs, scale) if row is None else row for row in rows]

    def _matrix_product(self, index: int, instruction: MatrixProduct, x: Ciphertexts) -> Ciphertexts:
        """Row by row, entry by entry; weights that encode to zero are skipped."""
        matrix = self._circuit.matrix(instruction)
        limbs, scale = self._types[index].limbs, _encoding_scale(instruction)
        rows = []
        for first, last in zip(matrix.offsets[:-1].tolist(), matrix.offsets[1:].tolist(), strict=True):
            row: Any = None
            entries = zip(matrix.columns[first:last].tolist(), matrix.values[first:last].tolist(), strict=True)
            for column, value in entries:
                plaintext = self._encode_number(value, limbs, scale)
                if not plaintext.is_zero():
                    row = self._accumulate(row, _result(self._evaluator.multiply_plain, x[column], plaintext))
            rows.append(self._multiply_number(x[0], 0.0, limbs, scale) if row is None else row)
        if instruction.bias is not None:
            for row, value in zip(rows, self._circuit.constants[instruction.bias].tolist(), strict=True):
                self._evaluator.add_plain_inplace(row, self._encode_number(value, limbs, row.scale))
        return rows

    def _accumulate(self, total: Any, term: Any) -> Any:
        """``total + term`` in place; nothing yet is ``None``."""
        if total is None:
            return term
        self._evaluator.add_inplace(total, term)
        return total


def _refusing(rule: Callable[..., Ciphertexts]) -> Callable[..., Ciphertexts]:
    """A rule whose errors of SEAL's become a sentence."""

    def computed(session: SealSession, index: int, instruction: Instruction, *operands: Ciphertexts) -> Ciphertexts:
        try:
            return rule(session, index, instruction, *operands)
        except (ValueError, RuntimeError) as error:
            raise CircuitError(f"SEAL refuses %{index} = {instruction.op} ({instruction.source}): {error}") from None

    return computed


_RULES: Reading[Callable[..., Any]] = Reading(
    "evaluation with SEAL",
    INSTRUCTIONS,
    {
        Input: SealSession._load,
        PairedInput: SealSession._load_pairs,
        Output: SealSession._save,
        Add: _refusing(SealSession._add),
        Subtract: _refusing(SealSession._subtract),
        Negate: _refusing(SealSession._negate),
        Multiply: _refusing(SealSession._multiply),
        Square: _refusing(SealSession._square),
        Relinearize: _refusing(SealSession._relinearize),
        AddPlain: _refusing(SealSession._add_vector),
        MultiplyPlain: _refusing(SealSession._multiply_vector),
        AddScalar: _refusing(SealSession._add_scalar),
        MultiplyScalar: _refusing(SealSession._multiply_scalar),
        Rotate: _refusing(SealSession._rotate_all),
        Conjugate: _refusing(SealSession._conjugate),
        Fold: _refusing(SealSession._fold),
        LinearTransform: _refusing(SealSession._linear_transform),
        MatrixProduct: _refusing(SealSession._matrix_product),
        Rescale: _refusing(SealSession._rescale),
        DropLimbs: _refusing(SealSession._drop_limbs),
    },
    {
        Polynomial: "sessions expand macros when they are prepared",
        **dict.fromkeys(
            (Bootstrap, FourierFactor, Raise), "SEAL has no bootstrapping, and engines refuse such circuits"
        ),
    },
)


@dataclass
class _Keys:
    """Switching keys, read when they are first used and kept."""

    context: Any
    source: KeySource
    ring_degree: int
    primes: int
    loaded: dict[int, Any] = field(default_factory=dict)

    RELINEARIZATION = 0
    """Stands for the relinearisation key among the Galois elements, which are odd."""

    def relinearization(self) -> Any:
        """The relinearisation key."""
        if self.RELINEARIZATION not in self.loaded:
            key = sealapi.RelinKeys()
            stream = self._checked(cast(Buffer, self.source.relinearization()), 1, 0, "the relinearisation key")
            load_stream(key, self.context, stream)
            self.loaded[self.RELINEARIZATION] = key
        return self.loaded[self.RELINEARIZATION]

    def galois(self, element: int) -> Any:
        """The key of one Galois element."""
        if element not in self.loaded:
            key = sealapi.GaloisKeys()
            what = f"the key of Galois element {element}"
            stream = self._checked(cast(Buffer, self.source.galois(element)), self.ring_degree, element // 2, what)
            load_stream(key, self.context, stream)
            self.loaded[element] = key
        return self.loaded[element]

    def _checked(self, stream: Buffer, places: int, place: int, where: str) -> bytes:
        """SEAL keeps keys in an array; of what it finds there it checks that it is valid, not that it is there."""
        return checked_switching_key(
            stream, ring_degree=self.ring_degree, limbs=self.primes, places=places, place=place, where=where
        )

    def clear(self) -> None:
        """Forget all keys."""
        self.loaded.clear()


def _result(operation: Callable[..., None], *arguments: Any) -> Any:
    """The ciphertext that an operation of SEAL's evaluator writes to its last argument."""
    result = sealapi.Ciphertext()
    operation(*arguments, result)
    return result


def _batches(items: Sequence[tuple[int, int]], size: int) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _double(kind: ArrayType) -> float:
    """The scale as SEAL has it."""
    assert kind.scale is not None
    return float(kind.scale)


def _encoding_scale(instruction: LinearTransform | MatrixProduct | MultiplyPlain | MultiplyScalar) -> float:
    assert instruction.scale is not None
    return float(instruction.scale)


def _close(found: float, exact: float) -> bool:
    return math.isclose(found, exact, rel_tol=SCALE_TOLERANCE)
