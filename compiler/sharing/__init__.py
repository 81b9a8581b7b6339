"""What compiles for sharing: affine maps as public and private steps, functions as lines, rings from proved ranges."""
