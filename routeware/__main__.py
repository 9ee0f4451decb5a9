"""Run the ``routeware`` command as ``python -m routeware``, where its script is not on the path."""

from routeware.cli import main

if __name__ == "__main__":
    main()
