"""Linear maps between tensors, as index structure plus names of parameters.

A map never becomes a matrix of numbers. It can say its shapes, apply itself to cleartext tensors, and enumerate its
non-zeros in bounded blocks; composition keeps that. Values bind late: the parameters are looked up by name when numbers
are needed, so the same structure serves plaintext weights, encrypted weights and training.

Tensors are flat vectors in C order here, so Reshape and Flatten cost nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = [
    "AffineMap",
    "Composition",
    "Convolution",
    "Entries",
    "MatrixProduct",
    "Parameters",
    "Pool",
    "Reshape",
    "Scale",
    "Select",
    "SumOfMaps",
    "Weighted",
    "compose",
    "elementwise_factor",
    "picked_elements",
]

Parameters = Mapping[str, NDArray[Any]]
Shape = tuple[int, ...]

PATCHES = 1 << 17
"""Numbers in the windows that a convolution multiplies at a time."""

BLOCK = 1 << 20
"""Non-zeros enumerated at a time: bounds the memory of :meth:`AffineMap.entries`."""


class Entries(NamedTuple):
    """A block of non-zeros: ``matrix[rows, columns] += values``, all of one length."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class AffineMap(ABC):
    """A linear map from tensors of ``in_shape`` to tensors of ``out_shape``; biases live in the graph's nodes."""

    in_shape: Shape
    out_shape: Shape

    @property
    def in_size(self) -> int:
        """Elements of the argument."""
        return math.prod(self.in_shape)

    @property
    def out_size(self) -> int:
        """Elements of the result."""
        return math.prod(self.out_shape)

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters that the values come from."""
        return frozenset()

    @property
    def window_strides(self) -> Shape:
        """How far the window moves in the argument per element of the result, for the axes where one does; else ()."""
        return ()

    @property
    def taps(self) -> int:
        """How many places a window has, where one moves in the argument; else one."""
        return 1

    @abstractmethod
    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        """Enumerate the non-zeros in blocks of about a million; a place may occur more than once, the values add."""

    @abstractmethod
    def nonzeros(self) -> int:
        """How many non-zeros :meth:`entries` enumerates at the most, from the structure alone."""

    @abstractmethod
    def fan_in(self) -> int:
        """How many non-zeros a row has at the most, from the structure alone."""

    def matrix(self, parameters: Parameters) -> scipy.sparse.csr_array:
        """The map as a sparse matrix of shape (out_size, in_size): memory linear in the non-zeros."""
        blocks = list(self.entries(parameters))
        if not blocks:
            return scipy.sparse.csr_array((self.out_size, self.in_size))
        rows, columns, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
        return scipy.sparse.csr_array((values, (rows, columns)), shape=(self.out_size, self.in_size))

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        """Apply to flat tensors: (batch, in_size) to (batch, out_size)."""
        return np.ascontiguousarray((self.matrix(parameters) @ x.T).T)


@dataclass(frozen=True)
class Reshape(AffineMap):
    """The identity on the flat vector: Identity, Reshape, Flatten, Squeeze, Unsqueeze."""

    def __post_init__(self) -> None:
        if self.in_size != self.out_size:
            raise ValueError(f"cannot reshape {self.in_shape} to {self.out_shape}")

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        yield from Select(self.in_shape, self.out_shape, _Index(np.arange(self.in_size))).entries(parameters)

    def nonzeros(self) -> int:
        return self.in_size

    def fan_in(self) -> int:
        return 1

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        return x


@dataclass(frozen=True, eq=False)
class _Index:
    """An index array wrapped so that the dataclass around it stays hashable and comparable."""

    array: NDArray[np.int64]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Index) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash(self.array.tobytes())


@dataclass(frozen=True)
class Select(AffineMap):
    """``y[i] = x[index[i]]``, and zero where ``index[i]`` is -1: Transpose, Slice, Pad, Gather."""

    index: _Index

    @classmethod
    def of(cls, in_shape: Shape, out_shape: Shape, index: NDArray[np.int64]) -> Select:
        """Make one from an index array of ``out_shape`` elements."""
        flat = np.ascontiguousarray(index, dtype=np.int64).reshape(-1)
        if flat.size != math.prod(out_shape):
            raise ValueError("one index per output element")
        return cls(in_shape, out_shape, _Index(flat))

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        index = self.index.array
        for start in range(0, len(index), BLOCK):
            columns = index[start : start + BLOCK]
            rows = np.flatnonzero(columns >= 0)
            yield Entries(rows + start, columns[rows], np.ones(len(rows)))

    def nonzeros(self) -> int:
        return int((self.index.array >= 0).sum())

    def fan_in(self) -> int:
        return 1

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        index = self.index.array
        # Clipped indices are not looked at twice, and what they read in place of a zero is replaced.
        found = x.take(index, axis=1, mode="clip")
        absent = index < 0
        if absent.any():
            found[:, absent] = 0.0
        return found


@dataclass(frozen=True)
class Weighted(AffineMap):
    """``y[rows[k]] += weight[k] * x[columns[k]]`` with parameter ``weight``, of shape (k,): Resize, Einsum."""

    rows: _Index
    columns: _Index
    weight: str

    @classmethod
    def of(
        cls, in_shape: Shape, out_shape: Shape, rows: NDArray[np.int64], columns: NDArray[np.int64], weight: str
    ) -> Weighted:
        """Make one from two index arrays of one length."""
        if rows.shape != columns.shape or rows.ndim != 1:
            raise ValueError("one row and one column per weight")
        rows, columns = (np.ascontiguousarray(index, dtype=np.int64) for index in (rows, columns))
        return cls(in_shape, out_shape, _Index(rows), _Index(columns), weight)

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset({self.weight})

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        values = np.asarray(parameters[self.weight], dtype=np.float64)
        for start in range(0, len(values), BLOCK):
            part = slice(start, start + BLOCK)
            yield Entries(self.rows.array[part], self.columns.array[part], values[part])

    def nonzeros(self) -> int:
        return len(self.rows.array)

    def fan_in(self) -> int:
        return int(np.bincount(self.rows.array, minlength=1).max())


@dataclass(frozen=True)
class Scale(AffineMap):
    """Elementwise product with parameter ``factor``, which broadcasts to the tensor's shape (numpy rules)."""

    factor: str

    @classmethod
    def of(cls, shape: Shape, factor: str) -> Scale:
        """Scale tensors of one shape."""
        return cls(shape, shape, factor)

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset({self.factor})

    def diagonal(self, parameters: Parameters) -> NDArray[np.float64]:
        """The factor of each element; shape (size,)."""
        factor = np.asarray(parameters[self.factor], dtype=np.float64)
        return np.broadcast_to(factor, self.in_shape).reshape(-1)

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        diagonal = self.diagonal(parameters)
        for start in range(0, len(diagonal), BLOCK):
            values = diagonal[start : start + BLOCK]
            rows = np.flatnonzero(values)
            yield Entries(rows + start, rows + start, values[rows])

    def nonzeros(self) -> int:
        return self.in_size

    def fan_in(self) -> int:
        return 1

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        return x * self.diagonal(parameters)


