"""Images: pooling, padding, resizing, and blocks of pixels."""
