"""Predictions of what a plan under MORE takes: seconds and bytes, without keys and without rows."""
