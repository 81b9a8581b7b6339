"""hecc's native kernels, one limb or a few at a time.

Arrays are C-contiguous and aligned, and written in place where they are called ``out`` (or ``low``, ``high``,
``values``, ``quotients``). An ``out`` may be one of the inputs as a whole where coefficient i depends on coefficient i
alone; sums of several terms, conversions and permutations need one of their own. The last dimension is a multiple of
64. Residues must be below the modulus, an odd prime below 2^50. What does not fit is refused: ``TypeError`` for another
dtype or layout, ``ValueError`` for anything else. Other threads run meanwhile, and must leave the arrays alone.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_Words = npt.NDArray[np.uint64]
_Bytes = npt.NDArray[np.uint8]
_Slots = npt.NDArray[np.float64] | npt.NDArray[np.float32] | npt.NDArray[np.complex128]

def implementations() -> list[str]:
    """What this machine can run, the fastest first, "portable" last; without what HECC_MASK_CPU hides."""

def packed_bytes(modulus: int) -> int:
    """Bytes of a packed residue: 4, 5, 6 or 8."""

def pack(words: _Words, out: _Bytes, modulus: int) -> None:
    """Each row of residues, of shape (runs, count), to a packed run, of shape (runs, count * packed_bytes).

    A run has the low four bytes of each residue, and then the others of each; eight bytes stay as they are.
    """

def time_kernels(kernels: Kernels, degree: int, limbs: int, bits: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of each kernel, measured inside the extension on random data; of one limb, where a kernel takes one.

    "key_products" is of as many digits as limbs, for one limb of two polynomials; "mod_up_one" and "mod_up_third"
    are per target limb, from one limb and from a third of them; "rescale" is of one polynomial; "encode" is of all
    limbs, "encode_eighth" of an eighth of the slots, and "embed" the part before the residues.
    """

class NormalStream:
    """Standard normal numbers for simulations, the same for the same two seeds on every machine; of nothing secret."""

    def __init__(self, seed: int, stream: int) -> None: ...
    def fill(self, out: npt.NDArray[np.float64]) -> None:
        """Write new ones, of the precision of a float, to an array of one dimension."""

class Kernels:
    """The pointwise kernels of one implementation; None stands for HECC_KERNELS, or the fastest."""

    def __init__(self, implementation: str | None = None) -> None: ...
    @property
    def implementation(self) -> str: ...
    def add(self, a: _Words, b: _Words, out: _Words, modulus: int) -> None: ...
    def subtract(self, a: _Words, b: _Words, out: _Words, modulus: int) -> None: ...
    def multiply(self, a: _Words, b: _Words, out: _Words, modulus: int) -> None: ...
    def negate(self, a: _Words, out: _Words, modulus: int) -> None: ...
    def reduce(self, a: _Words, out: _Words, modulus: int) -> None:
        """Any words below 2^52 to residues."""

    def multiply_scalar(self, a: _Words, scalar: int, out: _Words, modulus: int) -> None: ...
    def ring_product(self, a: _Words, b: _Words, down: _Words, across: _Words, out: _Words, bits: int) -> None:
        """Products modulo 2^bits: of shapes (matrices, rows, terms) and (examples, matrices, size), into
        (examples, matrices, rows, columns).

        ``out[e, g, r, j]`` is the sum over t of ``a[g, r, t] * b[e, g, down[t] + across[j]]``: with
        ``down[t] = t * columns`` and ``across[j] = j`` a product of matrices, with others a convolution. Any words are
        taken; ``down`` and ``across`` have to stay inside of ``size``.
        """

    def pack_field(self, words: _Words, out: _Bytes, width: int) -> None:
        """The low bits of words, shape (rows, count), without gaps: shape (rows, ceil(count * width / 8))."""

    def unpack_field(self, packed: _Bytes, out: _Words, width: int) -> None:
        """What was packed; rows may lie apart, each without gaps."""

    def look_up(
        self, words: _Words, v: _Words, above: _Bytes, equal: _Bytes, shift: int, width: int, first: bool
    ) -> None:
        """Shares of [t > d] and [t = d], from shares of threshold words of t, arrays of one shape.

        d has the ``width`` bits of ``v`` above its ``shift`` lowest.
        """

    def subtract_multiply_scalar(self, a: _Words, b: _Words, scalar: int, out: _Words, modulus: int) -> None:
        """out = (a - b) * scalar."""

    def encode_factors(self, a: _Words, values: _Words, quotients: _Words, modulus: int) -> None:
        """A constant vector and its precomputed quotients, in this implementation's own format."""

    def multiply_encoded(self, a: _Words, values: _Words, quotients: _Words, out: _Words, modulus: int) -> None:
        """A vector times a constant one that this implementation encoded."""

    def inner_product(self, a: _Words, b: _Words, out: _Words, modulus: int) -> None:
        """out = sum over the rows of a * b, of any number."""

    def key_products(
        self, digits: _Words, key: _Bytes, addend: _Words | None, factor: int, out: _Words, modulus: int
    ) -> None:
        """out[h] = sum over the digits of a digit times polynomial h of its row of a switching key.

        `digits` has the shape (digits, count), `out` (2, count), and `key` (count / 32, digits or more, 2, bytes): runs
        of 32 residues, packed for the modulus. addend * factor is added to out[0].
        """

    def diagonal_products(
        self,
        values: _Bytes,
        repeats: int,
        apart: bool,
        rotated: _Words,
        rotations: npt.NDArray[np.uint32],
        out: _Words,
        added: bool,
        modulus: int,
    ) -> None:
        """Sum over t of diagonal t times rotation rotations[t], for both polynomials; or that, added to `out`.

        `out` has the shape (2, count), and `rotated`, which `GaloisPermutation.apply_to_runs` fills, (count / 32,
        rotations, 64). A real diagonal is the same from both ends, and each of its words stands for `repeats`
        coefficients, a power of two. `values` has the shape (groups, diagonals or more, bytes): for every 16
        coefficients of the first half, or every `repeats` of them where that is more, a packed run of 16 / repeats
        words, or of one. Complex diagonals have their ends `apart`: behind each run one more, that of the last end in
        reversed order.
        """

    def matrix_product(self, weights: _Words, x: _Words, out: _Words, modulus: int) -> None:
        """out = weights @ x, of shapes (rows, terms), (terms, count) and (rows, count)."""

    def lift(self, residues: _Words, source: int, out: _Words, target: int) -> None:
        """Residues modulo `source`, which stand for the integers closest to zero, to these modulo `target`."""

    def fold_conjugates(self, residues: _Words, root: int, out: _Words, modulus: int) -> None:
        """out[i] = residues[i] - root * residues[count - i], of count + 1 residues of which the last is zero."""

    def automorphism_coefficients(self, residues: _Words, out: _Words, element: int, modulus: int) -> None:
        """X to X^element in coefficient form."""

    def chebyshev_series(
        self, x: npt.NDArray[np.float64], coefficients: npt.NDArray[np.float64], out: npt.NDArray[np.float64]
    ) -> None:
        """The sum of a series at each x, to the bit what `numpy.polynomial.chebyshev.chebval` makes of it.

        `x` and `out` have as many elements each, in any shape; `out` may be `x`.
        """

