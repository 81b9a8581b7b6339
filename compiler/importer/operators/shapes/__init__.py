"""Shapes and types."""
