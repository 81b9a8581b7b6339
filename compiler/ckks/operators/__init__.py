"""Operators taken apart: what CKKS, which adds and multiplies, makes of each."""
