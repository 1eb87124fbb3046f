"""How a training is told to end."""

from __future__ import annotations

import contextlib
import signal
from types import FrameType
from typing import Any


class Signals:
    """Notes that somebody wants the training to end: Ctrl-C, or a cluster's SIGTERM.

    A second signal ends the process at once, unless ``insist``: ``torchrun`` passes on what the
    terminal has sent already.
    """

    def __init__(self, insist: bool) -> None:
        self.number, self._insist = 0, insist
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        with contextlib.suppress(ValueError):  # not in the main thread, where no signal arrives
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = number
        if not self._insist:
            self.__exit__()
