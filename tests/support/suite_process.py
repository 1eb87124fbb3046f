"""One of several processes that feed a suite: ``python -m tests.support.suite_process RANK ...``.

Takes its number, how many there are, the file by which they meet, the protocol, and where its
result goes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch.distributed as dist

from fhpt_eval import Suite
from fhpt_eval.metrics import InceptionScore, Stream
from tests.support.drawn_pairs import batches, drawn_pairs

PEOPLE = 5


def main(rank: int, world: int, meeting: str, protocol: str, out: str) -> None:
    """Add every ``world``-th pair, one of them in two processes, and write what comes out."""
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=world)
    pairs = drawn_pairs(PEOPLE)[::2]
    share = [*pairs[rank::world], pairs[0]]  # as samplers do, to make shares equal
    suite = Suite(protocol, name="ours")
    stream = Stream(InceptionScore(network="mannequin", splits=1))
    for generated, truth, keys, source in batches(share[::-1], 3):
        suite.update(generated, truth, keys, source)
        stream.update(generated)
    result = suite.compute()
    result.save(Path(out))
    Path(out, "is.txt").write_text(repr(stream.compute()["mean"]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
