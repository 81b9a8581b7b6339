"""Plans of sharing explained: what a query takes of each party and of the network, and a page about it."""
