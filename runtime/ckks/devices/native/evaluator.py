"""The native evaluator: hecc's own kernels, on SEAL's representation, without SEAL.

What it computes, and with which algorithms, is in ``docs/explanation/native.md``. It sees public data only:
ciphertexts, evaluation keys and plaintext weights.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

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
from hecc.runtime.ckks.devices.device import SCALE_TOLERANCE, KeySource, SwitchingKey, input_streams
from hecc.runtime.ckks.devices.native.reading import Waits, read_ahead
from hecc.runtime.ckks.devices.native.streams import parms_id, read_ciphertext, write_ciphertext
from hecc.runtime.ckks.devices.streaming import Step, Store, Stream
from hecc.runtime.ckks.readings.types import ArrayType
from hecc.runtime.closing import Closing
from hecc.runtime.errors import CircuitError, FileFormatError
from hecc.runtime.execution import execute
from hecc.runtime.native import _evaluator
from hecc.runtime.plan.interfaces import Buffer, Progress
from hecc.runtime.reading import Reading

if TYPE_CHECKING:
    from hecc.runtime.ckks.devices.native.engine import NativeEngine

__all__ = ["NativeSession"]

log = logging.getLogger(__name__)

Value: TypeAlias = _evaluator.Ciphertexts


class NativeSession(Closing):
    """One client on the native kernels (:class:`hecc.runtime.plan.interfaces.Session`).

    Parameters
    ----------
    engine
        The circuit made ready. Its weights are shared with all other sessions.
    source
        The client's keys, packed (:mod:`hecc.runtime.ckks.keys.switching_keys`), each for at least as many limbs as the
        circuit uses it at. They are not copied.
    """

    def __init__(self, engine: NativeEngine, source: KeySource) -> None:
        self._engine = engine
        self._circuit = engine.circuit
        self._spec = engine.keys
        self._types = engine.types
        self._inputs = engine.inputs
        self._products = engine.products
        self._context = engine.context
        self._weights = engine.weights
        self._hoisted = engine.hoisted
        # Rotations that were made together with an earlier one, until it is their turn.
        self._rotated: dict[int, Value] = {}
        self._stream = engine.stream
        self._rotations_memory = engine.rotations_memory
        self._keys = _Keys(engine.context, source)

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
            Called after every instruction. The time that each takes is logged at level DEBUG.

        Returns
        -------
        dict
            For every output its ciphertexts as SEAL streams.

        Raises
        ------
        FileFormatError
            When a stream or a key is damaged, or a stream is not at the level and scale of its input.
        CircuitError
            When the kernels refuse an instruction.
        InputError
            When the engine was closed.
        """
        self._engine.check_open()
        given = {ins.name: input_streams(ins, inputs) for _, ins in self._circuit.inputs()}
        made: dict[int, Value] = {}
        if self._stream is not None:
            made[self._stream.end] = self._run_blocks(self._stream, given, progress)
        start = time.perf_counter()

        def report(number: int, total: int, instruction: Instruction) -> None:
            nonlocal start
            log.debug("%%%d = %s: %.3f ms", number - 1, instruction.op, 1e3 * (time.perf_counter() - start))
            if progress is not None:
                progress(number, total, instruction)
            start = time.perf_counter()

        try:
            return execute(self._circuit, _RULES, self, given=given, made=made, progress=report)
        finally:
            self._rotated.clear()

    def _apply(self, index: int, instruction: Instruction, operands: Sequence[Value]) -> Value:
        value: Value = _RULES.of(instruction)(self, index, instruction, *operands)
        return value

    def _refusal(self, index: int, error: ValueError) -> CircuitError:
        instruction = self._circuit.instructions[index]
        return CircuitError(f"the kernels refuse %{index} = {instruction.op} ({instruction.source}): {error}")

    def _run_blocks(self, stream: Stream, given: Mapping[str, Sequence[Buffer]], progress: Progress | None) -> Value:
        """Evaluate the instructions up to the end of a stream, block by block; the result of the last.

        This is another loop than :func:`hecc.runtime.execution.execute`, since it is another algorithm: it goes through
        steps, of which one instruction has many, each for some rows of its value, and a row is freed, not a value, when
        the last step that reads it has run.
        """
        instructions = self._circuit.instructions
        store: Store[Value] = Store(stream.reads)
        seconds = [0.0] * (stream.end + 1)
        done = 0
        total: Value | None = None
        wanted = ((i, number) for block in stream.blocks for step in block for i, number, _ in step.arrivals)
        with self._reading(given, wanted) as ciphertexts:
            for number, block in enumerate(stream.blocks):
                for step in block:
                    start = time.perf_counter()
                    i = step.instruction
                    if i in self._inputs:
                        for _, _, rows in step.arrivals:
                            store.put(i, rows, self._vectors(self._inputs[i], next(ciphertexts), len(rows)))
                    elif i < stream.end:
                        store.put(i, step.rows, self._compute(step, number, stream, store))
                    else:
                        share = self._compute(step, number, stream, store)
                        total = share if total is None else self._context.add(total, share)
                        del share
                    for v, rows in zip(step.operands, step.reads, strict=True):
                        store.release(v, rows)
                    seconds[i] += time.perf_counter() - start
                while progress is not None and done * len(stream.blocks) < number * stream.end:
                    progress(done + 1, len(instructions), instructions[done])
                    done += 1
        for index, spent in enumerate(seconds):
            log.debug("%%%d = %s: %.3f ms", index, instructions[index].op, 1e3 * spent)
            if progress is not None and index >= done:
                progress(index + 1, len(instructions), instructions[index])
        assert total is not None
        return total

    def _compute(self, step: Step, block: int, stream: Stream, store: Store[Value]) -> Value:
        """Rows of an instruction from rows of its operands."""
        i = step.instruction
        instruction = self._circuit.instructions[i]
        if i in self._products:
            arrays, places = store.find(self._products[i].x, step.reads[0])
            try:
                return self._context.matrix_product_of(arrays, places, self._weights.share(i, self._products[i], block))
            except ValueError as error:
                raise self._refusal(i, error) from None
        operands = []
        for v, rows in zip(step.operands, step.reads, strict=True):
            whole = store.whole(v, rows)
            operands.append(self._context.gather(*store.find(v, rows)) if whole is None else whole)
        return self._apply(i, instruction, operands)

    def _load(self, index: int, instruction: Input, streams: Sequence[Buffer]) -> Value:
        """All of the client's vectors."""
        count = instruction.ciphertexts
        wanted = ((index, number) for number in range(count))
        with self._reading({instruction.name: streams}, wanted) as ciphertexts:
            arrays = list(ciphertexts)
        places = np.stack([np.arange(count), np.zeros(count, dtype=np.int64)], axis=1)
        gathered = arrays[0] if count == 1 else self._context.gather(arrays, places)
        return self._vectors(instruction, gathered, instruction.count)

    def _vectors(self, instruction: Input, x: Value, count: int) -> Value:
        """The vectors that some of the client's ciphertexts hold."""
        if instruction.VECTORS == 1:
            return x
        element = conjugation_element(self._spec.ring_degree)
        return self._context.separate(x, self._keys.galois(element), element, count)

    @contextmanager
    def _reading(
        self, given: Mapping[str, Sequence[Buffer]], wanted: Iterable[tuple[int, int]]
    ) -> Iterator[Iterator[Value]]:
        """Read ciphertexts, each an instruction and a number, by all threads and somewhat ahead of their use."""

        def read(index: int, number: int) -> Value:
            return self._read(index, number, given[self._inputs[index].name][number])

        if self._context.threads == 1:
            waits = Waits(read(index, number) for index, number in wanted)
            yield waits
        else:
            pool = ThreadPoolExecutor(self._context.threads, thread_name_prefix="hecc-reader")
            try:
                waits = Waits(read_ahead(pool, read, wanted))
                yield waits
            finally:
                pool.shutdown(cancel_futures=True)
        log.debug("%s for ciphertexts: %.3f ms", "waited", 1e3 * waits.seconds)

    def _read(self, index: int, number: int, stream: Buffer) -> Value:
        """One of the client's ciphertexts, checked to be what the circuit was verified for."""
        kind, degree = self._types[index], self._spec.ring_degree
        instruction = self._inputs[index]
        assert instruction.encoding_scale is not None
        scale = float(instruction.encoding_scale)
        where = f"input {instruction.name!r}, ciphertext {number}"
        parsed = read_ciphertext(
            stream, ring_degree=degree, limbs=kind.limbs, polynomials=kind.polynomials, where=where
        )
        if parsed.parms_id != self._level(kind.limbs):
            raise FileFormatError(f"{where}: encrypted for other primes; encrypt again for this plan")
        if not math.isclose(parsed.scale, scale, rel_tol=SCALE_TOLERANCE):
            raise FileFormatError(f"{where}: scale {parsed.scale:.9g}, not {scale:.9g}; encrypt again")
        try:
            residues = parsed.residues.reshape(-1).view(np.uint8)
            return self._context.read_ciphertext(residues, kind.polynomials, kind.limbs, parsed.seed)
        except ValueError as error:
            raise FileFormatError(f"{where}: {error}; encrypt again") from None

    def _save(self, index: int, instruction: Output, value: Value) -> list[bytes]:
        kind = self._types[instruction.x]
        identity, scale = self._level(kind.limbs), float(_exact(kind))
        return [write_ciphertext(identity, scale, residues) for residues in value.array()]

    def _level(self, limbs: int) -> bytes:
        return parms_id(self._spec.ring_degree, self._spec.data_primes[:limbs])

    def _add(self, index: int, instruction: Add, x: Value, y: Value) -> Value:
        return self._context.add(x, y)

    def _subtract(self, index: int, instruction: Subtract, x: Value, y: Value) -> Value:
        return self._context.subtract(x, y)

    def _negate(self, index: int, instruction: Negate, x: Value) -> Value:
        return self._context.negate(x)

    def _multiply(self, index: int, instruction: Multiply, x: Value, y: Value) -> Value:
        return self._context.multiply(x, y)

    def _square(self, index: int, instruction: Square, x: Value) -> Value:
        return self._context.square(x)

    def _relinearize(self, index: int, instruction: Relinearize, x: Value) -> Value:
        return self._context.relinearize(x, self._keys.relinearization())

    def _add_plain(self, index: int, instruction: AddPlain, x: Value) -> Value:
        scale = float(_exact(self._types[index]))
        return self._context.add_plain(x, self._weights.plaintext(index, instruction.vector, scale))

    def _multiply_plain(self, index: int, instruction: MultiplyPlain, x: Value) -> Value:
        assert instruction.scale is not None
        plaintext = self._weights.plaintext(index, instruction.vector, float(instruction.scale))
        return self._context.multiply_plain(x, plaintext)

    def _rotate(self, index: int, instruction: Rotate, x: Value) -> Value:
        if index in self._rotated:
            return self._rotated.pop(index)
        if index in self._hoisted:
            together = self._hoisted[index]
            elements, keys = self._logical([step for _, step in together])
            rotations = self._context.rotate_hoisted(x, keys, elements)
            self._rotated.update({i: rotation for (i, _), rotation in zip(together, rotations, strict=True)})
            return self._rotated.pop(index)
        (element,), (key,) = self._logical([instruction.step])
        return self._context.rotate(x, key, element)

    def _add_scalar(self, index: int, instruction: AddScalar, x: Value) -> Value:
        return self._context.add_scalar(x, instruction.value, float(_exact(self._types[index])))

    def _multiply_scalar(self, index: int, instruction: MultiplyScalar, x: Value) -> Value:
        assert instruction.scale is not None
        return self._context.multiply_scalar(x, instruction.value, float(instruction.scale))

    def _conjugate(self, index: int, instruction: Conjugate, x: Value) -> Value:
        element = conjugation_element(self._spec.ring_degree)
        return self._context.rotate(x, self._keys.galois(element), element)

    def _fold(self, index: int, instruction: Fold, x: Value) -> Value:
        elements, keys = self._logical(instruction.steps)
        return self._context.rotate_and_add(x, keys, elements) if keys else x

    def _rescale(self, index: int, instruction: Rescale, x: Value) -> Value:
        return self._context.rescale(x, instruction.limbs)

    def _drop_limbs(self, index: int, instruction: DropLimbs, x: Value) -> Value:
        return self._context.drop_limbs(x, instruction.limbs)

    def _raise(self, index: int, instruction: Raise, x: Value) -> Value:
        return self._context.raise_to(x, *self._keys.raising(), instruction.limbs)

    def _linear_transform(self, index: int, instruction: LinearTransform, x: Value) -> Value:
        transform = self._weights.transform(index, instruction)
        elements, keys = self._galois(transform.steps)
        return transform.apply(x, keys, elements, self._rotations_memory)

    def _fourier_factor(self, index: int, instruction: FourierFactor, x: Value) -> Value:
        transform = self._weights.factor(index, instruction)
        elements, keys = self._galois(transform.steps)
        results = []
        for i in range(x.count):
            one = x if x.count == 1 else self._context.gather([x], np.array([[0, i]]))
            results.append(transform.apply(one, keys, elements, self._rotations_memory))
        places = np.stack([np.arange(x.count), np.zeros(x.count, dtype=np.int64)], axis=1)
        return results[0] if x.count == 1 else self._context.gather(results, places)

    def _matrix_product(self, index: int, instruction: MatrixProduct, x: Value) -> Value:
        return self._context.matrix_product(x, self._weights.matrix(index, instruction))

    def _logical(self, steps: Sequence[int]) -> tuple[list[int], list[_evaluator.SwitchingKey]]:
        """Elements and keys of rotations by logical slots."""
        return self._galois([step * self._circuit.lanes for step in steps])

    def _galois(self, steps: Sequence[int]) -> tuple[list[int], list[_evaluator.SwitchingKey]]:
        """Elements and keys of rotations by slots of the ring."""
        elements = [galois_element(step, self._spec.ring_degree) for step in steps]
        return elements, [self._keys.galois(element) for element in elements]


