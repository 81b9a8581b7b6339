"""Gates: for each kind of instruction one file, with what dealer, client and server do for it, and what it costs."""
