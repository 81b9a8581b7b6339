"""The verifier: derives the type of every value of a Circuit, and refuses a circuit that breaks a rule.

It is separate from every pass and trusts none. It runs after each of them, and once more when a server loads a plan, so
it must also be safe on a circuit that someone forged: every size is bounded before anything is allocated for it.

There is one rule per instruction, in one table. Before scale planning (``keys=None``) the rules check structure and
slot hygiene; afterwards limbs, scales, headroom and keys as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from hecc.runtime.ckks.circuit.bootstraps import expand_bootstrap, expand_macros
from hecc.runtime.ckks.circuit.instructions import (
    INSTRUCTIONS,
    Add,
    AddPlain,
    AddScalar,
    Bootstrap,
    Circuit,
    Conjugate,
    Diagonals,
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
    SparseMatrix,
    Square,
    Subtract,
    as_float,
    power_of_two,
)
from hecc.runtime.ckks.circuit.parameters import KeySpecification, conjugation_element, galois_element
from hecc.runtime.ckks.circuit.polynomials import Expanded, Expansion, constant_prefix, expand, expand_polynomials
from hecc.runtime.ckks.circuit.traits import Trait
from hecc.runtime.errors import CircuitError
from hecc.runtime.reading import Reading

__all__ = ["HEADROOM", "ArrayType", "Content", "matrix_entries", "verify", "verify_expanded", "verify_simulated"]

HEADROOM = 4
"""A value times its scale must stay below the modulus divided by this: a sign bit, and one bit for noise."""

MAX_INSTRUCTIONS = 1 << 16
MAX_POLYNOMIALS = 1 << 10
MAX_VALUE_SLOTS = 1 << 26
"""Slots of one value, over all its ciphertexts."""
MAX_TOTAL_SLOTS = 1 << 32
"""Slots of all values whose content differs from their operands'."""
MAX_CONSTANT_BYTES = 1 << 36
MAX_SCALE_BITS = 1 << 16
"""Bits of a scale's numerator or denominator; exact scales of legitimate circuits are far shorter."""
PIECE = 1 << 24
"""Slots whose content is looked at together."""
EXCERPT = 5
"""Instructions shown before and after a fault."""


class Content(IntEnum):
    """What a slot holds."""

    ZERO = 0
    DATA = 1
    JUNK = 2
    """A partial sum, which nothing may read before a fold has completed it."""


@dataclass(frozen=True, eq=False)
class ArrayType:
    """The type of a value: an array of ciphertexts.

    Attributes
    ----------
    count
        Number of ciphertexts.
    limbs
        Number of data primes in use, 0 before scale planning.
    scale
        Exact scale, ``None`` before scale planning.
    polynomials
        2, or 3 after a product until it is relinearised.
    content
        :class:`Content` of every slot, uint8 of shape (count, slots).
    partial
        0, or the period of the fold that has to follow before the slots are what they should be.
    period
        Slot ``s`` provably equals slot ``s + period``, cyclically; a power of two, ``slots`` when nothing is known.
    """

    count: int
    limbs: int
    scale: Fraction | None
    polynomials: int
    content: NDArray[np.uint8]
    partial: int
    period: int


def verify(
    circuit: Circuit, keys: KeySpecification | None, *, bounds: Mapping[int, float] | None = None
) -> list[ArrayType]:
    """Check every rule and derive the type of every value.

    Parameters
    ----------
    circuit
        The circuit.
    keys
        The key specification that it has to fit, or ``None`` before scale planning: then limbs, scales, headroom and
        keys are not looked at.
    bounds
        For some values the largest absolute value of a slot, for the headroom rule: :data:`HEADROOM` times scale times
        bound is below the product of the primes in use. Coefficients are no larger than slots times the scale.

    Returns
    -------
    list of ArrayType
        One type per instruction; an output has the type of its operand.

    Raises
    ------
    CircuitError
        With the first rule broken, the instruction's source, and the instructions around it.
    """
    return _verify(circuit, keys, bounds, {}, expanded=False)


