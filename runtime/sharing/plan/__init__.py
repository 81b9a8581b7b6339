"""Plans of sharing: header, public program, and the weights in the server's file."""
