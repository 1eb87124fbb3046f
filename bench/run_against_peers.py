"""One call of ``evaluate`` against the field's tools one after another, on 200 pairs on a CPU.

Ours scores SSIM, PSNR, LPIPS, FID, the Inception score and BRISQUE in one run, from nothing: no
cache, nothing finished before. The others read the same PNG files and do what their users do:

- scikit-image: a loop over pairs, SSIM (gaussian window, sigma 1.5, per channel) and PSNR
- lpips 0.1.4, alex: a loop over pairs
- pytorch-fid 0.3.0: both folders, with its own defaults (batches of 50, two loading processes)
- torch-fidelity 0.4.0: the Inception score of the generated images, with its own defaults
- piq 0.8.0: BRISQUE in float32, a loop over images

Each measurement is a process of its own on the same two cores. Time begins when everything is
imported and ends with the value; reading images counts on both sides. FID, Inception score and our
whole run include loading weights, the networks of lpips and piq do not. All weights are random and
shared, so that nothing is downloaded; they do not change the work.

Values are printed beside each other. Two differ, as they must: our Inception score shares one pass
of one network with FID, and so one resize, where torch-fidelity has another and shuffles; piq has
other luma weights (docs/metrics/brisque.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.run_scales import write

PAIRS, THREADS, ROUNDS = 200, 2, 2
METRICS = ("ssim", "psnr", "lpips", "fid", "is", "brisque")
#: Values that both sides must share, and by how much they may differ, relative to the value.
SAME = {"ssim": 1e-6, "psnr": 1e-6, "lpips": 1e-4, "fid": 1e-4}

PROTOCOL = """
id = "bench"
title = "What run_against_peers compares"

[metrics.ssim]
[metrics.psnr]
[metrics.lpips]
network_weights = "{folder}/alexnet.pth"
[metrics.fid]
resize = "pytorch-fid"
network_weights = "{folder}/inception.pth"
[metrics.is]
resize = "pytorch-fid"
network_weights = "{folder}/inception.pth"
[metrics.brisque]
"""

Values = dict[str, float]


def ours(root: Path) -> Callable[[], Values]:
    import fhpt_eval

    fresh = root / f"run{os.getpid()}"

    def run() -> Values:
        result = fhpt_eval.evaluate(
            root / "generated", root / "ground_truth", protocol=root / "protocol.toml",
            metrics=METRICS, out=fresh / "out", cache=fresh / "cache", device="cpu",
        )  # fmt: skip
        scores = {name: score.value for name, score in result.scores.items()}
        return {name: value for name, value in scores.items() if value is not None}

    return run


def scikit_image(root: Path) -> Callable[[], Values]:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    def run() -> Values:
        found = [
            (
                structural_similarity(
                    x, y, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
                    use_sample_covariance=False,
                ),
                peak_signal_noise_ratio(y, x, data_range=255),
            )
            for x, y in pairs(root)
        ]  # fmt: skip
        ssim, psnr = np.mean(found, axis=0)
        return {"ssim": float(ssim), "psnr": float(psnr)}

    return run


def lpips_alex(root: Path) -> Callable[[], Values]:
    import lpips

    model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = torch.load(root / "alexnet.pth", weights_only=True)
    for part in model.net.children():  # its slices keep torchvision's numbers
        for name, parameter in part.named_parameters():
            parameter.data.copy_(state[f"features.{name}"])

    @torch.no_grad()
    def run() -> Values:
        found = [model(*map(lpips.im2tensor, pair)).item() for pair in pairs(root)]
        return {"lpips": float(np.mean(found))}

    return run


def pytorch_fid(root: Path) -> Callable[[], Values]:
    import warnings

    from pytorch_fid import fid_score, inception

    # SciPy announces that an argument of its call goes away; its progress bars go to stderr.
    warnings.simplefilter("ignore", DeprecationWarning)
    inception.load_state_dict_from_url = lambda *_, **__: torch.load(root / "inception.pth")
    folders = [str(root / side) for side in ("generated", "ground_truth")]

    def run() -> Values:
        fid = fid_score.calculate_fid_given_paths(folders, 50, "cpu", 2048, THREADS)
        return {"fid": float(fid)}

    return run


def torch_fidelity_isc(root: Path) -> Callable[[], Values]:
    import torch_fidelity

    def run() -> Values:
        found = torch_fidelity.calculate_metrics(
            input1=str(root / "generated"), cuda=False, isc=True, verbose=False, cache=False,
            feature_extractor_weights_path=str(root / "inception.pth"),
        )  # fmt: skip
        return {"is.mean": float(found["inception_score_mean"])}

    return run


def piq_brisque(root: Path) -> Callable[[], Values]:
    import piq

    from bench.brisque_against_piq import give_piq_our_model

    give_piq_our_model()

    def run() -> Values:
        found = [piq.brisque(image).item() for image in tensors(root / "generated")]
        return {"brisque": float(np.mean(found))}

    return run


WAYS: dict[str, Callable[[Path], Callable[[], Values]]] = {
    "fhpt-eval": ours,
    "scikit-image (ssim, psnr)": scikit_image,
    "lpips (alex)": lpips_alex,
    "pytorch-fid": pytorch_fid,
    "torch-fidelity (is)": torch_fidelity_isc,
    "piq (brisque)": piq_brisque,
}


def pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def pairs(root: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Read pair after pair, ``(H, W, 3)`` uint8 each."""
    for path in sorted((root / "generated").iterdir()):
        yield pixels(path), pixels(root / "ground_truth" / path.name)