def _verify(
    circuit: Circuit,
    keys: KeySpecification | None,
    bounds: Mapping[int, float] | None,
    bootstrapped: Mapping[int, ArrayType],
    *,
    expanded: bool,
) -> list[ArrayType]:
    """As :func:`verify`; of an ``expanded`` circuit with the types of values that were bootstraps.

    A bootstrap as a whole leaves zeros where they are, and what repeats; its instructions, one by one, do not show it.
    """
    _check_sizes(circuit, keys)
    context = _Context(circuit, keys, [], bounds, expanded)
    total = 0
    for index, instruction in enumerate(circuit.instructions):
        try:
            _check_operands(context, index, instruction)
            derived = _RULES.of(instruction)(context, instruction)
            if index in bootstrapped:
                derived = replace(derived, content=bootstrapped[index].content, period=bootstrapped[index].period)
            if not any(derived.content is context.types[v].content for v in instruction.operands):
                total += derived.content.size
            if total > MAX_TOTAL_SLOTS:
                raise CircuitError(f"the values have more than {MAX_TOTAL_SLOTS} slots in all")
            _check_level(context, derived, None if bounds is None else bounds.get(index))
        except CircuitError as fault:
            raise CircuitError(_report(circuit, index, str(fault))) from None
        context.types.append(derived)
    for kind, names in (
        ("input", [instruction.name for _, instruction in circuit.inputs()]),
        ("output", [instruction.name for _, instruction in circuit.outputs()]),
    ):
        if not names or len(set(names)) != len(names):
            raise CircuitError(f"circuit: {kind}s {names} are not one or more distinct names")
    return context.types


def verify_expanded(
    circuit: Circuit, keys: KeySpecification, *, bounds: Mapping[int, float] | None = None
) -> tuple[Circuit, list[ArrayType]]:
    """Verify a circuit and replace its polynomials and bootstraps by the instructions that evaluate them.

    Returns
    -------
    circuit
        The same where there is neither; what an evaluator runs.
    types
        Of its values.

    Raises
    ------
    CircuitError
        As :func:`verify`.
    """
    types = verify(circuit, keys, bounds=bounds)
    limbs, scales = [kind.limbs for kind in types], [kind.scale for kind in types]
    expanded = expand_macros(circuit, limbs, scales, keys.data_primes)
    if expanded.circuit is circuit:
        return circuit, types
    bootstrapped = {expanded.moved[index]: types[index] for index, _ in circuit.every(Bootstrap)}
    return expanded.circuit, _verify(expanded.circuit, keys, None, bootstrapped, expanded=True)


def verify_simulated(circuit: Circuit, keys: KeySpecification) -> tuple[Expanded, list[ArrayType]]:
    """Verify a circuit and replace its polynomials by the instructions that evaluate them; bootstraps stay whole.

    Returns
    -------
    expanded
        What simulators run, with where each value is.
    types
        Of its values.

    Raises
    ------
    CircuitError
        As :func:`verify`.
    """
    types = verify(circuit, keys)
    limbs, scales = [kind.limbs for kind in types], [kind.scale for kind in types]
    expanded = expand_polynomials(circuit, limbs, scales, keys.data_primes)
    return expanded, types if expanded.circuit is circuit else verify(expanded.circuit, keys)


def matrix_entries(
    diagonals: Diagonals, slots: int, *, limit: int = 1 << 20
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """The entries of a linear transform as a matrix: flat result slots, flat operand slots, values.

    A flat slot is ``ciphertext * slots + slot``. The entries come in pieces of whole diagonals, at most ``limit``
    entries each (or one diagonal), so that memory stays bounded.
    """
    offsets = diagonals.offsets
    start = 0
    while start < len(diagonals):
        stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + limit, side="right")) - 1)
        lengths = np.diff(offsets[start : stop + 1])
        part = slice(int(offsets[start]), int(offsets[stop]))
        shift = diagonals.baby[start:stop].astype(np.int64) + diagonals.giant[start:stop]
        base = diagonals.column[start:stop].astype(np.int64) * slots
        place = diagonals.slots[part].astype(np.int64)
        read = place + np.repeat(shift, lengths)
        read &= slots - 1
        read += np.repeat(base, lengths)
        place += np.repeat(diagonals.row[start:stop].astype(np.int64) * slots, lengths)
        yield place, read, diagonals.values[part]
        start = stop


