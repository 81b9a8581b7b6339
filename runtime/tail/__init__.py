"""The tail: what a client does to decrypted results, and how it judges them."""
