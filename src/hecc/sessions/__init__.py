"""Sessions of client and server over a network: who deals, who serves, and who asks."""
