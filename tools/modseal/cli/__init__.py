"""The command line: parse, call, print, exit code. Verdicts are reached in the rooms below."""
