"""Parties: the dealer, the client and the server of one program, each in one file, and what they talk through."""
