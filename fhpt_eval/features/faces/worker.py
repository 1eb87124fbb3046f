"""The process in which faces are found: images come in by a pipe, rows go out by another.

dlib's Python functions keep the interpreter's lock (two threads took 1.8 to 1.9 times as long as
one, measured with dlib 20.0.1), so that only processes keep more than one core busy.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from typing import BinaryIO

import numpy as np

from fhpt_eval.features.faces.find import FaceFinder

#: A request's height, width and ``upsample``; then come height * width * 3 bytes, RGB by rows.
REQUEST = struct.Struct("<III")
#: Whether it went well, and how many bytes come: those of a row, or of what went wrong, as UTF-8.
ANSWER = struct.Struct("<?I")


def main(predictor: str, network: str, idle: int) -> None:
    """Answer requests on standard input until it is closed, or none has come for ``idle`` s."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the answers
    requests = sys.stdin.buffer
    finder: FaceFinder | None = None
    while head := _next(requests, idle):
        height, width, upsample = REQUEST.unpack(head)
        data = requests.read(height * width * 3)
        try:
            finder = finder or FaceFinder(predictor, network)
            image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            well, answer = True, finder.find(image, upsample).tobytes()
        except Exception as error:  # noqa: BLE001 - the process that asked is told, and raises it
            well, answer = False, f"{type(error).__name__}: {error}".encode()
        try:
            answers.write(ANSWER.pack(well, len(answer)) + answer)
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # nobody reads any more; closing the pipe would only say so again


def _next(requests: BinaryIO, idle: int) -> bytes:
    """Return the head of the next request, or nothing once there will be none."""
    alarm = getattr(signal, "alarm", None)  # not on Windows, where idle workers stay
    if alarm is not None:
        alarm(idle)  # ends this process after so many seconds
    head = requests.read(REQUEST.size)
    if alarm is not None:
        alarm(0)
    return head if len(head) == REQUEST.size else b""
