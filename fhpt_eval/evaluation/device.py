"""Which device to compute on."""

from __future__ import annotations

import torch

from fhpt_eval.errors import InputError


def choose_device(device: str) -> str:
    """Return the device to compute on; ``"auto"`` is the first GPU, or the CPU.

    Raises:
        InputError: there is no such device here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    counted = kind == "cuda" and number.isascii() and number.isdecimal()
    if kind not in ("cpu", "cuda") or (number and not counted):
        raise InputError(f"--device {device}: use auto, cpu, cuda or cuda:N.")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices."
        )
    return "cpu" if kind == "cpu" else device