@dataclass(frozen=True)
class MatrixProduct(AffineMap):
    """``x @ W`` (``left=False``) or ``W @ x`` (``left=True``) with parameter ``weight``, by numpy's matmul rules.

    ``transpose`` uses the weight with its last two axes exchanged.
    """

    weight: str
    left: bool = False
    transpose: bool = False

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset({self.weight})

    def _weight(self, parameters: Parameters) -> NDArray[np.float64]:
        weight = np.asarray(parameters[self.weight], dtype=np.float64)
        return np.swapaxes(weight, -1, -2) if self.transpose else weight

    @property
    def _inner(self) -> int:
        return self.in_shape[-2] if self.left and len(self.in_shape) > 1 else self.in_shape[-1]

    def nonzeros(self) -> int:
        return self.out_size * self._inner

    def fan_in(self) -> int:
        return self._inner

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        weight = self._weight(parameters)
        # A leading axis for the rows, and ones so that numpy's broadcasting lines the batch axes up.
        vector = len(self.in_shape) == 1
        inner_shape = (
            (1, *self.in_shape) if vector and not self.left else (*self.in_shape, 1) if vector else self.in_shape
        )
        padding = max(0, weight.ndim - len(inner_shape))
        tensor = x.reshape(len(x), *(1,) * padding, *inner_shape)
        return np.ascontiguousarray(weight @ tensor if self.left else tensor @ weight).reshape(len(x), -1)

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        weight = self._weight(parameters)
        vector = len(self.in_shape) == 1
        inner_shape = (
            (1, *self.in_shape) if vector and not self.left else (*self.in_shape, 1) if vector else self.in_shape
        )
        batch = np.broadcast_shapes(inner_shape[:-2], weight.shape[:-2])
        positions = np.broadcast_to(np.arange(self.in_size).reshape(inner_shape), (*batch, *inner_shape[-2:])).reshape(
            -1, *inner_shape[-2:]
        )
        matrices = np.broadcast_to(weight, (*batch, *weight.shape[-2:]))
        for b, index in enumerate(np.ndindex(*batch)):
            w, x = matrices[index], positions[b]
            # With x on the right, transpose both: y^T = x^T W^T has the same entries.
            product = (w.T, x.T) if self.left else (w, x)
            yield from self._block(b, *product)

    def _block(self, b: int, w: NDArray[np.float64], x: NDArray[np.int64]) -> Iterator[Entries]:
        """Entries of ``y = x @ w`` for one batch index; x holds flat input positions, shape (m, k), w has (k, n)."""
        m, n = x.shape[0], w.shape[1]
        ks, ns = np.nonzero(w)
        values = w[ks, ns]
        for i in range(m):
            local = ns * m + i if self.left else i * n + ns
            for start in range(0, len(values), BLOCK):
                part = slice(start, start + BLOCK)
                yield Entries(b * m * n + local[part], x[i, ks[part]], values[part])