def tensors(folder: Path) -> Iterator[torch.Tensor]:
    """Read image after image, ``(1, 3, H, W)`` float32 in [0, 1]."""
    for path in sorted(folder.iterdir()):
        yield torch.from_numpy(pixels(path).copy()).permute(2, 0, 1)[None].float() / 255


def measure_here(way: str, root: Path) -> None:
    """Print seconds and values of one way as JSON; the whole of a measuring process."""
    torch.set_num_threads(THREADS)
    run = WAYS[way](root)
    start = time.perf_counter()
    values = run()
    print(json.dumps({"seconds": time.perf_counter() - start, "values": values}))


def measure(way: str, root: Path) -> tuple[float, Values]:
    """Measure one way in a process of its own."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-m", "bench.run_against_peers", way, str(root)],
        env=os.environ | dict.fromkeys(names, str(THREADS)), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told["seconds"], told["values"]


def prepare(root: Path) -> None:
    """Write images, shared weights and our protocol."""
    from tests.support.random_inception import write_inception_2015
    from tests.support.random_trunks import seeded_state

    write(root, PAIRS)
    write_inception_2015(root / "inception.pth")
    torch.save(seeded_state("alex"), root / "alexnet.pth")
    (root / "protocol.toml").write_text(PROTOCOL.format(folder=root.as_posix()))


def show(seconds: dict[str, float], values: dict[str, Values]) -> None:
    """Print the times, their ratio and, where both sides compute the same, how far they differ."""
    peers = sum(seconds.values()) - seconds["fhpt-eval"]
    for way, least in seconds.items():
        print(f"  {way:<28}{least:8.1f} s")
    print(f"  {'the five peers together':<28}{peers:8.1f} s")
    print(f"  fhpt-eval takes {seconds['fhpt-eval'] / peers:.3f} of it")
    mine = values["fhpt-eval"]
    print("values, ours and theirs:")
    for name in (*SAME, "is.mean", "brisque"):
        expected = next(v[name] for way, v in values.items() if way != "fhpt-eval" and name in v)
        difference = abs(mine[name] - expected) / abs(expected)
        print(
            f"  {name:<10}{mine[name]:12.6f}{expected:12.6f}  relative difference {difference:.0e}"
        )
        assert difference <= SAME.get(name, np.inf), name


def main() -> None:
    if len(sys.argv) == 3:
        measure_here(sys.argv[1], Path(sys.argv[2]))
        return
    if hasattr(os, "sched_setaffinity"):  # the processes below inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    values: dict[str, Values] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for _ in range(ROUNDS):  # in turn, so that other work on the machine meets all alike
            for way in WAYS:
                time_, values[way] = measure(way, Path(folder))
                seconds[way].append(time_)
    print(f"{PAIRS} pairs of 256 x 176, {', '.join(METRICS)}; {THREADS} cores")
    print(f"least seconds of {ROUNDS} rounds in turn:")
    # Other work on the machine only adds to a time.
    show({way: min(found) for way, found in seconds.items()}, values)


if __name__ == "__main__":
    main()
