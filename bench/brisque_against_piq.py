"""Time BRISQUE against piq 0.8.0 on the same crops, in one process, on one thread.

piq fetches its model from the internet; here it is given the same figures from this package, so
that both compute the same thing and nothing is downloaded.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import piq
import torch
from torch import Tensor

from bench.photographs import crops
from fhpt_eval.metrics import brisque as ours

HEIGHT, WIDTH = 256, 176
CROPS = 64
ROUNDS = 7


def give_piq_our_model() -> None:
    """Replace piq's download by a function that returns (coefficients, support vectors)."""
    model = ours._model(torch.device("cpu"))

    def load(*_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        return model.weights.float(), model.vectors.float()  # new tensors: piq transposes in place

    # By its name: "piq.brisque" is the function that hides the module.
    vars(sys.modules["piq.brisque"])["load_url"] = load


def milliseconds(score: Callable[[Tensor], Tensor], images: Tensor, batch: int) -> float:
    """Return the time per image of scoring all images in batches."""
    start = time.perf_counter()
    for block in torch.split(images, batch):
        score(block)
    return (time.perf_counter() - start) / len(images) * 1000


def compare(title: str, images: Tensor, theirs: Tensor, batch: int) -> None:
    """Print the least of both over rounds that alternate, and their ratio."""
    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS + 1):
        mine = milliseconds(ours.brisque, images, batch)
        times.append((mine, milliseconds(score_with_piq, theirs, batch)))
    # Other work on the machine only adds to a time.
    mine, other = (min(column) for column in zip(*times[1:], strict=True))
    print(f"{title:24}{batch:7}{mine:12.2f}{other:10.2f}{other / mine:8.1f}")


def score_with_piq(images: Tensor) -> Tensor:
    scores: Tensor = piq.brisque(images, reduction="none")
    return scores


def main() -> None:
    torch.set_num_threads(1)
    give_piq_our_model()
    images = torch.from_numpy(crops(CROPS, HEIGHT, WIDTH)).permute(0, 3, 1, 2).contiguous()
    single, double = images.float() / 255, images.double() / 255
    print(f"{CROPS} crops of {HEIGHT} x {WIDTH}, one thread, torch {torch.__version__}")
    print(f"{'ms per image':24}{'batch':>7}{'fhpt-eval':>12}{'piq':>10}{'ratio':>8}")
    for batch in (1, 16):
        compare("piq in float32", images, single, batch)
    for batch in (1, 16):
        compare("piq in float64, as we", images, double, batch)
    mine, other = ours.brisque(images[:1]).item(), score_with_piq(double[:1]).item()
    print(f"score of the first crop: fhpt-eval {mine:.4f}, piq in float64 {other:.4f}")


if __name__ == "__main__":
    main()
