"""The parts of ``benchmarks/two_party.py``.

The peers' own interpreters, which have numpy but not hecc, import ``steps`` and ``workers``.
"""
