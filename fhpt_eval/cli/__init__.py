"""The command line: one thin module per command, which parses and prints.

May import: click at the top; everything else inside the functions, so that ``--help`` is fast.
"""
