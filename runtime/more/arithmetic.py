"""Arithmetic on encoded tensors: each element is an n x n matrix ``S diag(m, r, ...) S^-1``.

Vizitiu et al. 2020, section 2 (MORE): sums, products and functions of matrices act on all numbers of the diagonal at
once, so a program runs on them as it does on numbers. The matrices of one key commute.

An encoded tensor is kept as n x n *planes*, tensors of numbers of the same shape, not as a tensor of small matrices:
linear maps then act on all planes as they do on one, and a product of encoded matrices is n^3 products of matrices of
numbers, each one call of BLAS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hecc.runtime.network.functions import FunctionStep, evaluate_function

__all__ = ["Encoded", "EncodedArithmetic", "channels", "commuting_basis", "identity"]

Array = NDArray[np.float64]

APART = 1e-8
"""Eigenvalues are taken to be so far apart, relative to their size: what a function makes of nearer ones is the same
to the last digit, as the error of interpolation goes with the square of the distance."""


CACHED = 1 << 13
"""Elements that a function is evaluated of at a time."""

SAMPLED = 4096
"""Elements of a tensor that a basis is found of."""

SPANNED = 1e-6
"""Of the largest singular value, what is no rounding."""


@dataclass(frozen=True)
class Encoded:
    """An encoded tensor.

    Attributes
    ----------
    planes
        Shape (n, n, *tensor): element (i, j) of the matrices.
    """

    planes: Array

    @property
    def size(self) -> int:
        """The n of n x n."""
        return len(self.planes)


Value = Encoded | Array


def identity(values: Array, size: int) -> Encoded:
    """Numbers that everybody may know as encoded ones: ``m`` times the identity, the same in all channels."""
    planes = np.zeros((size, size, *np.shape(values)))
    for i in range(size):
        planes[i, i] = values
    return Encoded(planes)


def channels(x: Encoded) -> Array:
    """The eigenvalues of each element, shape (n, *tensor): whoever has the tensor has them, in no known order."""
    if x.size == 2:
        middle, root = _centre(x.planes)
        return np.stack([middle + root, middle - root])
    matrices = np.moveaxis(x.planes, (0, 1), (-2, -1))
    return np.moveaxis(np.sort(np.linalg.eigvals(matrices).real, axis=-1), -1, 0)


class EncodedArithmetic:
    """See :class:`hecc.runtime.network.evaluation.Arithmetic`; a plain array may stand for any operand.

    Parameters
    ----------
    basis
        Of the matrices of a key, as :func:`commuting_basis` finds it: for :meth:`settled`.
    """

    def __init__(self, basis: Array | None = None) -> None:
        self._projection = None if basis is None else basis.T @ basis

    def linear(self, function: Callable[[Array], Array], x: Value) -> Value:
        """The map of each plane."""
        return Encoded(function(x.planes)) if isinstance(x, Encoded) else function(x)

    def multiply(self, a: Value, b: Value) -> Value:
        """Products of matrices, element by element."""
        return _bilinear(np.multiply, a, b)

    def matmul(self, a: Value, b: Value) -> Value:
        """Products of matrices of matrices."""
        return _bilinear(np.matmul, a, b)

    def add(self, terms: list[Value], factors: tuple[float, ...], constant: float) -> Value:
        """A sum; what is plain is added as a multiple of the identity."""
        plain: Array | float = constant
        total: Array | None = None
        for factor, term in zip(factors, terms, strict=True):
            if not isinstance(term, Encoded):
                plain = plain + factor * term
                continue
            scaled = term.planes if factor == 1 else factor * term.planes
            total = scaled if total is None else _plus(total, scaled)
        if total is None:
            return np.asarray(plain)
        if isinstance(plain, float) and plain == 0:
            return Encoded(total)
        size = len(total)
        shape = np.broadcast_shapes(total.shape[2:], np.shape(plain))
        made = np.empty((size, size, *shape))
        made[...] = _aligned(total, len(shape))
        for i in range(size):
            made[i, i] += plain
        return Encoded(made)

    def function(self, steps: tuple[FunctionStep, ...], x: Value) -> Value:
        """A function of matrices: ``a M + b I``, a line through its values at the two eigenvalues."""
        if not isinstance(x, Encoded):
            return evaluate_function(steps, x)
        if x.size > 2:
            return _spectral(steps, x)
        made = np.empty(x.planes.shape)
        numbers, results = x.planes.reshape(4, -1), made.reshape(4, -1)
        # A few numbers at a time, so that all that is computed of them stays in the processor's cache.
        for start in range(0, numbers.shape[1], CACHED):
            part = slice(start, start + CACHED)
            _line(steps, numbers[:, part], results[:, part])
        return Encoded(made)

    def settled(self, x: Value) -> Value:
        """The nearest matrices that commute with those of the key.

        Rounding makes others of them, a little, and what is no matrix of the key has a dynamics of its own in training,
        which may grow however well both channels learn.
        """
        if self._projection is None or not isinstance(x, Encoded):
            return x
        flat = x.planes.reshape(x.size**2, -1)
        return Encoded((self._projection @ flat).reshape(x.planes.shape))

    def extent(self, x: Value) -> float:
        """The largest absolute value of all entries of the matrices."""
        return float(np.abs(x.planes if isinstance(x, Encoded) else x).max())

    def extent_words(self, x: Value) -> str:
        """Which channels left their range, as their numbers come out of the matrices."""
        if not isinstance(x, Encoded):
            return f"a value ({self.extent(x):g})"
        if not bool(np.isfinite(x.planes).all()):
            return "a channel (its numbers are not finite any more)"
        extents = np.abs(channels(x)).reshape(x.size, -1).max(axis=1)
        return f"a channel ({', '.join(f'{extent:g}' for extent in extents)})"

    @property
    def another_way(self) -> str:
        """It may be a decoy that left."""
        return ", or encrypt the rows again, which draws other decoys"


def commuting_basis(tensors: Iterable[Encoded]) -> Array | None:
    """An orthonormal basis of the matrices of a key, shape (n, n^2), from encoded tensors alone.

    They are the span of n of them, and of the identity; ``None`` where the tensors are all multiples of fewer.
    """
    rows = []
    size = 0
    for x in tensors:
        size = x.size
        flat = x.planes.reshape(size**2, -1)
        flat = flat[:, np.linspace(0, flat.shape[1] - 1, min(flat.shape[1], SAMPLED)).astype(int)]
        rows.append(flat.T)
    rows.append(np.eye(size).reshape(1, -1))
    # Of numbers that are not too large to be squared.
    rows = [each / max(1.0, np.abs(each).max()) for each in rows]
    _, values, basis = np.linalg.svd(np.concatenate(rows), full_matrices=False)
    if len(values) < size or values[size - 1] < SPANNED * values[0]:
        return None
    return np.asarray(basis[:size])


def _centre(planes: Array) -> tuple[Array, Array]:
    """Of 2 x 2 matrices the mean of the eigenvalues, and half of their distance."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = (planes[0, 0] + planes[1, 1]) / 2
        half = (planes[0, 0] - planes[1, 1]) / 2
        # Of a single number NumPy makes no array, in whose place results could be written.
        root = np.asarray(half * half + planes[0, 1] * planes[1, 0])
        np.maximum(root, 0.0, out=root)
        return np.asarray(middle), np.sqrt(root, out=root)


