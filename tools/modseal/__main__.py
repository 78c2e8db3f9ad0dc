"""`python -m modseal`: the command line."""

from modseal.cli.main import main

if __name__ == "__main__":
    main()
