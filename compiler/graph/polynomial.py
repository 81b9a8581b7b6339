"""Arithmetic of elementwise polynomials, exact in the coefficients' formulas.

A polynomial is the tuple of its coefficients, lowest degree first; a coefficient is a number or one number per element.
The formulas for products and compositions are derived once by sympy from symbols, exactly, and then evaluated on the
arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coefficients", "add", "compose", "degree", "multiply"]

Coefficients = tuple[NDArray[np.float64], ...]


def degree(p: Coefficients) -> int:
    """Largest exponent with a coefficient that is not zero everywhere; 0 for constants."""
    return max((k for k, c in enumerate(p) if bool(np.any(c))), default=0)


def add(p: Coefficients, q: Coefficients) -> Coefficients:
    """``p + q``."""
    longer = max(len(p), len(q))
    zero = np.zeros(())
    pairs = zip((*p, *[zero] * (longer - len(p))), (*q, *[zero] * (longer - len(q))), strict=True)
    return _trim(tuple(np.asarray(a + b) for a, b in pairs))


def multiply(p: Coefficients, q: Coefficients) -> Coefficients:
    """``p * q``."""
    return _apply("multiply", p, q)


def compose(outer: Coefficients, inner: Coefficients) -> Coefficients:
    """``outer(inner(x))``, for example a square after a batch normalisation."""
    if len(inner) == 2 and not bool(np.any(inner[0])) and bool(np.all(inner[1] == 1.0)):
        return _trim(outer)
    return _apply("compose", outer, inner)


def _apply(operation: str, p: Coefficients, q: Coefficients) -> Coefficients:
    formulas = _formulas(operation, len(p), len(q))
    return _trim(tuple(np.asarray(f(*p, *q), dtype=np.float64) for f in formulas))


def _trim(p: Coefficients) -> Coefficients:
    return p[: degree(p) + 1]


@lru_cache(maxsize=64)
def _formulas(operation: str, p_terms: int, q_terms: int) -> Sequence[Callable[..., Any]]:
    """One function of all coefficients per coefficient of the result."""
    import sympy  # slow to import, and few networks need it

    x = sympy.Symbol("x")
    ps, qs = sympy.symbols(f"p:{p_terms}"), sympy.symbols(f"q:{q_terms}")
    p = sum((c * x**k for k, c in enumerate(ps)), sympy.Integer(0))
    q = sum((c * x**k for k, c in enumerate(qs)), sympy.Integer(0))
    result = p * q if operation == "multiply" else p.subs(x, q)
    coefficients = reversed(sympy.Poly(sympy.expand(result), x).all_coeffs())
    return tuple(sympy.lambdify((*ps, *qs), c, "numpy") for c in coefficients)
