"""The public files of a key set, and how keys lie in them."""
