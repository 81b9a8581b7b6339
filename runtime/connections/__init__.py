"""Connections between parties, whatever they say to each other: who trusts whom, by certificates."""

from hecc.runtime.extras import require

require("cryptography", extra="sharing")