@dataclass(frozen=True)
class _Window(AffineMap):
    """Index arithmetic shared by everything that slides a window: tensors are (batch, channels, *spatial)."""

    kernel: Shape
    strides: Shape
    pads: tuple[tuple[int, int], ...]
    dilations: Shape

    @property
    def window_strides(self) -> Shape:
        return self.strides

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    def _taps(self) -> Iterator[tuple[Shape, tuple[slice, ...], tuple[slice, ...]]]:
        """For each tap: its index, the output pixels it reaches, and the input pixels it reads there."""
        spatial_in, spatial_out = self.in_shape[2:], self.out_shape[2:]
        for tap in np.ndindex(*self.kernel):
            outs, ins = [], []
            for k, size, out, stride, (before, _), dilation in zip(
                tap, spatial_in, spatial_out, self.strides, self.pads, self.dilations, strict=True
            ):
                offset = k * dilation - before
                first = max(0, -(offset // stride))
                last = min(out - 1, (size - 1 - offset) // stride)
                if last < first:
                    break
                outs.append(slice(first, last + 1))
                ins.append(slice(first * stride + offset, last * stride + offset + 1, stride))
            else:
                yield tap, tuple(outs), tuple(ins)

    @cached_property
    def _pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Flat index of every pixel within one channel, for input and output."""
        spatial_in, spatial_out = self.in_shape[2:], self.out_shape[2:]
        return (
            np.arange(math.prod(spatial_in)).reshape(spatial_in),
            np.arange(math.prod(spatial_out)).reshape(spatial_out),
        )

    def _reach(self) -> int:
        """Pairs of a tap and an output pixel that it reaches."""
        return sum(math.prod(s.stop - s.start for s in outs) for _, outs, _ in self._taps())


def _index(*parts: int | slice) -> Any:
    """An index tuple; numpy's annotations know none that mixes numbers, slices and an unknown rank."""
    return parts


@dataclass(frozen=True)
class Convolution(_Window):
    """ONNX Conv of any rank: parameter ``weight`` has shape (out channels, in channels / group, *kernel)."""

    weight: str
    group: int = 1

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset({self.weight})

    def nonzeros(self) -> int:
        per_pixel = self.out_shape[1] * (self.in_shape[1] // self.group)
        return self.in_shape[0] * per_pixel * self._reach()

    def fan_in(self) -> int:
        return math.prod(self.kernel) * (self.in_shape[1] // self.group)

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        weight = np.asarray(parameters[self.weight], dtype=np.float64)
        batch, channels = self.in_shape[:2]
        maps = self.out_shape[1]
        pixels_in, pixels_out = self._pixels
        # For output channel m and local input channel c: the input channel it reads.
        reads = (np.arange(maps) // (maps // self.group))[:, np.newaxis] * (channels // self.group) + np.arange(
            channels // self.group
        )
        for tap, outs, ins in self._taps():
            taps = weight[_index(slice(None), slice(None), *tap)]
            out_pixels, in_pixels = pixels_out[outs].reshape(-1), pixels_in[ins].reshape(-1)
            ms, cs = np.nonzero(taps)
            values, sources = taps[ms, cs], reads[ms, cs]
            per = max(1, BLOCK // len(out_pixels))
            for b in range(batch):
                for start in range(0, len(values), per):
                    part = slice(start, start + per)
                    rows = (b * maps + ms[part])[:, np.newaxis] * pixels_out.size + out_pixels
                    columns = (b * channels + sources[part])[:, np.newaxis] * pixels_in.size + in_pixels
                    spread = np.repeat(values[part], len(out_pixels))
                    yield Entries(rows.reshape(-1), columns.reshape(-1), spread)

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        weight = np.asarray(parameters[self.weight], dtype=np.float64)
        batch, channels, *spatial = self.in_shape
        images = x.reshape(len(x) * batch, channels, *spatial)
        out, rank = self.out_shape[2:], len(spatial)
        kernels = weight.reshape(self.group, self.out_shape[1] // self.group, -1)
        # All windows side by side make one matrix, of a few images at a time: it stays in the cache.
        per = max(1, PATCHES // (channels * math.prod(self.kernel) * math.prod(out)))
        result = np.empty((len(images), self.group, kernels.shape[1], math.prod(out)))
        for start in range(0, len(images), per):
            windows = self._windows(images[start : start + per])
            patches = windows.transpose(1, *range(2 + rank, 2 + 2 * rank), 0, *range(2, 2 + rank))
            made = kernels @ patches.reshape(self.group, kernels.shape[2], -1)
            result[start : start + per] = made.reshape(*kernels.shape[:2], -1, math.prod(out)).transpose(2, 0, 1, 3)
        return result.reshape(len(x), -1)

    def _windows(self, images: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each output pixel sees, shape (images, channels, *out, *kernel); pixels of the padding are zero."""
        spans = [(taps - 1) * dilation + 1 for taps, dilation in zip(self.kernel, self.dilations, strict=True)]
        starts = [
            slice(0, (n - 1) * stride + 1, stride) for n, stride in zip(self.out_shape[2:], self.strides, strict=True)
        ]
        pads = [
            (before, max(0, (n - 1) * stride + span - size - before))
            for (before, _), n, stride, span, size in zip(
                self.pads, self.out_shape[2:], self.strides, spans, images.shape[2:], strict=True
            )
        ]
        padded = np.pad(images, [(0, 0), (0, 0), *pads]) if any(map(any, pads)) else images
        windows = sliding_window_view(padded, spans, axis=tuple(range(2, images.ndim)))
        taps = [slice(None, None, dilation) for dilation in self.dilations]
        found: NDArray[np.float64] = windows[_index(slice(None), slice(None), *starts, *taps)]
        return found


@dataclass(frozen=True)
class Pool(_Window):
    """Average over a window: over its pixels inside the image or, with ``count_include_pad``, inside the padded one.

    With ``ceil_mode`` a window may hang over even the padding; the part that does never counts.
    """

    count_include_pad: bool = False

    def _divisors(self) -> NDArray[np.float64]:
        """Number of pixels averaged, for each output pixel."""
        counts = [np.zeros(out) for out in self.out_shape[2:]]
        for axis, (size, (before, after)) in enumerate(zip(self.in_shape[2:], self.pads, strict=True)):
            low, high = (-before, size + after) if self.count_include_pad else (0, size)
            starts = np.arange(self.out_shape[2 + axis]) * self.strides[axis] - before
            for k in range(self.kernel[axis]):
                pixel = starts + k * self.dilations[axis]
                counts[axis] += (pixel >= low) & (pixel < high)
        total = np.ones(())
        for count in counts:
            total = total[..., np.newaxis] * count
        return np.maximum(total, 1.0)

    def nonzeros(self) -> int:
        return self.in_shape[0] * self.in_shape[1] * self._reach()

    def fan_in(self) -> int:
        return math.prod(self.kernel)

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        images = np.arange(self.in_shape[0] * self.in_shape[1])
        pixels_in, pixels_out = self._pixels
        shares = 1.0 / self._divisors()
        for _, outs, ins in self._taps():
            out_pixels, in_pixels = pixels_out[outs].reshape(-1), pixels_in[ins].reshape(-1)
            share = shares[outs].reshape(-1)
            per = max(1, BLOCK // len(out_pixels))
            for start in range(0, len(images), per):
                image = images[start : start + per, np.newaxis]
                rows = image * pixels_out.size + out_pixels
                columns = image * pixels_in.size + in_pixels
                yield Entries(rows.reshape(-1), columns.reshape(-1), np.tile(share, len(image)))

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        images = x.reshape(-1, *self.in_shape[2:])
        result = np.zeros((len(images), *self.out_shape[2:]))
        for _, outs, ins in self._taps():
            result[_index(slice(None), *outs)] += images[_index(slice(None), *ins)]
        return (result / self._divisors()).reshape(len(x), -1)


@dataclass(frozen=True)
class SumOfMaps(AffineMap):
    """Sum of maps with the same shapes: branches that start and end together."""

    maps: tuple[AffineMap, ...]

    @classmethod
    def of(cls, *maps: AffineMap) -> AffineMap:
        """Sum of one or more maps."""
        return maps[0] if len(maps) == 1 else cls(maps[0].in_shape, maps[0].out_shape, maps)

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset().union(*(m.parameters for m in self.maps))

    @property
    def window_strides(self) -> Shape:
        return self.maps[0].window_strides

    @property
    def taps(self) -> int:
        return max(m.taps for m in self.maps)

    def nonzeros(self) -> int:
        return sum(m.nonzeros() for m in self.maps)

    def fan_in(self) -> int:
        return sum(m.fan_in() for m in self.maps)

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        for m in self.maps:
            yield from m.entries(parameters)

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        return np.asarray(np.sum([m.apply(x, parameters) for m in self.maps], axis=0))


@dataclass(frozen=True)
class Composition(AffineMap):
    """Composition: ``steps[0]`` is applied first.

    Maps with at most one non-zero per row and column (Scale, Reshape, most Selects) are folded into the enumeration of
    the one step that has more; only a chain with several of those multiplies sparse matrices.
    """

    steps: tuple[AffineMap, ...]

    @property
    def taps(self) -> int:
        return max(m.taps for m in self.steps)

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset().union(*(m.parameters for m in self.steps))

    def nonzeros(self) -> int:
        """Bound on the non-zeros: those of the one wide step, or fan-ins that multiply up to a dense matrix."""
        wide = [step for step in self.steps if _single(step) is None]
        if len(wide) < 2:
            return (wide or self.steps)[0].nonzeros()
        return self.out_size * self.fan_in()

    def fan_in(self) -> int:
        return min(math.prod(step.fan_in() for step in self.steps), self.in_size)

    def entries(self, parameters: Parameters) -> Iterator[Entries]:
        wide = [i for i, step in enumerate(self.steps) if _single(step) is None]
        if len(wide) > 1:
            product = self.steps[0].matrix(parameters)
            for step in self.steps[1:]:
                product = step.matrix(parameters) @ product
            coo = product.tocoo()
            for start in range(0, coo.nnz, BLOCK):
                part = slice(start, start + BLOCK)
                yield Entries(coo.row[part].astype(np.int64), coo.col[part].astype(np.int64), coo.data[part])
            return
        core = wide[0] if wide else 0
        before = [_gather(step, parameters) for step in self.steps[:core]]
        after = [_gather(step, parameters) for step in self.steps[core + 1 :]]
        for rows, columns, values in self.steps[core].entries(parameters):
            block = Entries(rows, columns, values)
            for source, factor in reversed(before):
                block = _keep(Entries(block.rows, source[block.columns], block.values * factor[block.columns]))
            for step, (source, factor) in zip(self.steps[core + 1 :], after, strict=True):
                target = np.full(step.in_size, -1, dtype=np.int64)
                target[source[source >= 0]] = np.flatnonzero(source >= 0)
                moved = target[block.rows]
                block = _keep(Entries(moved, block.columns, block.values * np.where(moved >= 0, factor[moved], 0.0)))
            yield block

    def apply(self, x: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
        for step in self.steps:
            x = step.apply(x, parameters)
        return x


def _single(step: AffineMap) -> AffineMap | None:
    """The step itself if no row and no column of it has more than one non-zero, else None."""
    if isinstance(step, Reshape | Scale):
        return step
    if isinstance(step, Select):
        used = step.index.array[step.index.array >= 0]
        return step if len(np.unique(used)) == len(used) else None
    return None


def _gather(step: AffineMap, parameters: Parameters) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A map with one non-zero per row as (column of each row or -1, value of each row)."""
    if isinstance(step, Select):
        return step.index.array, np.ones(step.out_size)
    identity = np.arange(step.in_size)
    return identity, step.diagonal(parameters) if isinstance(step, Scale) else np.ones(step.in_size)


def _keep(block: Entries) -> Entries:
    """Drop entries whose row or column was selected away, and zeros."""
    keep = (block.rows >= 0) & (block.columns >= 0) & (block.values != 0.0)
    return block if bool(keep.all()) else Entries(block.rows[keep], block.columns[keep], block.values[keep])


def compose(outer: AffineMap, inner: AffineMap) -> AffineMap:
    """``outer`` after ``inner``, with nested chains flattened and reshapes merged away."""
    steps = [*_steps(inner), *_steps(outer)]
    kept = [step for step in steps if not isinstance(step, Reshape)]
    if not kept:
        return Reshape(inner.in_shape, outer.out_shape)
    if len(kept) == len(steps) == 1:
        return kept[0]
    return Composition(inner.in_shape, outer.out_shape, tuple(kept))


def _steps(m: AffineMap) -> tuple[AffineMap, ...]:
    return m.steps if isinstance(m, Composition) else (m,)


def elementwise_factor(m: AffineMap, parameters: Parameters) -> NDArray[np.float64] | None:
    """The factor of each element if the map only scales, else None."""
    if isinstance(m, Reshape):
        return np.ones(())
    if isinstance(m, Scale):
        return m.diagonal(parameters)
    if isinstance(m, Composition | SumOfMaps):
        parts = [elementwise_factor(step, parameters) for step in (m.steps if isinstance(m, Composition) else m.maps)]
        factors = [p for p in parts if p is not None]
        if len(factors) < len(parts):
            return None
        combined = np.prod if isinstance(m, Composition) else np.sum
        return np.asarray(combined(np.broadcast_arrays(*factors), axis=0))
    return None


def picked_elements(m: AffineMap) -> NDArray[np.int64] | None:
    """For each element of the result the one of the argument that it is, if the map does nothing else; else None."""
    if isinstance(m, Reshape):
        return np.arange(m.in_size)
    if isinstance(m, Select):
        return m.index.array if bool((m.index.array >= 0).all()) else None
    if isinstance(m, Composition):
        picked = np.arange(m.in_size)
        for step in m.steps:
            index = picked_elements(step)
            if index is None:
                return None
            picked = picked[index]
        return picked
    return None
