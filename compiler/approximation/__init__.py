"""Polynomials in place of functions: intervals of arguments, fits, and the search for degrees."""