def _refusing(rule: Callable[..., Value]) -> Callable[..., Value]:
    """A rule whose errors of the kernels become a sentence."""

    def computed(session: NativeSession, index: int, instruction: Instruction, *operands: Value) -> Value:
        try:
            return rule(session, index, instruction, *operands)
        except ValueError as error:
            raise session._refusal(index, error) from None

    return computed


_RULES: Reading[Callable[..., Any]] = Reading(
    "evaluation with the native kernels",
    INSTRUCTIONS,
    {
        Input: NativeSession._load,
        PairedInput: NativeSession._load,
        Output: NativeSession._save,
        Add: _refusing(NativeSession._add),
        Subtract: _refusing(NativeSession._subtract),
        Negate: _refusing(NativeSession._negate),
        Multiply: _refusing(NativeSession._multiply),
        Square: _refusing(NativeSession._square),
        Relinearize: _refusing(NativeSession._relinearize),
        AddPlain: _refusing(NativeSession._add_plain),
        MultiplyPlain: _refusing(NativeSession._multiply_plain),
        AddScalar: _refusing(NativeSession._add_scalar),
        MultiplyScalar: _refusing(NativeSession._multiply_scalar),
        Rotate: _refusing(NativeSession._rotate),
        Conjugate: _refusing(NativeSession._conjugate),
        Fold: _refusing(NativeSession._fold),
        LinearTransform: _refusing(NativeSession._linear_transform),
        FourierFactor: _refusing(NativeSession._fourier_factor),
        MatrixProduct: _refusing(NativeSession._matrix_product),
        Rescale: _refusing(NativeSession._rescale),
        DropLimbs: _refusing(NativeSession._drop_limbs),
        Raise: _refusing(NativeSession._raise),
    },
    dict.fromkeys((Polynomial, Bootstrap), "sessions expand macros when they are prepared"),
)


