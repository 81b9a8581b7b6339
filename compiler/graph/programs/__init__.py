"""Graphs as programs of tensors: a rule for every kind of node, affine map and operator."""
