"""Networks by name: the installed ones, models of timm, files; what is refused, and how."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from fhpt_eval.common import plugins
from fhpt_eval.errors import ArgumentError, ProtocolError
from fhpt_eval.features import networks
from fhpt_eval.features.embedding.classical import Classical
from fhpt_eval.features.embedding.files import NetworkFile
from fhpt_eval.features.embedding.networks import ResNet50, Timm
from fhpt_eval.features.networks import (
    Network,
    load_network,
    network_names,
    networks_that_give,
    vectors_of,
)


def test_the_installed_networks_are_listed() -> None:
    assert {"alex", "classical", "dlib", "inception-2015", "mannequin"} <= set(network_names())
    assert network_names() == sorted(network_names())


def test_names_lead_to_networks() -> None:
    assert load_network("classical") == Classical()
    assert load_network("resnet50", {"weights": "x"}) == ResNet50(weights="x")
    assert load_network("timm:resnet18.a1_in1k") == Timm(model="resnet18.a1_in1k")
    assert load_network("Some/File.ONNX") == NetworkFile(path="Some/File.ONNX")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("clasical", {}, "no network 'clasical'. Did you mean 'classical'.*file that ends in .pt"),
        ("classical", {"weights": "x"}, "network classical.weights: there is no such key"),
        ("resnet50", {"size": 3}, "network resnet50.size: there is no such key"),
        ("resnet50", {"weights": 3}, "network resnet50.weights"),
        ("timm:", {}, "network timm:.model"),
        ("timm:../x", {}, "network timm:../x.model"),
    ],
)
def test_unknown_names_and_settings_are_refused(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        load_network(name, settings)


def test_networks_are_found_by_what_they_give() -> None:
    assert networks_that_give("face") == ["dlib", "mannequin-faces"]
    assert "mannequin" in networks_that_give("maps")


def test_maps_are_asked_only_of_networks_that_give_them() -> None:
    with pytest.raises(ArgumentError, match="'classical' gives no maps"):
        Classical().maps(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_of_two_arrays_of_rows_the_caller_says_which_comes_first() -> None:
    arrays = {"embedding": np.ones(2), "pool": np.zeros(3)}
    assert len(vectors_of(arrays)) == 3
    assert len(vectors_of(arrays, ("embedding", "pool"))) == 2
    assert len(vectors_of({"embedding": np.ones(2)})) == 2


class Brightness(Network):
    """A network as a third party would write it."""

    name: ClassVar[str] = "brightness"
    title: ClassVar[str] = "Mean colour"
    gives: ClassVar[Any] = frozenset({"rows"})
    made_for: ClassVar[str] = "tests"

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        return {"embedding": images.float().mean((2, 3))}


class Unfinished(Network):
    """Has no compute."""

    name: ClassVar[str] = "unfinished"


class Silent(Brightness):
    """Does not say what it is called."""


class Untitled(Network):
    """Has no title."""

    name: ClassVar[str] = "untitled"

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        return {}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register networks of a package that is not installed."""
    module = ModuleType("lab")
    vars(module).update(
        {kind.__name__: kind for kind in (Brightness, Unfinished, Silent, Untitled)}
    )
    vars(module).update(number=3)
    monkeypatch.setitem(sys.modules, "lab", module)

    def points(name: str, *values: str) -> tuple[EntryPoint, ...]:
        return tuple(EntryPoint(name, value, "fhpt_eval.networks") for value in values)

    found = {
        "brightness": points("brightness", "lab:Brightness"),
        "twice": points("twice", "lab:Brightness", "lab2:Brightness"),
        "unfinished": points("unfinished", "lab:Unfinished"),
        "silent": points("silent", "lab:Silent"),
        "untitled": points("untitled", "lab:Untitled"),
        "number": points("number", "lab:number"),
        "gone": points("gone", "no_such_module:Any"),
    }
    monkeypatch.setattr(plugins, "installed", lambda _: found)


def test_anyones_network_is_found_by_its_name(lab: None) -> None:
    assert load_network("brightness") == Brightness()
    assert networks.network_package("brightness") == ("unknown", "unknown")


def test_a_broken_network_does_not_hide_the_others(lab: None) -> None:
    assert networks_that_give("rows") == ["brightness"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("twice", "claimed by .*lab:Brightness.* and .*lab2:Brightness.*; uninstall one"),
        ("unfinished", "lab:Unfinished lacks compute"),
        ("silent", "calls itself 'brightness'; its name and its entry point must agree"),
        ("untitled", "lacks the class attribute title and gives and made_for"),
        ("number", "is not a subclass of fhpt_eval.features.Network"),
        ("gone", "cannot be imported from no_such_module:Any: ModuleNotFoundError"),
    ],
)
def test_a_plugin_that_is_no_network_is_named(lab: None, name: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        load_network(name)
