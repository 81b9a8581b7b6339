"""Integers modulo powers of two: rings, bits on the wire, linear maps, threshold words."""
