"""Passes that compile for sharing, and the pipeline that runs them all."""
