"""Plans of CKKS: header, circuit, and what was compared for them."""
