"""What the client computes at the end of a network: a rule for every operator, and how rules become a plan's steps."""
