"""Client and server in network namespaces of their own, with a link between them of a stated rate and delay."""
