"""``fhpt-eval keypoints``: estimate the key points of a folder of images, and write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fhpt_eval.common.progress import Progress
    from fhpt_eval.features.openpose import PoseNetwork
    from fhpt_eval.images.files import CheckedImage


@click.command()
@options.path("--images", "DIR", "Images, one person in each.", required=True)
@options.path("--out", "PATH", "The CSV to write; with --format json, the folder.", required=True)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["csv", "json"]),
    default="csv",
    help="The field's annotation CSV, or OpenPose's JSON, a file per image.",
)
@click.option(
    "--network",
    metavar="NAME",
    default="openpose-coco18",
    help="A network that gives joints; see 'fhpt-eval networks'.",
)
@click.option(
    "--network-weights",
    metavar="NAME|FILE",
    help="Weights of the network.  [default: the registered ones]",
)
@options.device
@options.weights_dir
def keypoints(
    images: Path, out: Path, layout: str, network: str, network_weights: str | None, device: str
) -> None:
    """Estimate the key points of people in images with OpenPose, and write them to files.

    What is written can be read again by 'fhpt-eval run --keypoints'. The CSV has the main person of
    each image, rounded to whole pixels; the JSON has all persons.

    \b
    fhpt-eval keypoints --images test/ --out test.csv
    fhpt-eval keypoints --images results/ --out results_pose/ --format json
    fhpt-eval keypoints --images test/ --out test.csv --network openpose-body25
    """
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.common.machine import available_cores, choose_device
    from fhpt_eval.errors import ArgumentError, UnavailableError
    from fhpt_eval.evaluation.survey.checks import images_below
    from fhpt_eval.features.networks import load_network, networks_that_give
    from fhpt_eval.features.openpose import PoseNetwork

    if network_weights == "":
        raise ArgumentError("--network-weights is empty: give a registered name or a file.")
    pose = load_network(network, {"weights": network_weights} if network_weights else {})
    if not isinstance(pose, PoseNetwork):
        raise ArgumentError(
            f"--network: {network} finds no persons. Networks that give joints: "
            f"{', '.join(networks_that_give('joints'))}."
        )
    if lacking := pose.lacks():
        raise UnavailableError(f"Key points cannot be estimated: {lacking}. Nothing was written.")
    chosen = choose_device(device)
    with TerminalProgress() as progress:
        listed = images_below(images, (), available_cores(), progress, "--images")
        checked = {image.name: image.own_image for image in listed}
        write = _write_csv if layout == "csv" else _write_json
        persons = write(checked, out, pose, chosen, progress)
    say(f"{persons:,} of {len(checked):,} images show a person. Written to {out}")


def _write_csv(
    images: dict[str, CheckedImage], out: Path, pose: PoseNetwork, device: str, progress: Progress
) -> int:
    """Write the main person of every image to one CSV; return how many images show a person."""
    import numpy as np

    from fhpt_eval.common.files import check_writable, keep_apart, write_atomically
    from fhpt_eval.errors import ArgumentError, InputError
    from fhpt_eval.features.openpose import choose_person
    from fhpt_eval.keypoints import annotation_csv

    if out.is_dir():
        raise InputError(f"--out {out} is a folder; give the CSV a name, or say --format json.")
    keep_apart(out, {f"image {name}": image.ref.path for name, image in images.items()})
    check_writable(out.parent)
    names = {name: f"{name}{image.ref.path.suffix}" for name, image in images.items()}
    try:
        annotation_csv({name: np.zeros((18, 2)) for name in names.values()})
    except ArgumentError as error:
        raise InputError(f"--images: {error} Rename the image, or say --format json.") from error
    points = {}
    for name, persons in _estimated(images, pose, device, progress):
        person, image = choose_person(persons), images[name]
        # The outermost half of a border pixel is still that pixel, and not the next.
        person[:, :2] = person[:, :2].clip(0, (image.width - 1, image.height - 1))
        points[names[name]] = person
    write_atomically(out, annotation_csv(points).encode())
    return sum(not np.isnan(person).all() for person in points.values())


def _write_json(
    images: dict[str, CheckedImage], out: Path, pose: PoseNetwork, device: str, progress: Progress
) -> int:
    """Write all persons, a file per image; return how many images show a person."""
    from fhpt_eval.common.files import check_writable, write_atomically
    from fhpt_eval.errors import InputError
    from fhpt_eval.keypoints import JSON_SUFFIX, openpose_json

    if out.is_file():
        raise InputError(f"--out {out} is a file; with --format json give a folder.")
    check_writable(out)
    files = {name: out / f"{name}{JSON_SUFFIX}" for name in images}
    strangers = sorted(set(out.rglob(f"*{JSON_SUFFIX}")) - set(files.values()))
    if strangers:
        raise InputError(
            f"--out {out} holds key points of other images, such as {strangers[0].name}, which "
            "would be read as this folder's. Give an empty folder."
        )
    shown = 0
    for name, persons in _estimated(images, pose, device, progress):
        write_atomically(files[name], openpose_json(persons).encode(), durable=False)
        shown += len(persons) > 0
    return shown


def _estimated(
    images: dict[str, CheckedImage], pose: PoseNetwork, device: str, progress: Progress
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the name of each image and all persons in it, ``(P, 18, 3)``."""
    import numpy as np
    import torch

    from fhpt_eval.errors import ImageError, InputError
    from fhpt_eval.features.openpose import estimate
    from fhpt_eval.images.files import decode

    progress.stage("Estimating key points", len(images), "images")
    for number, (name, image) in enumerate(images.items(), start=1):
        try:
            pixels = decode(image)
        except ImageError as error:
            raise InputError(f"--images: {image.ref.path} {error}") from error
        planes = np.array(pixels.transpose(2, 0, 1), order="C")  # a copy, which PyTorch may own
        yield name, estimate(torch.from_numpy(planes).to(device), pose)
        progress.advance(number)