@dataclass(frozen=True)
class _Context:
    """What the rules see: the circuit, the keys, the types of all earlier values, and the bounds of values."""

    circuit: Circuit
    keys: KeySpecification | None
    types: list[ArrayType]
    bounds: Mapping[int, float] | None
    expanded: bool
    """Whether it is what a bootstrap is made of."""

    @property
    def slots(self) -> int:
        """Logical slots of every ciphertext."""
        return self.circuit.slots

    def constant(self, name: str, dtype: str, count: int) -> NDArray[Any]:
        """A constant of shape (count, slots), checked."""
        return self.array(name, dtype, (count, self.slots))

    def array(self, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """A constant of a given shape, checked."""
        array = self.circuit.constants.get(name)
        if array is None:
            raise CircuitError(f"constant {name!r} is missing")
        if array.shape != shape or array.dtype != np.dtype(dtype):
            raise CircuitError(
                f"constant {name!r} is {array.dtype} of shape {array.shape}, not {np.dtype(dtype)} of shape {shape}"
            )
        return array

    def occupied(self, name: str, count: int) -> NDArray[np.uint8]:
        """A mask of slots, checked."""
        mask = self.constant(name, "<u1", count)
        if int(mask.max()) > 1:
            raise CircuitError(f"constant {name!r} is a mask but holds {int(mask.max())}")
        return mask

    def plain(self, name: str, x: ArrayType, scale: Fraction | None) -> NDArray[np.float64]:
        """A vector of slot values, checked to be finite and to fit the modulus at ``scale``."""
        vector = self.constant(name, "<f8", x.count)
        self.check_magnitude(vector, x, scale)
        return vector

    def check_magnitude(self, values: NDArray[Any], x: ArrayType, scale: Fraction | None) -> None:
        """Refuse plaintext values that are not finite or that do not fit the modulus of ``x`` at ``scale``."""
        largest = float(np.abs(values).max())
        if not math.isfinite(largest):
            raise CircuitError("a constant is not finite")
        if self.keys is not None and scale is not None and 2 * scale * Fraction(largest) >= self.modulus(x.limbs):
            raise CircuitError(f"a constant of {largest:.3g} at scale {power_of_two(scale)} exceeds the modulus")

    def modulus(self, limbs: int) -> int:
        """Product of the first ``limbs`` data primes."""
        assert self.keys is not None
        return math.prod(self.keys.data_primes[:limbs])

    def plain_scale(self, scale: Fraction | None) -> Fraction | None:
        """The scale of a plaintext operand, checked; ``None`` before scale planning."""
        if self.keys is None:
            return None
        if scale is None:
            raise CircuitError("the scale of the plaintext is missing")
        _check_scale(scale)
        return scale

    def check_rotation(self, step: int, limbs: int) -> None:
        """Refuse a rotation that is out of range or has no key at this level."""
        if not 0 < step < self.slots:
            raise CircuitError(f"a rotation by {step} is outside 1..{self.slots - 1}")
        if self.keys is not None:
            element = galois_element(step * self.circuit.lanes, self.keys.ring_degree)
            self._check_galois(element, f"rotation key for step {step}", limbs)

    def check_ring_rotation(self, step: int, limbs: int) -> None:
        """Refuse a rotation of the ring's slots that has no key at this level."""
        if self.keys is not None:
            element = galois_element(step, self.keys.ring_degree)
            self._check_galois(element, f"rotation key for step {step} of the ring's slots", limbs)

    def check_conjugation(self, limbs: int) -> None:
        """Refuse a conjugation that has no key at this level."""
        if self.keys is not None:
            self._check_galois(conjugation_element(self.keys.ring_degree), "conjugation key", limbs)

    def check_raising(self, limbs: int) -> None:
        """Refuse a raise for which there are no keys, or not to so many limbs."""
        assert self.keys is not None
        encapsulation = self.keys.encapsulation
        if encapsulation is msgspec.UNSET:
            raise CircuitError("the keys that raise a value, to a sparse secret and back, are missing")
        if encapsulation.limbs < limbs:
            raise CircuitError(f"a value is raised to {limbs} limbs, but the key is for {encapsulation.limbs}")

    def _check_galois(self, element: int, what: str, limbs: int) -> None:
        assert self.keys is not None
        present = max((key.limbs for key in self.keys.galois if key.element == element), default=0)
        if present < limbs:
            found = f"only for {present} limbs" if present else "missing"
            raise CircuitError(f"the {what} (element {element}) at {limbs} limbs is {found}")


def _check_sizes(circuit: Circuit, keys: KeySpecification | None) -> None:
    """Rules for the circuit as a whole."""
    for what, number in (("slots", circuit.slots), ("lanes", circuit.lanes)):
        if number < 1 or number & (number - 1) or number > 1 << 16:
            raise CircuitError(f"circuit: {number} {what} is not a power of two up to 65536")
    largest = 1 << 16 if keys is None else keys.slots
    if circuit.period > largest:
        raise CircuitError(f"circuit: {circuit.slots} slots of {circuit.lanes} lanes do not fit the ring's {largest}")
    if not 0 < len(circuit.instructions) <= MAX_INSTRUCTIONS:
        raise CircuitError(f"circuit: {len(circuit.instructions)} instructions is outside 1..{MAX_INSTRUCTIONS}")
    polynomials = len(tuple(circuit.every(Polynomial)))
    if polynomials > MAX_POLYNOMIALS:
        raise CircuitError(f"circuit: {polynomials} polynomials are more than {MAX_POLYNOMIALS}")
    size = sum(array.nbytes for array in circuit.constants.values())
    if size > MAX_CONSTANT_BYTES:
        raise CircuitError(f"circuit: {size} bytes of constants are more than {MAX_CONSTANT_BYTES}")


def _check_operands(context: _Context, index: int, instruction: Instruction) -> None:
    """SSA form: operands are earlier values, and outputs are not values to compute with."""
    if type(instruction) not in _RULES:
        raise CircuitError(f"instruction {instruction.op!r} is unknown")
    for operand in instruction.operands:
        if not 0 <= operand < index:
            raise CircuitError(f"operand %{operand} is not an earlier value")
        if isinstance(context.circuit.instructions[operand], Output):
            raise CircuitError(f"operand %{operand} is an output")


def _check_scale(scale: Fraction) -> None:
    """A scale is positive, and short enough that exact arithmetic on it stays cheap."""
    if scale <= 0:
        raise CircuitError("a scale is not positive")
    if max(scale.numerator.bit_length(), scale.denominator.bit_length()) > MAX_SCALE_BITS:
        raise CircuitError(f"a scale is a fraction of more than {MAX_SCALE_BITS} bits")


def _check_level(context: _Context, value: ArrayType, bound: float | None) -> None:
    """Limbs and scale fit each other, and the value fits the modulus."""
    if context.keys is None:
        return
    assert value.scale is not None
    _check_scale(value.scale)
    modulus = context.modulus(value.limbs)
    if not value.scale < modulus:
        raise CircuitError(
            f"scale {power_of_two(value.scale)} is not below the modulus, {power_of_two(Fraction(modulus))}"
        )
    if bound is None:
        return
    if not (math.isfinite(bound) and bound >= 0):
        raise CircuitError(f"the bound {bound} is not a finite magnitude")
    needed = HEADROOM * value.scale * Fraction(bound)
    if needed >= modulus:
        raise CircuitError(
            f"headroom: {HEADROOM} x scale {power_of_two(value.scale)} x bound {bound:.3g} is {power_of_two(needed)}, "
            f"but the modulus of {value.limbs} limbs is {power_of_two(Fraction(modulus))}"
        )


def _two_polynomials(x: ArrayType) -> None:
    if x.polynomials != 2:
        raise CircuitError("an operand has three polynomials and has to be relinearised first")


def _whole(x: ArrayType) -> None:
    if x.partial:
        raise CircuitError(f"partial sums are read as data: a fold with period {x.partial} has to come first")


def _same(x: ArrayType, y: ArrayType, *, scale: bool) -> None:
    """Two operands that meet slot by slot."""
    if x.count != y.count:
        raise CircuitError(f"the operands have {x.count} and {y.count} ciphertexts")
    if x.limbs != y.limbs:
        raise CircuitError(f"the operands have {x.limbs} and {y.limbs} limbs")
    if scale and x.scale != y.scale:
        assert x.scale is not None
        assert y.scale is not None
        raise CircuitError(
            f"the operands have different scales: {power_of_two(x.scale)} and {power_of_two(y.scale)}, "
            f"a relative difference of {as_float(abs(x.scale / y.scale - 1)):.3g}"
        )


def _input(context: _Context, instruction: Input) -> ArrayType:
    if instruction.count < 1 or instruction.count * context.slots > MAX_VALUE_SLOTS:
        raise CircuitError(f"{instruction.count} ciphertexts are outside 1..{MAX_VALUE_SLOTS // context.slots}")
    content = context.occupied(instruction.occupied, instruction.count)
    period = instruction.period
    if period < 1 or context.slots % period or bool((content != np.roll(content, period, axis=1)).any()):
        raise CircuitError(f"the data of an input cannot repeat every {period} of {context.slots} slots")
    limbs, scale = 0, None
    if context.keys is not None:
        if instruction.limbs is None or instruction.scale is None:
            raise CircuitError("the limbs or the scale of an input are missing")
        limbs, scale = instruction.limbs, instruction.scale
        if not 1 <= limbs <= len(context.keys.data_primes):
            raise CircuitError(f"{limbs} limbs are outside 1..{len(context.keys.data_primes)}, the modulus chain")
        if Trait.CONJUGATES in instruction.traits:
            context.check_conjugation(limbs)
    return ArrayType(instruction.count, limbs, scale, 2, content, partial=0, period=period)


def _output(context: _Context, instruction: Output) -> ArrayType:
    x = context.types[instruction.x]
    _two_polynomials(x)
    _whole(x)
    occupied = context.occupied(instruction.occupied, x.count)
    leaks = (occupied == 0) & (x.content != Content.ZERO)
    if bool(leaks.any()):
        ciphertext, slot = np.argwhere(leaks)[0]
        raise CircuitError(
            f"slot hygiene: {int(leaks.sum())} slots outside the output are not zero, the first is slot {slot} of "
            f"ciphertext {ciphertext}; they would show the client intermediate values"
        )
    return x


def _add(context: _Context, instruction: Add | Subtract) -> ArrayType:
    x, y = context.types[instruction.x], context.types[instruction.y]
    _same(x, y, scale=True)
    if x.partial != y.partial:
        raise CircuitError(f"the operands are partial sums of periods {x.partial} and {y.partial}")
    return replace(
        x,
        polynomials=max(x.polynomials, y.polynomials),
        content=np.maximum(x.content, y.content),
        period=max(x.period, y.period),
    )


def _unchanged(context: _Context, instruction: Negate) -> ArrayType:
    return context.types[instruction.x]


def _product(x: ArrayType, y: ArrayType) -> ArrayType:
    _two_polynomials(x)
    _two_polynomials(y)
    _whole(x)
    _whole(y)
    _same(x, y, scale=False)
    scale = None if x.scale is None or y.scale is None else x.scale * y.scale
    content = np.minimum(x.content, y.content)
    return replace(x, scale=scale, polynomials=3, content=content, period=max(x.period, y.period))


def _multiply(context: _Context, instruction: Multiply) -> ArrayType:
    return _product(context.types[instruction.x], context.types[instruction.y])


def _square(context: _Context, instruction: Square) -> ArrayType:
    return _product(context.types[instruction.x], context.types[instruction.x])


def _relinearize(context: _Context, instruction: Relinearize) -> ArrayType:
    x = context.types[instruction.x]
    if x.polynomials != 3:
        raise CircuitError("only three polynomials can be relinearised")
    if context.keys is not None and context.keys.relinearization_limbs < x.limbs:
        raise CircuitError(
            f"relinearisation at {x.limbs} limbs, but the key is for {context.keys.relinearization_limbs}"
        )
    return replace(x, polynomials=2)


def _add_plain(context: _Context, instruction: AddPlain) -> ArrayType:
    x = context.types[instruction.x]
    _whole(x)
    vector = context.plain(instruction.vector, x, x.scale)
    content = np.maximum(x.content, (vector != 0).astype(np.uint8))
    return replace(x, content=content, period=max(x.period, _period(vector)))


def _multiply_plain(context: _Context, instruction: MultiplyPlain) -> ArrayType:
    x = context.types[instruction.x]
    _whole(x)
    scale = context.plain_scale(instruction.scale)
    vector = context.plain(instruction.vector, x, scale)
    content = np.minimum(x.content, (vector != 0).astype(np.uint8))
    product = None if x.scale is None or scale is None else x.scale * scale
    return replace(x, scale=product, content=content, period=max(x.period, _period(vector)))


def _scalar(context: _Context, value: float, x: ArrayType, scale: Fraction | None) -> int:
    """The content of a number in all slots, checked as that of a vector."""
    context.check_magnitude(np.array(value), x, scale)
    return Content.DATA if value != 0 else Content.ZERO


def _add_scalar(context: _Context, instruction: AddScalar) -> ArrayType:
    x = context.types[instruction.x]
    _whole(x)
    added = _scalar(context, instruction.value, x, x.scale)
    return x if added == Content.ZERO else replace(x, content=np.maximum(x.content, np.uint8(added)))


def _multiply_scalar(context: _Context, instruction: MultiplyScalar) -> ArrayType:
    x = context.types[instruction.x]
    scale = context.plain_scale(instruction.scale)
    factor = _scalar(context, instruction.value, x, scale)
    product = None if x.scale is None or scale is None else x.scale * scale
    content = np.zeros_like(x.content) if factor == Content.ZERO else x.content
    return replace(x, scale=product, content=content)


def _rotate(context: _Context, instruction: Rotate) -> ArrayType:
    x = context.types[instruction.x]
    _two_polynomials(x)
    _whole(x)
    context.check_rotation(instruction.step, x.limbs)
    return replace(x, content=np.roll(x.content, -instruction.step, axis=1))


def _conjugate(context: _Context, instruction: Conjugate) -> ArrayType:
    x = context.types[instruction.x]
    _two_polynomials(x)
    context.check_conjugation(x.limbs)
    return x


def _fold(context: _Context, instruction: Fold) -> ArrayType:
    x = context.types[instruction.x]
    _two_polynomials(x)
    period, span, slots = instruction.period, instruction.span, context.slots
    if not 0 < period <= span <= slots or period & (period - 1) or span & (span - 1):
        raise CircuitError(f"a fold from span {span} to period {period} is not of powers of two up to {slots} slots")
    if span % x.period:
        raise CircuitError(f"a fold over span {span} needs an operand that repeats with it, not with {x.period}")
    if x.partial and x.partial != period:
        raise CircuitError(f"partial sums of period {x.partial} meet a fold of period {period}")
    for step in instruction.steps:
        context.check_rotation(step, x.limbs)
    # Only partial sums are junk, and this fold completes them.
    some = (x.content != Content.ZERO).reshape(x.count, slots // period, period).any(axis=1)
    content = np.tile(some.astype(np.uint8), (1, slots // period))
    return replace(x, content=content, partial=0, period=period)


def _linear_transform(context: _Context, instruction: LinearTransform) -> ArrayType:
    x = context.types[instruction.x]
    slots, count, partial = context.slots, instruction.count, instruction.partial
    _two_polynomials(x)
    if count < 1 or count * slots > MAX_VALUE_SLOTS:
        raise CircuitError(f"{count} ciphertexts are outside 1..{MAX_VALUE_SLOTS // slots}")
    if partial < 0 or partial > slots or partial & (partial - 1):
        raise CircuitError(f"partial sums of period {partial}: not zero or a power of two up to {slots}")
    diagonals = context.circuit.diagonals(instruction)
    diagonals.check(count=count, columns=x.count, slots=slots)
    # No overflow: rows times slots and columns times slots are at most 2^26.
    order = diagonals.giant.astype(np.int64)
    for array, limit in ((diagonals.row, count), (diagonals.column, x.count), (diagonals.baby, slots)):
        order = order * limit + array
    if not bool((np.diff(order) > 0).all()):
        raise CircuitError("the diagonals are not in the order (giant, row, column, baby), each once")
    scale = context.plain_scale(instruction.scale)
    context.check_magnitude(diagonals.values, x, scale)
    for steps in (diagonals.baby, diagonals.giant):
        for step in np.unique(steps[steps > 0]).tolist():
            context.check_rotation(step, x.limbs)
    content = np.zeros(count * slots, dtype=np.uint8)
    source = x.content.reshape(-1)
    for place, read, values in matrix_entries(diagonals, slots):
        found = source[read]
        found *= values != 0
        if x.partial and int(found.max()) == Content.JUNK:
            slot = int(read[np.argmax(found)])
            raise CircuitError(
                f"slot hygiene: slot {slot % slots} of ciphertext {slot // slots} of %{instruction.x} is junk but is "
                f"read as data; a fold with period {x.partial} has to come first"
            )
        content[place[found != 0]] = Content.JUNK if partial else Content.DATA
    product = None if x.scale is None or scale is None else x.scale * scale
    period = max(x.period, _diagonals_period(diagonals, slots)) if x.period < slots else slots
    return ArrayType(count, x.limbs, product, 2, content.reshape(count, slots), partial, period)


def _matrix_product(context: _Context, instruction: MatrixProduct) -> ArrayType:
    x, count = context.types[instruction.x], instruction.count
    if count < 1 or count * context.slots > MAX_VALUE_SLOTS:
        raise CircuitError(f"{count} ciphertexts are outside 1..{MAX_VALUE_SLOTS // context.slots}")
    matrix = context.circuit.matrix(instruction)
    matrix.check(count=count, columns=x.count)
    scale = context.plain_scale(instruction.scale)
    context.check_magnitude(matrix.values, x, scale)
    product = None if x.scale is None or scale is None else x.scale * scale
    content = _product_content(matrix, x.content)
    if instruction.bias is not None:
        _whole(x)
        bias = context.array(instruction.bias, "<f8", (count,))
        context.check_magnitude(bias, x, product)
        content[bias != 0] = Content.DATA
    # Scalars are the same in all slots: partial sums stay partial sums, and what repeats goes on repeating.
    return replace(x, count=count, scale=product, content=content)


def _product_content(matrix: SparseMatrix, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Content of the rows of a matrix product: the largest of the columns that a row reads."""
    used = matrix.values != 0
    # Most ciphertexts have the same content, so that a row reads a few patterns, however many its entries.
    first: dict[bytes, int] = {}
    pattern = np.array([first.setdefault(row.tobytes(), column) for column, row in enumerate(content)])
    read = np.unique(matrix.rows[used] * len(content) + pattern[matrix.columns[used]])
    rows, columns = read // len(content), read % len(content)
    result = np.zeros((len(matrix), content.shape[1]), dtype=np.uint8)
    start = 0
    while start < len(rows):
        # Whole rows at a time.
        limit = start + max(1, PIECE // content.shape[1])
        stop = len(rows) if limit >= len(rows) else int(np.searchsorted(rows, rows[limit], side="left"))
        if stop == start:
            stop = int(np.searchsorted(rows, rows[start], side="right"))
        found, starts = np.unique(rows[start:stop], return_index=True)
        result[found] = np.maximum.reduceat(content[columns[start:stop]], starts, axis=0)
        start = stop
    return result


def _polynomial(context: _Context, instruction: Polynomial) -> ArrayType:
    """The type of what it expands to."""
    x = context.types[instruction.x]
    _two_polynomials(x)
    _whole(x)
    coefficients = context.circuit.constants.get(instruction.coefficients)
    if coefficients is None:
        raise CircuitError(f"constant {instruction.coefficients!r} is missing")
    if coefficients.ndim == 3 and coefficients.shape[1:] != (x.count, context.slots):
        raise CircuitError(
            f"constant {instruction.coefficients!r} has shape {coefficients.shape}, not (degree + 1, {x.count}, "
            f"{context.slots})"
        )
    primes: tuple[int, ...] = ()
    if context.keys is not None:
        if instruction.scale is None or instruction.dropped is None:
            raise CircuitError("the scale or the dropped limbs of a polynomial are missing")
        _check_scale(instruction.scale)
        primes = context.keys.data_primes
        if sum(instruction.dropped) >= x.limbs:
            raise CircuitError(f"{sum(instruction.dropped)} of {x.limbs} limbs are dropped, none would be left")
    expansion = expand(
        instruction,
        coefficients,
        limbs=x.limbs,
        scale=x.scale,
        primes=primes,
        prefix=constant_prefix(context.circuit, len(context.types)),
        bound=None if context.bounds is None else context.bounds.get(instruction.x),
    )
    return _last_of(context, x, expansion, "polynomial")


def _last_of(context: _Context, x: ArrayType, expansion: Expansion, macro: str) -> ArrayType:
    """The type of the last instruction of an expansion, each of which has to keep its own rule."""
    constants = {**context.circuit.constants, **expansion.constants}
    steps = Circuit(context.slots, expansion.instructions, constants, context.circuit.lanes)
    inner = _Context(steps, context.keys, [x], None, expanded=True)
    total = 0
    for number, step in enumerate(expansion.instructions):
        try:
            derived = _RULES.of(step)(inner, step)
            _check_level(inner, derived, expansion.bounds.get(number))
            if not any(derived.content is inner.types[v].content for v in step.operands):
                total += derived.content.size
            if total > MAX_TOTAL_SLOTS:
                raise CircuitError(f"its steps have more than {MAX_TOTAL_SLOTS} slots in all")
        except CircuitError as fault:
            raise CircuitError(f"{macro}: {fault}; in step {number + 1}, {step.op}, of its expansion") from None
        inner.types.append(derived)
    return inner.types[-1]


def _fourier_factor(context: _Context, instruction: FourierFactor) -> ArrayType:
    """All slots of the ring meet, and with them all logical ones."""
    x = context.types[instruction.x]
    if not context.expanded:
        raise CircuitError("a factor of a Fourier transform stands alone, and only bootstraps are made of them")
    _two_polynomials(x)
    _whole(x)
    if context.keys is not None and instruction.slots != context.keys.slots:
        raise CircuitError(f"a Fourier transform of {instruction.slots} slots in a ring of {context.keys.slots}")
    scale = context.plain_scale(instruction.scale)
    for step in sorted({step for pair in instruction.pairs for step in pair} - {0}):
        context.check_ring_rotation(step, x.limbs)
    product = None if x.scale is None or scale is None else x.scale * scale
    content = np.full(x.content.shape, Content.DATA, dtype=np.uint8)
    return replace(x, scale=product, content=content, period=context.slots)


def _bootstrap(context: _Context, instruction: Bootstrap) -> ArrayType:
    """The limbs and the scale of what it expands to; slots that are zero stay so, and what repeats goes on."""
    x = context.types[instruction.x]
    primes: tuple[int, ...] = ()
    _two_polynomials(x)
    _whole(x)
    if context.keys is not None:
        keys = context.keys
        if instruction.scale is None or instruction.dropped is None or instruction.limbs is None:
            raise CircuitError("the scale, the limbs or the dropped limbs of a bootstrap are missing")
        _check_scale(instruction.scale)
        if keys.encapsulation is msgspec.UNSET or keys.encapsulation.weight != instruction.weight:
            found = "none" if keys.encapsulation is msgspec.UNSET else f"one of weight {keys.encapsulation.weight}"
            raise CircuitError(
                f"a bootstrap under a sparse secret of weight {instruction.weight}; the keys have {found}"
            )
        if not 2 <= instruction.limbs <= len(keys.data_primes):
            raise CircuitError(f"a bootstrap to {instruction.limbs} of {len(keys.data_primes)} limbs")
        if sum(instruction.dropped[1:]) >= instruction.limbs:
            raise CircuitError(f"{sum(instruction.dropped[1:])} of {instruction.limbs} limbs are dropped, none is left")
        primes = keys.data_primes
    bound = None if context.bounds is None else context.bounds.get(instruction.x)
    expansion = expand_bootstrap(instruction, limbs=x.limbs, scale=x.scale, primes=primes, bound=bound)
    last = _last_of(context, x, expansion, "bootstrap")
    return replace(last, content=x.content, period=x.period)


def _remaining(context: _Context, x: ArrayType, dropped: int) -> int:
    """Limbs left after ``dropped`` are gone, checked."""
    if dropped < 1:
        raise CircuitError(f"{dropped} limbs cannot be dropped")
    if context.keys is None:
        return 0
    if dropped >= x.limbs:
        raise CircuitError(f"{dropped} of {x.limbs} limbs are dropped, none would be left")
    return x.limbs - dropped


def _rescale(context: _Context, instruction: Rescale) -> ArrayType:
    x = context.types[instruction.x]
    limbs = _remaining(context, x, instruction.limbs)
    if context.keys is None or x.scale is None:
        return x
    return replace(x, limbs=limbs, scale=x.scale / math.prod(context.keys.data_primes[limbs : x.limbs]))


def _drop_limbs(context: _Context, instruction: DropLimbs) -> ArrayType:
    x = context.types[instruction.x]
    return replace(x, limbs=_remaining(context, x, instruction.limbs))


def _raise(context: _Context, instruction: Raise) -> ArrayType:
    """Multiples of the first prime are in all slots, and repeat nowhere."""
    x = context.types[instruction.x]
    _two_polynomials(x)
    _whole(x)
    limbs = 0
    if context.keys is not None:
        limbs, most = instruction.limbs, len(context.keys.data_primes)
        if x.limbs != 1:
            raise CircuitError(f"a value of {x.limbs} limbs is raised, and only values of one limb can be")
        if not 2 <= limbs <= most:
            raise CircuitError(f"a value is raised to {limbs} limbs, outside 2..{most}, the modulus chain")
        context.check_raising(limbs)
    content = np.full(x.content.shape, Content.DATA, dtype=np.uint8)
    return replace(x, limbs=limbs, content=content, period=context.slots)


_RULES: Reading[Callable[[_Context, Any], ArrayType]] = Reading(
    "the types of values",
    INSTRUCTIONS,
    {
        Input: _input,
        PairedInput: _input,
        Output: _output,
        Add: _add,
        Subtract: _add,
        Negate: _unchanged,
        Multiply: _multiply,
        Square: _square,
        Relinearize: _relinearize,
        AddPlain: _add_plain,
        MultiplyPlain: _multiply_plain,
        AddScalar: _add_scalar,
        MultiplyScalar: _multiply_scalar,
        Rotate: _rotate,
        Conjugate: _conjugate,
        Fold: _fold,
        LinearTransform: _linear_transform,
        MatrixProduct: _matrix_product,
        Polynomial: _polynomial,
        FourierFactor: _fourier_factor,
        Bootstrap: _bootstrap,
        Rescale: _rescale,
        DropLimbs: _drop_limbs,
        Raise: _raise,
    },
)


def _period(vector: NDArray[Any]) -> int:
    """Smallest power of two with which the rows of ``vector`` repeat."""
    period: int = vector.shape[1]
    while period > 1 and np.array_equal(vector[:, : period // 2], vector[:, period // 2 : period]):
        period //= 2
    return period


def _diagonals_period(diagonals: Diagonals, slots: int) -> int:
    """Smallest power of two with which all diagonals repeat."""
    number = np.repeat(np.arange(len(diagonals)), np.diff(diagonals.offsets))
    place, values = diagonals.slots.astype(np.int64), diagonals.values
    period = slots
    while period > 1:
        half = period // 2
        lower, upper = place < half, (place >= half) & (place < period)
        if not (
            np.array_equal(number[lower], number[upper])
            and np.array_equal(place[lower] + half, place[upper])
            and np.array_equal(values[lower], values[upper])
        ):
            break
        period = half
    return period


def _report(circuit: Circuit, index: int, fault: str) -> str:
    """The fault, where it is, and the instructions around it."""
    source = circuit.instructions[index].source
    where = f"%{index} ({source})" if source else f"%{index}"
    lines = str(circuit).split("\n")[1:]
    first = max(0, index - EXCERPT)
    last = min(len(lines), index + EXCERPT + 1)
    shown = [("> " if i == index else "  ") + lines[i].strip() for i in range(first, last)]
    return "\n".join([f"circuit: {fault}; at {where}:", *shown])
