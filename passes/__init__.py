"""The passes: one file, one pure function, one idea each; :mod:`hecc.passes.pipeline` says in which order and why."""
