"""The tensor IR: graphs, affine maps, polynomials."""
