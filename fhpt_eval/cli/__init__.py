"""The command line: one thin module per command, which parses and prints."""
