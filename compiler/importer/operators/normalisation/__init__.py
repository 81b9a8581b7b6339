"""Normalisation, with constants and by statistics of the data."""
