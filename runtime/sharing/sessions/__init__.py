"""Sessions: two processes that run a program together, over a socket."""
