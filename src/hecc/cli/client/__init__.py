"""Commands of who has the data and the secret key."""
