"""Files: one container format, canonical headers, and writes that are whole or not at all."""
