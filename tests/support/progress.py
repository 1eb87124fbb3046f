"""Progress that a test can look at."""

from __future__ import annotations

from fhpt_eval.common.progress import Progress


class Kept(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)
