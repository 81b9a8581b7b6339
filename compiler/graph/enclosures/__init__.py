"""Enclosures: intervals that hold all that a value can become, proved and not sampled."""
