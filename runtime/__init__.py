"""The runtime: instruction set, plan and file formats, client, server and evaluators."""
