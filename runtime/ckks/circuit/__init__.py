"""The Circuit: instructions, layouts, and the parameters under which they run."""
