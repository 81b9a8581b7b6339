"""Products with weights and of tensors: matrices, convolutions, Einstein sums."""
