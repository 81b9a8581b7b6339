"""What runs the passes: for a network, and for one precision."""
