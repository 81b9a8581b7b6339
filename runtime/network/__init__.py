"""Networks as programs of tensors: few instructions, which every scheme that computes on numbers may read."""
