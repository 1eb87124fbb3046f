"""The mannequin benchmark's networks in the metrics of the field: other scores, told apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fhpt_eval.errors import ProtocolError
from fhpt_eval.metrics import FID, KID, LPIPS, InceptionScore, Joints, Retrieval
from fhpt_eval.metrics.networks import DIMENSIONS
from fhpt_eval.protocol import load_protocol, parse_protocol
from fhpt_eval.protocol.diff import compare


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (6, 3, 64, 44), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("metric", [FID, KID, InceptionScore])
@pytest.mark.parametrize("network", DIMENSIONS)
def test_a_network_is_another_digest(metric: type[FID], network: Any) -> None:
    others = {name: metric(network=name).weights() for name in DIMENSIONS if name != network}
    assert metric(network=network).weights() not in others.values()


def test_the_number_of_pool_features_is_the_networks(images: torch.Tensor) -> None:
    metric = FID(network="mannequin")
    rows = metric.features()["network"].compute(images)
    assert rows["pool"].shape == (6, metric.dimensions)


def test_equal_images_have_a_distance_of_zero(images: torch.Tensor) -> None:
    assert FID(network="mannequin")(images, images)[""] == pytest.approx(0, abs=1e-6)
    assert LPIPS(net="mannequin")(images, images).tolist() == [0] * 6


def test_other_images_have_a_perceptual_distance(images: torch.Tensor) -> None:
    assert (LPIPS(net="mannequin")(images, images.flip(0)) > 0.01).all()


def test_fid_score_and_retrieval_share_one_pass() -> None:
    protocol = load_protocol("mannequin")
    names = ("fid[mannequin]", "is[mannequin]", "retrieval[mannequin]")
    entries = {entry.name: entry.metric for entry in protocol.entries}
    features = {f for name in names for f in entries[name].features().values()}
    assert len(features) == 1


@pytest.mark.parametrize(
    ("metric", "parameters", "word"),
    [
        (FID, {"network": "mannequin", "resize": "clean"}, "leave resize out"),
        (InceptionScore, {"network": "mannequin", "resize": "none"}, "leave resize out"),
        (LPIPS, {"net": "mannequin", "release": "0.0"}, "no release"),
        (LPIPS, {"net": "mannequin", "scale": "0..1"}, "no release and no scale"),
        (LPIPS, {"net": "mannequin", "trunk": "vgg16-imagenet"}, "another network"),
        (LPIPS, {"net": "alex", "trunk": "mannequin-garments"}, "another network"),
        (Joints, {"network": "mannequin", "estimation": "pose-transfer"}, "OpenPose's networks"),
        (Retrieval, {"embedder": "mannequin", "input_size": (64, 64)}, "takes no"),
    ],
)
def test_what_a_network_has_no_use_for_is_refused(
    metric: Any, parameters: dict[str, Any], word: str
) -> None:
    with pytest.raises(ProtocolError, match=word):
        metric(**parameters)


def test_settings_that_do_nothing_stay_out_of_the_canonical_form() -> None:
    entries = {entry.name: entry.canonical() for entry in load_protocol("mannequin").entries}
    assert entries["fid[mannequin]"]["parameters"]["network"] == "mannequin"
    assert entries["fid[mannequin]"]["parameters"].get("resize") is None
    assert entries["lpips[mannequin]"]["parameters"].get("release") is None


def test_the_network_is_a_difference() -> None:
    ours = parse_protocol('id = "a"\n[metrics.fid]\nnetwork = "mannequin"\n', "a")
    theirs = parse_protocol('id = "b"\n[metrics.fid]\n', "b")
    assert ("fid", "network", "mannequin", "inception-2015") in compare(ours, theirs).rows


def test_every_score_of_the_protocol_that_rests_on_such_a_network_says_so() -> None:
    for entry in load_protocol("mannequin").entries:
        rests = any(name.startswith("mannequin") for name in entry.metric.weights())
        assert entry.name.endswith("[mannequin]") == rests
