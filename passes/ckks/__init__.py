"""Passes that compile for CKKS, and the pipeline that runs them all."""
