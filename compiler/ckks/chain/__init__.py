"""The modulus chain: scales, levels, and the primes that they are spent on."""
