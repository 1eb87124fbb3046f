"""What is computed of one image: which face is taken, and its box, score and descriptor.

The calls of dlib are those of ``face_recognition`` 1.3.0: the frontal detector on histograms of
oriented gradients, the five-point predictor, the descriptor without jitter. That detector looks for
faces of 80 x 80 pixels and more, so that smaller ones are found in a doubled image only.

It runs in worker processes: dlib's Python functions keep the interpreter's lock (two threads took
1.8 to 1.9 times as long as one, measured with dlib 20.0.1), so that only processes keep more than
one core busy.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: One image's row: the number of faces, and of the one that is taken its box (left, top, right and
#: bottom pixel), the detector's score (at least 0) and its descriptor; NaN where there is no face.
ROW = np.dtype(
    [
        ("found", np.int64),
        ("box", np.float64, (4,)),
        ("score", np.float64),
        ("descriptor", np.float64, (128,)),
    ]
)

#: No image is doubled to more pixels than this: looking through as many took 1.1 s and 160 MB.
MAX_PIXELS = 2**24


def doublings(pixels: int, upsample: int) -> list[int]:
    """Return how often an image of so many pixels is doubled, in the order in which it is tried.

    Once at first, as ``face_recognition`` does, then up to ``upsample`` times as long as no face is
    found. Above :data:`MAX_PIXELS` it is not doubled; an image that is too large even for the first
    is looked through as it is, in which small faces are large enough.
    """
    first = min(1, upsample)
    return [n for n in range(first, upsample + 1) if pixels * 4**n <= MAX_PIXELS] or [0]


class FaceFinder:
    """dlib's detector, predictor and network; loading takes 0.3 s. For one thread at a time."""

    def __init__(self, predictor: str, network: str) -> None:
        dlib: Any = import_module("dlib")
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(predictor)
        self._network = dlib.face_recognition_model_v1(network)

    def find(self, image: NDArray[np.uint8], upsample: int) -> NDArray[np.void]:
        """Return the :data:`ROW` of an ``(H, W, 3)`` RGB image, as an array of one.

        Of several faces the one of the highest score is taken, which is dlib's first. The largest
        need not be one: on scikit-image's astronaut the detector takes the badge on the suit for a
        face of the same size, to a pixel, with a tenth of the score.
        """
        row = np.zeros(1, ROW)
        for name in ("box", "score", "descriptor"):
            row[name] = np.nan
        height, width, _ = image.shape
        for times in doublings(height * width, upsample):
            boxes, scores, _ = self._detector.run(image, times, 0.0)
            if boxes:
                clearest = int(np.argmax(scores))
                box = boxes[clearest]
                row["found"] = len(boxes)
                row["box"] = box.left(), box.top(), box.right(), box.bottom()
                row["score"] = scores[clearest]
                points = self._predictor(image, box)
                described = self._network.compute_face_descriptor(image, points, 1)  # no jitter
                row["descriptor"] = np.array(described, np.float64)
                break
        return row


def serve(handle: int, predictor: str, network: str, idle: float) -> None:
    """Answer requests on a connection until it is closed, or none has come for ``idle`` seconds.

    A request is an image and ``upsample``; the answer is its row, or a text that says what failed.
    """
    finder: FaceFinder | None = None
    with Connection(handle) as requests, suppress(EOFError, OSError):  # nobody asks any more
        while requests.poll(idle):
            image, upsample = requests.recv()
            try:
                finder = finder or FaceFinder(predictor, network)
                answer: object = finder.find(image, upsample)
            except Exception as error:  # noqa: BLE001 - the process that asked raises it
                answer = f"{type(error).__name__}: {error}"
            requests.send(answer)


if __name__ == "__main__":
    _, connection, points, encoder, seconds = sys.argv
    serve(int(connection), points, encoder, float(seconds))
