"""Bootstrapping: the mathematics of it, made from a ring and a few numbers, so that no plan has to carry matrices."""
