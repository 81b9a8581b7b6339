"""The passes: one file, one pure function, one idea each; a scheme's pipeline says in which order and why."""
