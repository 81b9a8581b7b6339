"""Training under MORE: the loop on the server, and the file that it makes."""
