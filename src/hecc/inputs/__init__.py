"""What users give: inputs, tables, labels and networks, from files and from memory."""
