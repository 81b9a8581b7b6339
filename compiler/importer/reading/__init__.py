"""Reading a model: from a file to nodes that can be converted one by one."""
