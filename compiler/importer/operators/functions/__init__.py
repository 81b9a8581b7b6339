"""Functions of one variable, and softmax."""