class _Keys:
    """Switching keys, checked when they are first used; their residues stay where the source has them."""

    RELINEARIZATION: ClassVar[int] = 0
    DENSE_TO_SPARSE: ClassVar[int] = 2
    SPARSE_TO_DENSE: ClassVar[int] = 4
    """These stand for the other keys among the Galois elements, which are odd."""

    def __init__(self, context: _evaluator.Context, source: KeySource) -> None:
        self._context = context
        self._source = source
        self._loaded: dict[int, _evaluator.SwitchingKey] = {}

    def relinearization(self) -> _evaluator.SwitchingKey:
        """The relinearisation key."""
        return self._get(self.RELINEARIZATION, "the relinearisation key", self._source.relinearization)

    def galois(self, element: int) -> _evaluator.SwitchingKey:
        """The key of one Galois element."""
        return self._get(element, f"the key of Galois element {element}", lambda: self._source.galois(element))

    def raising(self) -> tuple[_evaluator.SwitchingKey, _evaluator.SwitchingKey]:
        """The key to the sparse secret, and the key back."""
        kind, source = _evaluator.SwitchingKey, self._source
        return (
            self._get(
                self.DENSE_TO_SPARSE, "the key to the sparse secret", source.dense_to_sparse, kind.dense_to_sparse
            ),
            self._get(
                self.SPARSE_TO_DENSE, "the key from the sparse secret", source.sparse_to_dense, kind.sparse_to_dense
            ),
        )

    def clear(self) -> None:
        """Forget all keys."""
        self._loaded.clear()

    def _get(
        self,
        name: int,
        words: str,
        load: Callable[[], SwitchingKey],
        make: Callable[..., _evaluator.SwitchingKey] = _evaluator.SwitchingKey,
    ) -> _evaluator.SwitchingKey:
        if name not in self._loaded:
            residues: Any = load()
            try:
                self._loaded[name] = make(self._context, residues)
            except (ValueError, TypeError) as error:
                reason = str(error).splitlines()[0]
                raise FileFormatError(f"{words} is not one for this plan ({reason}); make new keys") from None
        return self._loaded[name]


def _exact(kind: ArrayType) -> Fraction:
    assert kind.scale is not None
    return kind.scale
