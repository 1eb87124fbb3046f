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
    ("cfld-256", 1): "0178bab15ce0c268c0aa7bd2db4fcbff732a56910030deecbd472e0a56501b84",
    ("cfld-512", 1): "2fbc7ad903a7ba865cf4bba2d93d79518d42b39d7378e07c83cbd31b93d2dce7",
    ("dior", 1): "fcde440b1149b891c14f8b4a5323a7f702f121fb654047ebf2f70659cca979e1",
    ("dptn", 1): "855858e4585259b50203508f8bf9b6bf742752d18e7a6dfd189394d3652d9e44",
    ("fhpt", 1): "2f186b6904f8604124af010b83592b47285a61492f08bb4f4e8eaf51382b53e8",
    ("fhpt", 2): "8cd18a8efc604345d310df78eec5f80e6429235055534d9c2f37fdf6228f524b",
    ("gfla-256", 1): "534305f4f83e355948960c071553a3d9c804b4aaa3eaf788b2cd9604142ab6ba",
    ("gfla-market", 1): "88e9b30d708de66e1db1019fc2c5bc5ab22e683d505db048c81db7a80244c4ae",
    ("intrinsic-flow", 1): "150e570765834d52f6ed1cf7fb32bcebb025cef962f1150cff9b231ce623040c",
    ("mannequin", 1): "345e1a34c836e3a34c4cb7e71b216ac3ad50e410e1ea60602155ec4d14a1a179",
    ("mannequin", 2): "93e8548ff269ec2f86bb272c37f8fe19367eb4a1f26cd83ef8e8accc17e3ccbd",
    ("patn-fashion", 1): "ccc620f180e1853139b9ce6a7a386a6111b3ae93c9aef2b8d4fd670aa311481b",
    ("patn-fashion", 2): "fe10cbaa3e7411dca703b6e7376c312f7a9dfeecca685f61eb0e30c8daeee6a0",
    ("patn-market", 1): "ef2383cf8af2f261bec3d6eb8852880571f01097095d4c93978d4e9a78d73880",
    ("patn-market", 2): "4a1f0360e28f0aa5ee849f7b6349de78a48a68366f7e19a3e76075f3b847679a",
    ("pcdms-256", 1): "297ee41075c9046bc72f68df65bc796663dab61cf06186536501cb06a66891d2",
    ("pcdms-512", 1): "ac1a551d2626908d3df32d905659cdedc22f768cf83238799eb93b59b00e241e",
    ("pg2", 1): "f57d348247d9de3817ae0d622f1da1369d4f536d1e9a64addaaa35d4d30881d6",
    ("pidm-256", 1): "ab674ec59549cdcdb1b6c6c1f5b3d6e33e08e943e659f21f90c921baed467f7f",
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
