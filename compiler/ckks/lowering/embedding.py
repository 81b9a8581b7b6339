"""Embedding: an affine map between two layouts, as diagonals with baby steps and giant steps.

Slot ``s`` of the result reads slot ``s + d`` of the argument through *diagonal* ``d``. Which diagonals there are
follows from index arithmetic on the map's non-zeros; nothing of size slots x slots is ever built, and memory is linear
in the non-zeros. Three embeddings come out of one rule:

* *Single-shot multiplexed convolution* (Ebel, Garimella and Reagen, Orion, ASPLOS 2025, section 4): when the result's
  layout widens the gap by the stride, a strided convolution is one transform of one level, with few diagonals.
* *Hybrid* (Juvekar et al., GAZELLE, USENIX Security 2018, section 4): when the result repeats with a short period
``m``,
  only diagonals below ``m`` are used, their partial sums land on all slots congruent modulo ``m``, and a rotate-and-add
  over the copies completes them. It works from any layout of the argument, and leaves no slot that is neither data nor
  zero.
* *Square*: everything else, one diagonal per distance between an element and a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hecc.compiler.graph.affine import AffineMap, Parameters
from hecc.runtime.ckks.circuit.instructions import Diagonals
from hecc.runtime.ckks.circuit.layout import Layout

__all__ = ["Embedding", "Sharing", "Split", "embed", "measure", "split"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """A baby-step/giant-step split: diagonal ``origin + g * baby_steps + b`` has baby step ``b``.

    Attributes
    ----------
    baby_steps
        Number of baby steps, at most.
    origin
        Where counting starts; it belongs to the giant step.
    babies, giants
        Baby rotations summed over the argument's ciphertexts, and giant rotations summed over the result's.
    steps
        By how many slots they rotate, by ascending number: each step needs a key.
    """

    baby_steps: int
    origin: int
    babies: int
    giants: int
    steps: tuple[int, ...] = ()

    @property
    def rotations(self) -> int:
        """Both together."""
        return self.babies + self.giants


@dataclass(frozen=True)
class Sharing:
    """What keys cost that a split needs beyond those that there are.

    Attributes
    ----------
    key
        Cost of a key, relative to that of rotations.
    available
        Steps that others rotate by, whose keys cost nothing more.
    sizes
        Numbers of baby steps to try besides: those of others, whose steps may then be the same.
    """

    key: float
    available: frozenset[int] = frozenset()
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Embedding:
    """The cost of one transform under a pair of layouts.

    Attributes
    ----------
    places
        The diagonals in use as sorted keys ``(row * columns + column) * slots + diagonal``.
    source, target
        Layouts of the argument and of the result.
    weights
        Cost of a baby and of a giant rotation, relative to each other.
    sharing
        What keys cost, where that matters.
    """

    places: Ints
    source: Layout
    target: Layout
    weights: tuple[float, float] = (1.0, 1.0)
    sharing: Sharing | None = None

    @cached_property
    def split(self) -> Split:
        """The best baby-step/giant-step split; computed when asked for, because most candidates are never used."""
        return split(self.places, self.source, self.target, self.weights, self.sharing)

    @property
    def fold(self) -> tuple[int, int] | None:
        """(period, span) of the rotate-and-add that follows, or None where every slot is complete at once."""
        return (self.target.period, self.source.period) if _folds(self.source, self.target) else None

    @property
    def diagonals(self) -> int:
        """How many plaintext products the transform needs."""
        return len(self.places)

    @property
    def rotations(self) -> int:
        """How many rotations the transform needs, the fold's included."""
        return self.split.rotations + self.folds

    @property
    def folds(self) -> int:
        """How many of them are the fold's."""
        return (self.fold[1] // self.fold[0]).bit_length() - 1 if self.fold else 0


def _folds(source: Layout, target: Layout) -> bool:
    """Whether a transform between two layouts leaves partial sums."""
    return target.period < target.slots and source.period > target.period


def _place(source: Layout, target: Layout, rows: Ints, columns: Ints) -> tuple[Ints, Ints]:
    """For each non-zero, the key of its diagonal and the result's slot that it adds to (one copy of it)."""
    slots = source.slots
    read = source.positions[columns]
    write = target.positions[rows]
    read_slot, write_slot = read % slots, write % slots
    if _folds(source, target):
        diagonal = (read_slot - write_slot) % target.period
        write_slot = (read_slot - diagonal) % source.period
    else:
        diagonal = (read_slot - write_slot) % source.period
    return ((write // slots) * source.count + read // slots) * slots + diagonal, write_slot


def measure(
    m: AffineMap,
    parameters: Parameters,
    pairs: list[tuple[Layout, Layout]],
    weights: tuple[float, float] = (1.0, 1.0),
) -> list[Embedding]:
    """What a map costs under each of several pairs (layout of the argument, layout of the result).

    ``weights`` are what a baby and a giant rotation cost, relative to each other.
    """
    seen = [np.zeros(source.count * target.count * source.slots, dtype=bool) for source, target in pairs]
    for rows, columns, _ in m.entries(parameters):
        for marks, (source, target) in zip(seen, pairs, strict=True):
            marks[_place(source, target, rows, columns)[0]] = True
    for marks in seen:
        # A map that is zero everywhere keeps one diagonal, of a zero: an instruction has a result.
        marks[0] |= not marks.any()
    return [
        Embedding(np.flatnonzero(marks), source, target, weights)
        for marks, (source, target) in zip(seen, pairs, strict=True)
    ]


def split(
    places: Ints,
    source: Layout,
    target: Layout,
    weights: tuple[float, float] = (1.0, 1.0),
    sharing: Sharing | None = None,
) -> Split:
    """The split whose rotations cost least, and the keys for them where these have a cost.

    Diagonals of a convolution come in clusters a row of pixels apart, so the multiples of the row pitch are tried
    besides small numbers and powers of two, each counted from the largest cyclic gap on and from zero on.
    """
    slots = source.slots
    # 32 bits divide several times faster, and places are below count * count * slots.
    diagonal, block = (places % slots).astype(np.int32), places // slots
    row, column = block // source.count, block % source.count
    distinct = np.unique(diagonal)
    if len(distinct) == 0:
        return Split(1, 0, 0, 0)
    gaps = np.diff(distinct, append=distinct[0] + slots)
    after_gap = int(distinct[(int(np.argmax(gaps)) + 1) % len(distinct)])
    strides = {d.stride for layout in (source, target) for axis in layout.axes for d in axis if 0 < d.stride < slots}
    root = int(np.sqrt(len(distinct))) + 1
    sizes = {*range(1, 2 * root + 1), *(1 << k for k in range(slots.bit_length()))}
    sizes |= {stride * k for stride in strides for k in range(1, 17)}
    owned = np.zeros(slots, dtype=bool)
    if sharing is not None:
        sizes |= set(sharing.sizes)
        owned[list(sharing.available)] = True
    best, least = Split(1, 0, 0, 0), np.inf
    ordered = sorted(s for s in sizes if s <= slots)
    tried = [(origin, size) for origin in sorted({0, after_gap}) for size in ordered]
    if sharing is not None:
        # Giant steps that are multiples of the baby steps are more likely to be those of others.
        tried += [(after_gap - after_gap % size, size) for size in ordered]
    for origin, size in tried:
        shifted = (diagonal - origin) % slots
        baby, giant = shifted % size, (shifted - shifted % size + origin) % slots
        moved, turned = baby > 0, giant > 0
        babies = _marks(column[moved] * slots + baby[moved], source.count * slots).reshape(-1, slots)
        giants = _marks(row[turned] * slots + giant[turned], target.count * slots).reshape(-1, slots)
        cost = int(babies.sum()) * weights[0] + int(giants.sum()) * weights[1]
        if cost >= least:
            continue
        steps = babies.any(axis=0) | giants.any(axis=0)
        if sharing is not None:
            cost += sharing.key * int((steps & ~owned).sum())
        if cost < least:
            found = tuple(np.flatnonzero(steps).tolist())
            best, least = Split(size, origin, int(babies.sum()), int(giants.sum()), found), cost
    return best


def _marks(keys: Ints, limit: int) -> NDArray[np.bool_]:
    marks = np.zeros(limit, dtype=bool)
    marks[keys] = True
    return marks


def embed(m: AffineMap, parameters: Parameters, embedding: Embedding) -> Diagonals:
    """The diagonals' values, sparse, in the order that an evaluator wants: by giant step, row, column, baby step."""
    source, target, places = embedding.source, embedding.target, embedding.places
    slots, best = source.slots, embedding.split
    diagonal, block = places % slots, places // slots
    shifted = (diagonal - best.origin) % slots
    baby = shifted % best.baby_steps
    giant = (shifted - baby + best.origin) % slots
    row, column = block // source.count, block % source.count
    order = np.lexsort((baby, column, row, giant))
    rank = np.empty(len(places), dtype=np.int64)
    rank[order] = np.arange(len(places))

    keys, values = [], []
    for block_rows, block_columns, block_values in m.entries(parameters):
        key, slot = _place(source, target, block_rows, block_columns)
        keys.append(rank[np.searchsorted(places, key)] * slots + slot)
        values.append(block_values.astype(np.float32))
    if not sum(map(len, keys)):
        keys, values = [np.zeros(1, dtype=np.int64)], [np.zeros(1, dtype=np.float32)]
    copies = _copies(source, target)
    key = np.concatenate([k + copy for k in keys for copy in copies])
    value = np.concatenate([v for v in values for _ in copies])
    by_key = np.argsort(key, kind="stable")
    key, value = key[by_key], value[by_key]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    key, value = key[first], np.add.reduceat(value, first, dtype=np.float32)
    offsets = np.searchsorted(key, np.arange(len(places) + 1) * slots)
    return Diagonals(
        row=row[order].astype(np.int32),
        column=column[order].astype(np.int32),
        baby=baby[order].astype(np.int32),
        giant=giant[order].astype(np.int32),
        offsets=offsets.astype(np.int64),
        slots=(key % slots).astype(np.uint16),
        values=value,
    )


def _copies(source: Layout, target: Layout) -> Ints:
    """Where a result that repeats has its copies, relative to the first."""
    period = source.period if _folds(source, target) else target.period
    return np.arange(0, source.slots, period)
