"""Elementwise arithmetic and comparisons."""
