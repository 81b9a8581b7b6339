"""Programs: what client, server and dealer of one plan interpret, each in its own way."""
