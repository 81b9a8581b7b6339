"""The promise: how far off what a user reads may be, and on which inputs that is measured."""
