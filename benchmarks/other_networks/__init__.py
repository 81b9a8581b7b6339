"""Networks that others trained: what they are fed with, how each is measured, and the page of all figures."""
