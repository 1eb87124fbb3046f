"""``fhpt-eval keypoints``: estimate the key points of a folder of images, and write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fhpt_eval.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fhpt_eval.common.progress import Progress
    from fhpt_eval.features.openpose import OpenPose
    from fhpt_eval.images.files import CheckedImage

#: Images that a message lists before it only counts.
_LISTED = 20


@click.command()
@click.option(
    "--images",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of images, one person in each.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The CSV to write; with --format json, the folder.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help="The field's annotation CSV, or OpenPose's JSON, a file per image.",
)
@click.option(
    "--network",
    type=click.Choice(["openpose-coco18", "openpose-body25", "mannequin"]),
    default="openpose-coco18",
    show_default=True,
    help="Which of OpenPose's networks, or that of drawn people.",
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
    from fhpt_eval.common.machine import choose_device
    from fhpt_eval.errors import ArgumentError, UnavailableError
    from fhpt_eval.features.openpose import OpenPose

    if network_weights == "":
        raise ArgumentError("--network-weights is empty: give a registered name or a file.")
    pose = OpenPose.model_validate({"network": network, "weights": network_weights})
    lacking = pose.lacks()
    if lacking:
        raise UnavailableError(f"Key points cannot be estimated: {lacking}. Nothing was written.")
    chosen = choose_device(device)
    progress = TerminalProgress()
    try:
        checked = _checked(images, progress)
        write = _write_csv if layout == "csv" else _write_json
        found = write(checked, out, pose, chosen, progress)
    finally:
        progress.close()
    click.echo(f"{found:,} of {len(checked):,} images show a person. Written to {out}")


def _checked(folder: Path, progress: Progress) -> dict[str, CheckedImage]:
    """Check all images before any work; return them by name, which has no ending."""
    from fhpt_eval.errors import ImageError, InputError
    from fhpt_eval.images.files import ImageRef, check, find_images

    files = find_images(folder, "--images")
    progress.stage("checking images", len(files))
    good, faults = {}, []
    for number, (name, paths) in enumerate(files.items(), start=1):
        try:
            if len(paths) > 1:
                raise ImageError(f"is one of {len(paths)} files of the name '{name}'; keep one")
            good[name] = check(ImageRef(paths[0]))
        except ImageError as error:
            faults.append(f"  {paths[-1]} {error}")
        progress.advance(number)
    if faults:
        more = len(faults) - _LISTED
        rest = f"\n  and {more:,} more" if more > 0 else ""
        listed = "\n".join(faults[:_LISTED])
        raise InputError(f"--images: {len(faults):,} files cannot be used:\n{listed}{rest}")
    return good


def _write_csv(
    images: dict[str, CheckedImage], out: Path, pose: OpenPose, device: str, progress: Progress
) -> int:
    """Write the main person of every image to one CSV; return how many images show a person."""
    import numpy as np

    from fhpt_eval.common.files import check_writable, write_atomically
    from fhpt_eval.errors import ArgumentError, InputError
    from fhpt_eval.features.openpose import choose_person
    from fhpt_eval.keypoints import annotation_csv

    if out.is_dir():
        raise InputError(f"--out {out} is a folder; give the CSV a name, or say --format json.")
    check_writable(out.parent)
    names = {name: f"{name}{image.ref.path.suffix}" for name, image in images.items()}
    try:
        annotation_csv({name: np.zeros((18, 2)) for name in names.values()})
    except ArgumentError as error:
        raise InputError(f"--images: {error} Rename the image, or say --format json.") from error
    points, found = {}, 0
    progress.stage("estimating key points", len(images))
    for number, (name, image) in enumerate(images.items(), start=1):
        person = choose_person(_persons(image, pose, device))
        # The outermost half of a border pixel is still that pixel, and not the next.
        person[:, :2] = person[:, :2].clip(0, (image.width - 1, image.height - 1))
        points[names[name]] = person
        found += not np.isnan(person).all()
        progress.advance(number)
    write_atomically(out, annotation_csv(points).encode())
    return found


def _write_json(
    images: dict[str, CheckedImage], out: Path, pose: OpenPose, device: str, progress: Progress
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
    found = 0
    progress.stage("estimating key points", len(images))
    for number, (name, image) in enumerate(images.items(), start=1):
        persons = _persons(image, pose, device)
        write_atomically(files[name], openpose_json(persons).encode(), durable=False)
        found += len(persons) > 0
        progress.advance(number)
    return found


def _persons(image: CheckedImage, pose: OpenPose, device: str) -> NDArray[np.float64]:
    """Return all persons in an image, ``(P, 18, 3)``."""
    import numpy as np
    import torch

    from fhpt_eval.errors import ImageError, InputError
    from fhpt_eval.features.openpose import estimate
    from fhpt_eval.images.files import decode

    try:
        pixels = decode(image)
    except ImageError as error:
        raise InputError(f"--images: {image.ref.path} {error}") from error
    planes = np.array(pixels.transpose(2, 0, 1), order="C")  # a copy, which PyTorch may own
    return estimate(torch.from_numpy(planes).to(device), pose)
