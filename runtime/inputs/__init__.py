"""Inputs: preprocessing, images, and tensors that are checked before anything is computed with them."""
