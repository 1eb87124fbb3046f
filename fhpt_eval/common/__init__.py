"""What every other part of the package shares."""
