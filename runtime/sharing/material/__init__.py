"""Material: random numbers that are drawn ahead of the input, as streams and as blocks."""

from hecc.runtime.extras import require

require("cryptography", extra="sharing")
