"""The command line: parse, call, print, exit code. Nothing is decided here."""
