"""Who is told what is going on.

The command line passes an object that shows it; whoever wants silence passes none.
"""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Is told what a reading, training or generating is doing."""

    def say(self, message: str) -> None:
        """Something to be told once."""

    def stage(self, name: str, total: int) -> None:
        """A stage of ``total`` steps begins; the one before it is over."""

    def advance(self, done: int) -> None:
        """So many steps of the stage are done."""


class Silent:
    """A listener that keeps everything to itself."""

    def say(self, message: str) -> None:
        """See :meth:`Listener.say`."""

    def stage(self, name: str, total: int) -> None:
        """See :meth:`Listener.stage`."""

    def advance(self, done: int) -> None:
        """See :meth:`Listener.advance`."""
