"""Predictions of what a plan of sharing takes: bytes, messages and seconds over a network, and memory."""
