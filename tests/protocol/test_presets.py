"""The shipped protocols: what each says of itself, and the digests that published results carry."""

from __future__ import annotations

import json

import pytest

from fhpt_eval.images.preparation import Resize
from fhpt_eval.protocol import load_protocol, preset_names
from tests.support.command import fhpt_eval

#: Of each preset by its version. A digest that changes is another protocol, whose numbers must not
#: be ranked with the old one's: raise ``version`` in its file and add a line here, keep the others.
DIGESTS = {
    ("cfld-256", 1): "ed115375dbaff7e3861d187fc735709e70b4ea3927d58a71c230bf287fa22a11",
    ("cfld-512", 1): "4cea4b29b430b3771d80a763e18e1591dc23c7a5c6417849662bcd3682a51432",
    ("dior", 1): "f306c2a0d2dc127d18890b79d474a0b46c93f9898a6ab071c7d6fab1b253fb8a",
    ("dptn", 1): "7db45c33fec08380be955aae90abbf7c56ff86015af2be943262b20389995aa3",
    ("fhpt", 1): "c9acb698e04baf6d3948f20fc5ed93a8e013eedb1c7ea159c611c59f1cc1bdbb",
    ("gfla-256", 1): "b745429d8abacd01248b1e46b49dfd3ab4f34b731af781858a3c516631dd1c66",
    ("gfla-market", 1): "bc91767abfae9e85e05d3af638363d1dbfedd3ef202c6da572ae585711a7f24a",
    ("intrinsic-flow", 1): "5953fd53695763189795c15ebc8fa5edf46a925a4732090387d36e97e7f68466",
    ("mannequin", 1): "bcfbe62cc2be266fe0065fd85f4e59504db0f26f4b3de6ccbe8378b4a3cf4fe1",
    ("patn-fashion", 1): "920cc466c0255733f2f1f946bf34082f2008d99b587065ef917e80eeb33b32be",
    ("patn-market", 1): "5ffbfed96f61ee078b49c869ed727145de08677a856a48fcc99451370d3c418c",
    ("pcdms-256", 1): "e104549c3f5f31c874eaf3d81e7f926d0dfc93dc5506fae9d32c4d68b3cffebd",
    ("pcdms-512", 1): "6cb634fa3b7494265dbfadf503099afec46e2d57ff46ffc4a1c47e0515140153",
    ("pg2", 1): "0b2d848704a4cf5f83f91c4468eaf09abf0c3e3dda081ae6f1481b75bab34857",
    ("pidm-256", 1): "2b9c98c3e1ecd7b2b35440c65ce22ff13c647cf72d89795a29b7550daefa6187",
    ("pise-psnr", 1): "4fc1d65fe523cf4ea7e9480916199c4f4dbc87e346aaed0fbbef1481fcef3942",
}

#: Of others; these are ours.
PUBLISHED = [name for name in preset_names() if name not in ("fhpt", "mannequin")]


@pytest.mark.parametrize("name", preset_names())
def test_a_changed_digest_demands_a_new_version(name: str) -> None:
    protocol = load_protocol(name)
    assert DIGESTS[name, protocol.version] == protocol.digest


def test_every_version_from_the_first_on_is_pinned() -> None:
    pinned = {name: sorted(v for n, v in DIGESTS if n == name) for name, _ in DIGESTS}
    assert pinned == {
        name: list(range(1, load_protocol(name).version + 1)) for name in preset_names()
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_protocol_says_where_it_was_read_and_what_is_unusual(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.source is not None
    assert protocol.source.repository.count("/") == 1
    assert protocol.source.files
    assert len(protocol.source.commit) == 7
    assert protocol.comparable_with
    assert protocol.quirks
    for sentence in protocol.quirks:
        assert sentence[0].isupper()
        assert sentence.endswith(".")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_description_says_whether_opencv_is_needed(name: str) -> None:
    protocol = load_protocol(name)
    steps = [step for entry in protocol.entries for step in entry.steps]
    needed = any(isinstance(step, Resize) and step.kernel.startswith("cv2.") for step in steps)
    assert ("Needs OpenCV." in " ".join(protocol.description.split())) is needed


@pytest.mark.parametrize("name", PUBLISHED)
def test_quirks_tell_what_is_dropped(name: str) -> None:
    protocol = load_protocol(name)
    said = " ".join(protocol.quirks)
    sizes = {entry.drop_incomplete for entry in protocol.entries} - {0}
    for size in sizes:
        assert f"incomplete batch of {size}" in said
    assert sizes or "incomplete" not in said


def test_show_prints_source_version_and_quirks() -> None:
    done = fhpt_eval("protocols", "show", "gfla-256")
    shown = json.loads(done.out)
    assert shown["source"]["repository"] == "RenYurui/Global-Flow-Local-Attention"
    assert shown["version"] == 1
    assert any("torchvision" in sentence for sentence in shown["quirks"])
    assert shown["metrics"]["fid"]["drop_incomplete"] == 64


def test_two_presets_differ_by_what_their_names_say() -> None:
    crop, full = load_protocol("patn-fashion"), load_protocol("patn-market")
    (ssim,) = (entry for entry in crop.entries if entry.name == "ssim")
    assert [type(step).__name__ for step in ssim.steps] == ["Crop", "Pad"]
    assert full.steps == ()


def test_keys_that_came_later_leave_older_digests_alone() -> None:
    """At their defaults they are not written; what they do is."""
    table = {"width": 9, "height": 8, "kernel": "pil.box"}
    plain = Resize.model_validate(table)
    assert plain.model_dump(mode="json").keys() == {"step", "of", *table}
    floats = Resize.model_validate(table | {"result": "float"})
    assert floats.model_dump(mode="json")["result"] == "float"
    metrics = load_protocol("fhpt").canonical()["metrics"]
    assert metrics["l1"]["parameters"] == metrics["psnr"]["parameters"] == {}
    assert "drop_incomplete" not in metrics["fid"]
    mae = load_protocol("gfla-256").canonical()["metrics"]["mae"]
    assert mae["parameters"] == {"per": "sum"}
