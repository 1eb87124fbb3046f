"""Sound files of every kind that a command reads, and the commands that read them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fhpt_eval.images.files import encode

RUN = ("run", "--pred", "pred", "--gt", "gt", "--metrics", "psnr", "--out", "out")


@dataclass(frozen=True)
class Kind:
    """A file that is spoilt, and the command that reads it."""

    name: str
    file: str
    command: tuple[str, ...]


KINDS = (
    Kind("generated image", "pred/a.png", RUN),
    Kind("ground truth", "gt/b.jpg", RUN),
    Kind("list of pairs", "pairs.csv", (*RUN, "--pairs", "pairs.csv")),
    Kind("protocol", "protocol.toml", (*RUN, "--protocol", "protocol.toml")),
    Kind("request", "request.toml", ("run", "--request", "request.toml")),
    Kind("result", "done/result.json", ("leaderboard", "done", "--csv", "table.csv")),
    Kind("values of pairs", "done/pairs.csv", ("leaderboard", "done")),
    Kind("note of origin", "fhpt-eval-runs/fhpt/pred/origin.txt", RUN[:-2]),
    Kind("partial", "done/partials", (*RUN[:-1], "done")),
    Kind(
        "statistics", "stats.npz",
        (*RUN[:5], "--protocol", "mannequin", "--metrics", "fid[mannequin]",
         "--fid-reference", "stats.npz", "--out", "out"),
    ),
    Kind("bundle", "bundle.tar", ("weights", "import", "bundle.tar", "--weights-dir", "weights")),
)  # fmt: skip


def write_seeds(root: Path) -> None:
    """Write what the commands read; results are left to the command that makes them."""
    random = np.random.default_rng(0)
    for folder in ("pred", "gt", "fhpt-eval-runs/fhpt/pred"):
        (root / folder).mkdir(parents=True)
    for name in "ab":
        pixels = random.integers(0, 255, (24, 20, 3), dtype=np.uint8)
        (root / "gt" / f"{name}.jpg").write_bytes(encode(pixels, "JPEG"))
        (root / "pred" / f"{name}.png").write_bytes(encode(255 - pixels // 2, "PNG"))
    (root / "pairs.csv").write_text("generated,ground_truth\na,a\nb,b\n")
    (root / "protocol.toml").write_text('id = "mine"\ntitle = "T"\n[metrics.psnr]\n')
    request = {"pred": "pred", "gt": "gt", "metrics": ["psnr"], "out": "out"}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in request.items()]
    (root / "request.toml").write_text("".join(lines))
    (root / "fhpt-eval-runs/fhpt/pred/origin.txt").write_text("  --pred elsewhere\n")
    np.savez(root / "stats.npz", mu=np.zeros(8), sigma=np.eye(8))
    with tarfile.open(root / "bundle.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("network.pth")
        member.size = 700
        tar.addfile(member, io.BytesIO(bytes(700)))