class NttTables:
    """See `hecc.runtime.native.NttTables`."""

    def __init__(self, degree: int, modulus: int, implementation: str | None = None) -> None: ...
    @property
    def degree(self) -> int: ...
    @property
    def modulus(self) -> int: ...
    @property
    def root(self) -> int: ...
    @property
    def implementation(self) -> str: ...
    def forward(self, residues: _Words, sparse: bool = False) -> None: ...
    def forward_half(self, residues: _Words) -> None:
        """The first half of the values of a polynomial, in place, from what the first stage makes of its coefficients.

        Rows of M words, a power of two from 64 to N / 2, are of a polynomial of 2M coefficients as `forward` with
        `sparse` takes it: word i is coefficient i plus root^(N / 2) times coefficient M + i.
        """

    def inverse(self, residues: _Words, sparse: bool = False) -> None: ...

class BasisConversion:
    """From the residues modulo some primes to those modulo others, of coefficients.

    The number meant is the one from 0 to D - 1, D the product of `sources`, or if `centred` the one from -D/2 to D/2.
    With several sources it may, very near to the borders, be the one beyond.
    """

    def __init__(self, kernels: Kernels, sources: Sequence[int], targets: Sequence[int], *, centred: bool) -> None: ...
    def convert(self, residues: _Words, out: _Words) -> None:
        """Convert residues of shape (sources, count) to shape (targets, count)."""

class ModDown:
    """Division by the product of the last limbs, with rounding, in NTT form: a mod-down, or a rescale."""

    def __init__(self, kernels: Kernels, kept: Sequence[NttTables], dropped: Sequence[NttTables]) -> None: ...
    def apply(self, residues: _Words, out: _Words) -> None:
        """From shape (kept + dropped, degree) to shape (kept, degree)."""

class GaloisPermutation:
    """X to X^element in NTT form, where it is a permutation."""

    def __init__(self, degree: int, element: int) -> None: ...
    @property
    def element(self) -> int: ...
    def apply(self, kernels: Kernels, residues: _Words, out: _Words) -> None: ...
    def apply_to_runs(self, kernels: Kernels, residues: _Words, out: _Words, index: int) -> None:
        """Two polynomials, of shape (2, N), to image `index` of those in `out`, of shape (N / 32, images, 64).

        For every 16 coefficients of the first half, `out` has these of the first image, their counterparts from its
        end (from N - 16 - 16 r on for run r), and the same of the second image.
        """

class Encoder:
    """CKKS encoding for a ring; slot values are a power of two of them, and repeat to fill the ring."""

    def __init__(self, kernels: Kernels, degree: int) -> None: ...
    def embed(self, values: _Slots, scale: float) -> npt.NDArray[np.float64]:
        """The rounded coefficients: with fewer values than slots, every so many-th one of the polynomial."""

    def limbs(self, coefficients: npt.NDArray[np.float64], tables: Sequence[NttTables], out: _Words) -> None:
        """The plaintext of rounded coefficients, in NTT form, of shape (len(tables), degree)."""

    def encode(self, values: _Slots, scale: float, tables: Sequence[NttTables], out: _Words) -> None:
        """`embed` and `limbs` in one."""
