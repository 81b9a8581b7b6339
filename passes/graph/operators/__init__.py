"""Operators: what they may be replaced by in every scheme, before one takes them apart."""
