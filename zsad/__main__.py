"""``python -m zsad``: the command line, as launchers of several processes start it."""

from zsad.cli.main import main

if __name__ == "__main__":
    main()
