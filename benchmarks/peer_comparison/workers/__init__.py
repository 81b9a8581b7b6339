"""One module per system, each run in a process of its own by the interpreter that has the system installed."""
