"""The networks: the paper's in ``drn``, what it lacks in ``extensions``."""
