"""``python -m hecc``: the command line, where its script is not on the path."""

from hecc.cli import main

main()
