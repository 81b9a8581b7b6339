"""Polynomials in place of functions."""
