"""What may be asked of a plan: the table of options, and the arguments and the documentation made of it."""
