"""Readings of a Circuit: one meaning of all its instructions a file."""
