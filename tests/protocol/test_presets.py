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
    ("cfld-256", 1): "849e2fd6544310cb9511b18c5eae3e572f117eb27f6e68b9fd49968fb411a709",
    ("cfld-512", 1): "98fcb2aafd059b84424ae85bb8f79515590c7f265799d0c38ffa1b935a966b2d",
    ("dior", 1): "660026af0037f4db58b6756138a8ff1ae1fe32736fe0fac80797bfd18a7bce49",
    ("dptn", 1): "9c9f8488659780723b0da7a7b2c2ea5ea0f385d4e40f9a58662c8931789342aa",
    ("fhpt", 1): "939bf42969e50dfc242f92b2cd8655e2c16793f0391bf4c78acdfb86a8b4795f",
    ("gfla-256", 1): "4e5c008ab6c967567395de2735bc022e5f85560f287ed065cb43f86bc4ef98d6",
    ("gfla-market", 1): "c2ef64805546eecc8abd8f07d9c31c8d71807c321c471e90891766bfca61cc22",
    ("intrinsic-flow", 1): "22a7e4a86347d44d2a0354a49a25cd6b59177dc61de73d910d3b87a72f60eb2f",
    ("mannequin", 1): "c6a5685abc0bb004050f156fffbeffbb510ce04ee522ad5ed24564fde97be96a",
    ("patn-fashion", 1): "ccc620f180e1853139b9ce6a7a386a6111b3ae93c9aef2b8d4fd670aa311481b",
    ("patn-market", 1): "ef2383cf8af2f261bec3d6eb8852880571f01097095d4c93978d4e9a78d73880",
    ("pcdms-256", 1): "49f4316a0eb9913b043aa11307a0ef1b0c13fc6767daf3a27693fcd7b80dae25",
    ("pcdms-512", 1): "cd62b4b1a1389d0ce3fef82655d732f831a82f5cfb55f7eb4cd9a69c91d2fe75",
    ("pg2", 1): "f57d348247d9de3817ae0d622f1da1369d4f536d1e9a64addaaa35d4d30881d6",
    ("pidm-256", 1): "add80a3324883eead19995d7119e4cb4c3084dce00ddd878a9784ae8ba0a9918",
    ("pise-psnr", 1): "083e9f28818bf0d11fc9279bd83207f58d15436814ea6c6f1a265f6427868de2",
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


def test_defaults_are_written_out() -> None:
    step = Resize.model_validate({"width": 9, "height": 8, "kernel": "pil.box"})
    assert step.canonical().keys() == {"step", "of", "width", "height", "kernel", "result"}
    metrics = load_protocol("fhpt").canonical()["metrics"]
    assert metrics["l1"]["parameters"] == {"scale": "0..1", "per": "value", "norm": "l1"}
    assert metrics["psnr"]["parameters"] == {"overflow": "none"}
    assert metrics["fid"]["drop_incomplete"] == 0
