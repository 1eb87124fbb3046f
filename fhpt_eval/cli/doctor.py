"""``fhpt-eval doctor``: what is installed, what works, what would be unavailable and why."""

from __future__ import annotations

import click

from fhpt_eval.cli.options import weights_dir
from fhpt_eval.cli.screen import say


@click.command()
@weights_dir
def doctor() -> int:
    """Check this installation: versions, devices, weights, metrics.

    Exit status 3 if some installed metric cannot be computed here.
    """
    import platform

    import torch
    from PIL import features

    from fhpt_eval.common.fingerprint import software
    from fhpt_eval.common.machine import available_cores

    for name, version in {**software(()), "system": platform.platform(terse=True)}.items():
        say(f"{name:<16}{version}")
    say(f"{'cores':<16}{available_cores()}")
    say(f"{'device':<16}{_devices(torch.cuda.is_available())}")
    codecs = [name for name in ("jpg", "zlib", "webp") if features.check(name)]
    say(f"{'image codecs':<16}{', '.join(codecs)} (jpg, zlib for PNG, and webp are used)")
    say("")
    if broken := _metrics():
        say(f"\n{broken} metrics are unavailable; what would cure it stands above.")
        return 3
    say("\nEverything that is installed can be used.")
    return 0


def _devices(cuda: bool) -> str:
    import torch

    if not cuda:
        return "cpu (PyTorch sees no CUDA device)"
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return ", ".join(f"cuda:{n} {name}" for n, name in enumerate(names))


def _metrics() -> int:
    """Print a line per metric; return how many cannot be used with their defaults."""
    from fhpt_eval.errors import FhptEvalError
    from fhpt_eval.metrics.registry import load_metric, metric_names

    broken = 0
    for name in metric_names():
        try:
            metric = load_metric(name)()
            weights = [f"{file} {digest[:12]}" for file, digest in metric.weights().items()]
            needs = " ".join(sorted(metric.needs))
            text = "ready" + (f"; needs {needs}" if needs else "")
            text += f"; weights {', '.join(weights)}" if weights else ""
            if lacking := metric.lacks():
                broken += 1
                text = f"unavailable: {lacking}"
        except FhptEvalError as error:
            broken += 1
            text = f"unavailable: {error}"
        say(f"metric {name:<16}{text}")
    return broken
