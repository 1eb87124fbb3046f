"""Options of the command line that set parameters of metrics.

A package declares them by entry points in the group ``fhpt_eval.options``, named as the option
without its dashes. This module is light, so that ``--help`` does not wait for any metric.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """An option, and the parameter that it sets in every metric and step that has it.

    ``metavar`` and ``help`` are what ``fhpt-eval run --help`` says.
    """

    parameter: str
    metavar: str
    help: str


FID_REFERENCE = Option(
    "reference",
    "DIR|STATS.npz",
    "Real images that FID and KID compare with, or their statistics.  [default: --gt]",
)
KEYPOINTS = Option(
    "keypoints",
    "CSV|DIR",
    "The targets' key points: an annotation CSV, or a folder of OpenPose's JSON.  "
    "[default: estimated]",
)
GALLERY = Option(
    "gallery",
    "DIR",
    "Images in which garments are looked for.  [default: the source images]",
)
PARTITION = Option(
    "partition",
    "TXT",
    "DeepFashion's list_eval_partition.txt: which images query and are searched.  [default: all]",
)
