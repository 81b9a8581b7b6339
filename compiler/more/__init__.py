"""What compiles for MORE."""
