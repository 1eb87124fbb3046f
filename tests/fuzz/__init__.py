"""Files that are damaged or hostile, thrown at the command line: `make fuzz`."""
