"""What compiles for MORE: the pipeline."""
