"""Building the Graph: one node of the model at a time."""
