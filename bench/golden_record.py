"""Keep every number of some runs, and hold another version of the code to them, bit by bit.

    python -m bench.golden_record write RECORD.json --images DIR
    python -m bench.golden_record compare RECORD.json --images DIR

Three kinds of runs: the demo's methods under ``mannequin``; published result strips under every
preset (from the reference fixtures, where they are); photographs under ``fhpt`` with all metrics.
Networks whose weights cannot be downloaded have seeded random ones. Images and weights lie in
``--images``, made once, so that both versions see the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import fhpt_eval
from bench.golden_inputs import FIXTURES, demo_methods, photographs, weights_in
from fhpt_eval.protocol import Protocol, load_protocol, preset_names

#: Weights by the network that a metric names.
_STAND_INS = ("inception-2015", "inception_v3-imagenet", "openpose-coco18")


def main() -> None:
    """Write a record, or compare with one; exit status 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["write", "compare"])
    parser.add_argument("record", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--only", default="", help="runs whose name starts so")
    arguments = parser.parse_args()
    found = dict(runs(arguments.images, arguments.only))
    if arguments.action == "write":
        arguments.record.write_text(json.dumps(found, indent=0, sort_keys=True), "utf-8")
        return
    kept = json.loads(arguments.record.read_text("utf-8"))
    kept = {name: one for name, one in kept.items() if name.startswith(arguments.only)}
    lines = differences(kept, found)
    print(
        "\n".join(lines) or f"{len(kept)} runs: every score and every value of a pair is the same"
    )
    sys.exit(bool(lines))


def runs(images: Path, only: str = "") -> Any:
    """Yield the name of each run, and what it gave."""
    weights = weights_in(images / "weights")
    truth = images / "demo" / "mannequin" / "test"
    for method, folder in demo_methods(images / "demo").items():
        yield from _run(
            f"demo {method}", only, load_protocol("mannequin"), folder, truth, source=truth
        )
    for preset in preset_names():
        protocol = with_stand_ins(load_protocol(preset), weights)
        # Estimated joints take minutes an image here; the photographs have them.
        metrics = [one.name for one in protocol.entries if one.metric.name != "joints"]
        for method in ("deformable_gan", "vunet", "pg2"):
            strips = FIXTURES / "result_strips" / method
            if strips.is_dir():
                yield from _run(
                    f"strips {preset} {method}", only, protocol, strips, strips, panels=3,
                    metrics=metrics,
                )  # fmt: skip
    generated, real, pairs = photographs(images / "photographs")
    extended, _ = load_protocol("fhpt").with_metrics(["fid_infinity"])
    protocol = with_stand_ins(extended, weights)
    yield from _run(
        "photographs fhpt", only, small(protocol), generated, real, source=real, pairs=pairs
    )


def _run(name: str, only: str, protocol: Protocol, *folders: Path, **options: Any) -> Any:
    if not name.startswith(only):
        return
    print(name, file=sys.stderr, flush=True)
    try:
        result = fhpt_eval.evaluate(*folders, protocol=protocol, name="method", **options)
    except fhpt_eval.FhptEvalError as error:
        yield name, {"refused": type(error).__name__}
        return
    scores = {
        score: {
            "value": _bits(one.value), "interval": [_bits(end) for end in one.interval or ()],
            "n": one.n, "coverage": one.coverage, "reason": one.reason, "note": one.note,
        }
        for score, one in result.scores.items()
    }  # fmt: skip
    yield name, {
        "scores": scores, "pairs": _columns(result.pairs), "test_set": result.test_set.digest,
        "generated": result.provenance.generated_digest,
    }  # fmt: skip


def _columns(pairs: Any) -> dict[str, list[Any]]:
    if hasattr(pairs, "keys") and isinstance(pairs.keys, tuple):  # before it was a DataFrame
        keys, columns = list(pairs.keys), pairs.columns
    else:
        keys, columns = list(pairs.index), {name: pairs[name].to_numpy() for name in pairs.columns}
    return {"pair": keys} | {n: [_bits(v) for v in np.asarray(c)] for n, c in columns.items()}


def _bits(value: float | None) -> str | None:
    return None if value is None else float(value).hex()


def with_stand_ins(protocol: Protocol, weights: dict[str, Path]) -> Protocol:
    """Let networks that cannot be downloaded have random weights."""
    entries = []
    for entry in protocol.entries:
        new = entry
        own = weights.get(str(getattr(entry.metric, "network", "")))
        if own is not None and "network_weights" in type(entry.metric).model_fields:
            new = new.with_parameter("network_weights", str(own))
        entries.append(new)
    return replace(protocol, entries=tuple(entries))


def small(protocol: Protocol) -> Protocol:
    """Let metrics that draw subsets have a value also of few images."""
    sizes = {
        "kid": {"subset_size": 20, "subsets": 5},
        "fid_infinity": {"smallest": 10, "points": 5},
    }
    entries = []
    for entry in protocol.entries:
        for name, value in sizes.get(entry.name, {}).items():
            entry = entry.with_parameter(name, value)
        entries.append(entry)
    return replace(protocol, entries=tuple(entries))


def differences(kept: Any, found: Any, path: str = "") -> list[str]:
    """Return a line for every value that differs."""
    if isinstance(kept, dict) and isinstance(found, dict):
        return [
            line
            for name in sorted(kept.keys() | found.keys())
            for line in differences(kept.get(name), found.get(name), f"{path} > {name}")
        ]
    if isinstance(kept, list) and isinstance(found, list) and len(kept) == len(found):
        apart = [(a, b) for a, b in zip(kept, found, strict=True) if a != b]
        if not apart:
            return []
        first = " and ".join(_plain(one) for one in apart[0])
        return [f"{path}: {len(apart)} of {len(kept)} differ, such as {first}"]
    return [] if kept == found else [f"{path}: {_plain(kept)} became {_plain(found)}"]


def _plain(value: Any) -> str:
    try:
        return repr(float.fromhex(value))
    except (TypeError, ValueError):
        return str(value)[:200]


if __name__ == "__main__":
    torch.set_num_threads(1)
    Image.init()
    main()
