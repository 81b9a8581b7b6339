"""CKKS: approximate arithmetic on encrypted vectors."""
