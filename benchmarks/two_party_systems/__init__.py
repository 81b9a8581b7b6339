"""The parts of ``benchmarks/two_party.py``."""
