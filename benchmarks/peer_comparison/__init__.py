"""The parts of ``benchmarks/peers.py``.

The peers' own interpreters, which have numpy but not hecc, import ``networks``, ``worker`` and ``workers``.
"""
