"""`python -m modseal`: the command line."""

from modseal.cli.main import main

main()
