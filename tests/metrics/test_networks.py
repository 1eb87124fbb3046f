"""The mannequin benchmark's networks in the metrics of the field: other scores, told apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fhpt_eval.errors import ProtocolError
from fhpt_eval.features.networks import Network, networks_that_give
from fhpt_eval.metrics import FID, KID, LPIPS, InceptionScore, Joints, Retrieval
from fhpt_eval.protocol import load_protocol, parse_protocol
from fhpt_eval.protocol.diff import compare
from fhpt_eval.testing import textures

#: Networks whose figures the field quotes as FID, and that of the package.
NETWORKS = networks_that_give("logits")


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (6, 3, 64, 44), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("metric", [FID, KID, InceptionScore])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_another_digest(metric: type[FID], network: Any) -> None:
    others = {name: metric(network=name).weights() for name in NETWORKS if name != network}
    assert metric(network=network).weights() not in others.values()


def test_the_number_of_pool_features_is_the_networks(images: torch.Tensor) -> None:
    metric = FID(network="mannequin")
    rows = metric.features()["network"].compute(images)
    assert rows["pool"].shape == (6, metric.dimensions)


def test_equal_images_have_a_distance_of_zero(images: torch.Tensor) -> None:
    assert FID(network="mannequin")(images, images)[""] == pytest.approx(0, abs=1e-6)
    assert LPIPS(network="mannequin")(images, images).tolist() == [0] * 6


def test_other_images_have_a_perceptual_distance(images: torch.Tensor) -> None:
    assert (LPIPS(network="mannequin")(images, images.flip(0)) > 0.01).all()


def test_fid_score_and_retrieval_share_one_pass() -> None:
    protocol = load_protocol("mannequin")
    names = ("fid[mannequin]", "is[mannequin]", "retrieval[mannequin]")
    entries = {entry.name: entry.metric for entry in protocol.entries}
    features = {f for name in names for f in entries[name].features().values()}
    assert len({feature for feature in features if isinstance(feature, Network)}) == 1


@pytest.mark.parametrize(
    ("metric", "parameters", "word"),
    [
        (FID, {"network": "mannequin", "resize": "clean"}, "'mannequin' has no resize; leave"),
        (InceptionScore, {"network": "mannequin", "resize": "none"}, "has no resize"),
        (LPIPS, {"network": "mannequin", "release": "0.0"}, "has no release"),
        (LPIPS, {"network": "mannequin", "scale": "0..1"}, "has no scale"),
        (Joints, {"network": "mannequin-pose", "estimation": "openpose"}, "has no estimation"),
        (Retrieval, {"network": "mannequin", "input_size": (64, 64)}, "has no input_size"),
        (Retrieval, {"network_weights": "x.pth"}, "'classical' has no network_weights"),
        (FID, {"resize": "clen"}, "inception-2015.resize: .*Did you mean 'clean'"),
        (FID, {"network": "mannequin-pose"}, "gives joints, and fid wants rows: classical, "),
        (InceptionScore, {"network": "resnet50"}, "gives rows, and is wants logits: inception-"),
        (LPIPS, {"network": "incption-2015"}, "Did you mean 'inception-2015'"),
    ],
)
def test_what_a_network_has_no_use_for_is_refused(
    metric: Any, parameters: dict[str, Any], word: str
) -> None:
    with pytest.raises(ProtocolError, match=word):
        metric(**parameters)


def test_settings_that_a_network_has_not_are_null_in_a_digest() -> None:
    settings = {e.name: e.metric.canonical() for e in load_protocol("mannequin").entries}
    assert settings["fid[mannequin]"]["resize"] is None
    assert settings["lpips[mannequin]"]["release"] is None
    assert settings["face_identity[mannequin]"]["upsample"] is None


def test_further_settings_of_a_network_are_parameters_and_count_in_a_digest() -> None:
    usual = FID(network="resnet50")
    small = FID(network="resnet50", network_settings={"input_size": (64, 48)})
    assert small.features()["network"].model_dump()["input_size"] == (64, 48)
    assert small.canonical() != usual.canonical()
    spelt_out = usual.features()["network"].model_dump(include={"input_size"})
    assert FID(network="resnet50", network_settings=spelt_out).canonical() == usual.canonical()


def test_a_setting_that_a_network_has_not_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(ProtocolError, match="has no seed; it has weights, input_size, input_mean"):
        FID(network="resnet50", network_settings={"seed": 3})


@pytest.mark.parametrize("network", ["resnet50", "classical"])
def test_rows_for_retrieval_serve_distances_of_sets_too(network: str) -> None:
    metric = FID(network=network)
    assert metric.dimensions == {"resnet50": 2048, "classical": 1572}[network]
    if network == "classical":
        images = textures(3)
        assert metric(*images)[""] > metric(images[1], images[1])[""]


def test_the_network_is_a_difference() -> None:
    ours = parse_protocol('id = "a"\n[metrics.fid]\nnetwork = "mannequin"\n', "a")
    theirs = parse_protocol('id = "b"\n[metrics.fid]\n', "b")
    assert ("fid", "network", "mannequin", "inception-2015") in compare(ours, theirs).rows


def test_every_score_of_the_protocol_that_rests_on_such_a_network_says_so() -> None:
    for entry in load_protocol("mannequin").entries:
        rests = any(name.startswith("mannequin") for name in entry.metric.weights())
        assert entry.name.endswith("[mannequin]") == rests
