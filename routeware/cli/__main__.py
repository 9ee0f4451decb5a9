"""``python -m routeware.cli``: the command where its script is not on the path."""

from routeware.cli import main

main()
