"""How a run tells what it is doing.

The engine reports to a :class:`Progress`; what a person sees is the command line's business.
"""

from __future__ import annotations


class Progress:
    """Receives what a run is doing; this one keeps it to itself."""

    def say(self, message: str) -> None:
        """Tell something once, such as which rule matched the pairs."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of ``total`` steps; a stage before it is over."""

    def advance(self, done: int) -> None:
        """Say how many steps of the stage are done."""
