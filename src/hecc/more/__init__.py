"""Plans of MORE explained: what they take, and a page about them."""
