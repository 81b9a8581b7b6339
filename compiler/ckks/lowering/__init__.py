"""Lowering: a Graph with layouts becomes a Circuit."""
