"""Gradients: one more reading of nodes, affine maps, operators and functions, whose result is a program of tensors."""
