"""Speed, memory and scale, measured against named peers in one run."""
