"""How long work tells what it is doing: scoring, drawing, training, downloading.

They report to a :class:`Progress`; what a person sees is the command line's business.
"""

from __future__ import annotations


class Progress:
    """Receives what is going on; this one keeps it to itself."""

    def say(self, message: str) -> None:
        """Tell something once, such as which rule matched the pairs."""

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """Begin a stage of ``total`` steps (0: not known); a stage before it is over.

        ``unit`` is what a step is, in the plural, as "pairs".
        """

    def advance(self, done: int, note: str = "") -> None:
        """Say how many steps of the stage are done; ``note`` stands beside it, as a loss."""
