"""Commands of who has the network: they make plans and look at them."""
