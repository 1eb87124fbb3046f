"""The example network conforms, and serves metrics by its name."""

from importlib.metadata import EntryPoint

import pytest

from fhpt_eval.common import plugins
from fhpt_eval.features import load_network
from fhpt_eval.metrics import FID, KID, Retrieval
from fhpt_eval.testing import check_network, textures
from tiny_backbone import TinyBackbone


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package count as installed, which it need not be for its tests."""
    find = plugins.installed
    group, name = "fhpt_eval.networks", "tiny_backbone"
    points = {name: (EntryPoint(name, "tiny_backbone:TinyBackbone", group),)}
    monkeypatch.setattr(
        plugins, "installed", lambda wanted: find(wanted) | (points if wanted == group else {})
    )


def test_the_example_network_conforms() -> None:
    check_network(TinyBackbone())


def test_its_name_leads_to_it(installed: None) -> None:
    assert load_network("tiny_backbone", {"seed": 3}) == TinyBackbone(seed=3)


def test_it_serves_distances_of_sets_by_its_name(installed: None) -> None:
    spoilt, truth = textures(6)
    fid = FID(network="tiny_backbone")
    assert fid.dimensions == 96
    assert fid(spoilt, truth)[""] > fid(truth, truth)[""] == pytest.approx(0, abs=1e-6)
    kid = KID(network="tiny_backbone", subset_size=5, subsets=3)
    assert kid(spoilt, truth)["mean"] > kid(truth, truth)["mean"]


def test_it_serves_retrieval_by_its_name(installed: None) -> None:
    spoilt, truth = textures(6)
    items = [f"item {number}" for number in range(6)]
    found = Retrieval(network="tiny_backbone")(spoilt, source=truth, items=items)
    assert found["recall@1"] > 0.5
