"""Devices: what runs a Circuit on ciphertexts."""
