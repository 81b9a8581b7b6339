"""What is measured: machines, kernels, plans, and answers against the right ones."""
