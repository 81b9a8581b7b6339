"""The table of operators, and the official tests behind it."""