def _line(steps: tuple[FunctionStep, ...], numbers: Array, results: Array) -> None:
    """A function of 2 x 2 matrices, a column each, shape (4, columns); what it makes goes to ``results``."""
    first, right, left, last = numbers
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        half = first - last
        half *= 0.5
        middle = first - half
        root = half * half
        root += right * left
        np.maximum(root, 0.0, out=root)
        np.sqrt(root, out=root)
        np.abs(middle, out=half)
        half *= APART
        np.maximum(root, half, out=root)
        high = evaluate_function(steps, middle + root)
        low = evaluate_function(steps, middle - root)
        root += root
        slope = high - low
        np.divide(slope, root, out=slope, where=root > 0)
        high = high + low
        high *= 0.5
        middle *= slope
        high -= middle
        np.multiply(numbers, slope, out=results)
        results[0] += high
        results[3] += high


def _spectral(steps: tuple[FunctionStep, ...], x: Encoded) -> Encoded:
    """A function of n x n matrices, by the eigenvectors that they all share."""
    matrices = np.moveaxis(x.planes, (0, 1), (-2, -1))
    if not bool(np.isfinite(matrices).all()):
        return Encoded(np.full_like(x.planes, np.nan))
    # The element whose eigenvalues are farthest apart has the most exact eigenvectors.
    flat = matrices.reshape(-1, x.size, x.size)
    gaps = np.abs(np.diff(np.sort(np.linalg.eigvals(flat).real, axis=-1), axis=-1)).min(axis=-1)
    _, vectors = np.linalg.eig(flat[int(np.argmax(gaps))])
    vectors = vectors.real
    if gaps.max() == 0.0:
        vectors = np.eye(x.size)
    inverse = np.linalg.inv(vectors)
    values = np.einsum("ij,jk...,ki->i...", inverse, x.planes, vectors)
    made = np.stack([evaluate_function(steps, value) for value in values])
    return Encoded(np.einsum("ij,j...,jk->ik...", vectors, made, inverse))


def _bilinear(product: Callable[..., Array], a: Value, b: Value) -> Value:
    """A product of tensors of numbers as one of tensors of matrices."""
    if not isinstance(b, Encoded):
        if not isinstance(a, Encoded):
            return product(a, b)
        return Encoded(product(_aligned(a.planes, b.ndim), b))
    if not isinstance(a, Encoded):
        return Encoded(product(a, _aligned(b.planes, a.ndim)))
    size = a.size
    first = product(a.planes[0, 0], b.planes[0, 0])
    made = np.empty((size, size, *first.shape))
    spare = np.empty_like(first)
    for i in range(size):
        for j in range(size):
            product(a.planes[i, 0], b.planes[0, j], out=made[i, j])
            for k in range(1, size):
                product(a.planes[i, k], b.planes[k, j], out=spare)
                made[i, j] += spare
    return Encoded(made)


def _aligned(planes: Array, rank: int) -> Array:
    """Planes with at least as many axes behind the first two as a tensor of a rank has, for broadcasting."""
    if planes.ndim >= rank + 2:
        return planes
    return planes.reshape(*planes.shape[:2], *(1,) * (rank + 2 - planes.ndim), *planes.shape[2:])


def _plus(a: Array, b: Array) -> Array:
    rank = max(a.ndim, b.ndim) - 2
    return np.asarray(_aligned(a, rank) + _aligned(b, rank))
