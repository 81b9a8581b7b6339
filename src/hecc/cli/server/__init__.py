"""Commands of who evaluates: no secret, no network."""
