"""What compiles for CKKS: lowering to ciphertexts, the modulus chain, and predictions of cost and noise."""
