"""Functions with kinks: rewritten so that fewer, or better, polynomials stand for them."""
