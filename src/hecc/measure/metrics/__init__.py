"""Metrics: how good answers are, each with a 95% confidence interval."""
