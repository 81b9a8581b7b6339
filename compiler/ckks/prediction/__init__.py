"""Predictions of what a Circuit takes: seconds, bytes, and precision."""
