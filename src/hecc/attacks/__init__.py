"""Attacks: what somebody without a key makes of files."""
