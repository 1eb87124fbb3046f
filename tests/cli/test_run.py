"""``fhpt-eval run`` as a person meets it: what it writes, and what it says of bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command import Finished, fhpt_eval
from tests.support.photographs import PairFolders

Maker = Callable[..., PairFolders]
Spoil = Callable[[PairFolders], object]


#: Metrics that need nothing which a machine may lack.
PIXELS = ("--metrics", "ssim,psnr,l1,brisque")


def run(folders: PairFolders, out: Path, *more: str | Path) -> Finished:
    return fhpt_eval(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--out", out, *more
    )


def test_a_run_writes_four_files_and_prints_a_table(make_pairs: Maker, tmp_path: Path) -> None:
    finished = run(make_pairs(5), tmp_path / "out", *PIXELS)
    assert finished.status == 0
    assert "ssim ↑" in finished.out
    assert "5 pairs matched by same-stem" in finished.err
    table = json.loads((tmp_path / "out" / "result.json").read_text())
    assert table["schema_version"] == 1
    assert set(table["scores"]) == {"ssim", "psnr", "l1", "brisque", "brisque.flat"}
    assert set(table["scores"]["ssim"]) >= {
        "value", "direction", "n", "coverage", "interval", "reason",
    }  # fmt: skip
    assert set(table["provenance"]["software"]) >= {"fhpt-eval", "torch", "numpy", "pillow"}
    assert table["protocol"]["id"] == "fhpt"
    with (tmp_path / "out" / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["pair", "ssim", "psnr", "l1", "brisque", "brisque.flat"]
    assert [row["pair"] for row in rows] == [f"person{n:04d}" for n in range(5)]
    with (tmp_path / "out" / "files.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[3] == {
        "pair": "person0003", "generated": "person0003.png", "ground_truth": "person0003.png",
        "source": "", "item": "", "group": "3",
    }  # fmt: skip
    with (tmp_path / "out" / "scores.csv").open() as file:
        scores = {row["score"]: row for row in csv.DictReader(file)}
    assert float(scores["l1"]["value"]) == table["scores"]["l1"]["value"]


def test_with_json_there_is_nothing_but_data_on_stdout(make_pairs: Maker, tmp_path: Path) -> None:
    finished = run(make_pairs(3), tmp_path / "out", "--json")
    assert finished.out == (tmp_path / "out" / "result.json").read_text()


def test_results_go_to_a_folder_named_after_protocol_and_method(
    make_pairs: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = make_pairs(2)
    monkeypatch.chdir(tmp_path)
    finished = fhpt_eval("run", "--pred", folders.generated, "--gt", folders.ground_truth)
    assert finished.status == 3
    assert (tmp_path / "fhpt-eval-runs" / "fhpt" / "generated" / "result.json").is_file()


def test_a_second_run_says_that_it_computed_nothing(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(3)
    first, second = run(folders, tmp_path / "out"), run(folders, tmp_path / "out")
    assert "1 chunks computed, 0 reused" in first.err
    assert "0 chunks computed, 1 reused" in second.err
    assert first.out == second.out


def test_a_score_that_cannot_be_computed_ends_with_status_3(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(2)
    name = "person0001.png"  # equal images: PSNR is infinite
    shutil.copy(folders.ground_truth / name, folders.generated / name)
    finished = run(folders, tmp_path / "out")
    assert finished.status == 3
    assert "psnr: infinite for 1 of 2 pairs, so the mean does not exist" in finished.out
    score = json.loads((tmp_path / "out" / "result.json").read_text())["scores"]["psnr"]
    assert (score["value"], score["n"]) == (None, 2)
    assert "inf" in (tmp_path / "out" / "pairs.csv").read_text()


def png(width: int, height: int, depth: int = 8) -> bytes:
    """Write a PNG's bytes by hand: its header promises more than its data hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def truncated_jpeg(image: Image.Image) -> bytes:
    import io

    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()[:-40]


def spoil_image(save: Callable[[Image.Image, Path], object], name: str = "person0001.png") -> Spoil:
    """Return a change that writes one generated image anew."""

    def spoil(folders: PairFolders) -> None:
        old = folders.generated / "person0001.png"
        image = Image.open(old).convert("RGB")
        image.load()
        old.unlink()
        save(image, folders.generated / name)

    return spoil


def animated(image: Image.Image, path: Path) -> None:
    image.save(path, save_all=True, append_images=[image.rotate(90)])


def half_transparent(image: Image.Image, path: Path) -> None:
    image.putalpha(128)
    image.save(path)


BAD_IMAGES = {
    "a text file": (spoil_image(lambda _, p: p.write_text("hello")), "is not an image"),
    "a zero-byte file": (spoil_image(lambda _, p: p.write_bytes(b"")), "is empty (0 bytes)"),
    "a truncated JPEG": (
        spoil_image(lambda i, p: p.write_bytes(truncated_jpeg(i)), "person0001.jpg"),
        "is truncated",
    ),
    "a CMYK image": (
        spoil_image(lambda i, p: i.convert("CMYK").save(p), "person0001.jpg"),
        "is CMYK",
    ),
    "a 16-bit image": (spoil_image(lambda _, p: p.write_bytes(png(44, 64, 16))), "has 16 bits"),
    "an animated image": (spoil_image(animated), "is animated"),
    "a transparent image": (spoil_image(half_transparent), "is transparent in places"),
    "30,000 x 30,000 pixels": (
        spoil_image(lambda _, p: p.write_bytes(png(30_000, 30_000))),
        "it was not decoded",
    ),
    "another size": (spoil_image(lambda i, p: i.resize((40, 60)).save(p)), "is 40 x 60"),
}


@pytest.mark.parametrize("what", BAD_IMAGES)
def test_an_image_that_cannot_be_used_is_named_before_any_work(
    make_pairs: Maker, tmp_path: Path, what: str
) -> None:
    spoil, message = BAD_IMAGES[what]
    folders = make_pairs(4)
    spoil(folders)
    finished = run(folders, tmp_path / "out")
    assert finished.status == 2
    assert "person0001." in finished.err
    assert message in finished.err
    assert "--allow-missing" in finished.err
    assert "Traceback" not in finished.err
    assert not list((tmp_path / "out").rglob("*.partial"))


BAD_FOLDERS: dict[str, tuple[Spoil, list[str]]] = {
    "one image missing": (
        lambda f: (f.generated / "person0001.png").unlink(),
        ["person0001", "no generated image"],
    ),
    "one image too many": (
        lambda f: (f.ground_truth / "person0001.png").unlink(),
        ["person0001.png", "there is no ground truth person0001"],
    ),
    "two files with one stem": (
        lambda f: Image.open(f.generated / "person0001.png").save(f.generated / "person0001.bmp"),
        ["person0001.bmp and person0001.png", "remove all but one"],
    ),
    "an empty folder": (
        lambda f: [path.rename(path.with_suffix(".txt")) for path in f.generated.iterdir()],
        ["--pred", "holds no images"],
    ),
    "a folder that is not there": (
        lambda f: shutil.rmtree(f.generated),
        ["--pred", "there is no folder"],
    ),
    "no common names": (
        lambda f: [p.rename(p.with_name(f"x{n}.png")) for n, p in enumerate(f.generated.iterdir())],
        ["No generated image has a ground truth of a matching name", "--pairs"],
    ),
}


@pytest.mark.parametrize("what", BAD_FOLDERS)
def test_folders_that_do_not_fit_are_explained_before_any_work(
    make_pairs: Maker, tmp_path: Path, what: str
) -> None:
    spoil, messages = BAD_FOLDERS[what]
    folders = make_pairs(4)
    spoil(folders)
    finished = run(folders, tmp_path / "out")
    assert finished.status == 2
    assert all(message in finished.err for message in messages), finished.err
    assert "Traceback" not in finished.err
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_everything_that_is_wrong_is_listed_at_once(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(40)
    for number in range(30):
        (folders.generated / f"person{number:04d}.png").unlink()
    (folders.generated / "person0030.png").write_text("no image")
    (folders.ground_truth / "person0031.png").write_bytes(b"")
    finished = run(folders, tmp_path / "out")
    assert "30 missing:" in finished.err
    assert "... and 10 more" in finished.err
    assert "2 unreadable:" in finished.err
    with (tmp_path / "out" / "partials" / "problems.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 32


BAD_ARGUMENTS = {
    "an unknown metric": (["--metrics", "sism"], ["There is no metric 'sism'", "'ssim'"]),
    "an unknown protocol": (["--protocol", "fhtp"], ["There is no protocol 'fhtp'", "'fhpt'"]),
    "a protocol file that is not there": (["--protocol", "x/y.toml"], ["x/y.toml"]),
    "an unknown rule": (["--match", "position"], ["position"]),
    "an unknown option": (["--predd", "x"], ["--pred"]),
    "a panel without panels": (["--panel", "2"], ["--panels"]),
    "a device that is not there": (["--device", "cuda:77"], ["cuda:77"]),
    "a pairs file that is not there": (["--pairs", "no.csv"], ["no.csv"]),
}


@pytest.mark.parametrize("what", BAD_ARGUMENTS)
def test_a_wrong_argument_is_explained(make_pairs: Maker, tmp_path: Path, what: str) -> None:
    arguments, messages = BAD_ARGUMENTS[what]
    finished = run(make_pairs(2), tmp_path / "out", *arguments)
    assert finished.status == 2
    assert all(message in finished.err for message in messages), finished.err
    assert "Traceback" not in finished.err


def test_an_unknown_key_in_a_protocol_file_is_named_with_near_misses(
    make_pairs: Maker, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('id = "mine"\n[metrics.ssim]\nwindw = "uniform"\n')
    finished = run(make_pairs(2), tmp_path / "out", "--protocol", file)
    assert finished.status == 2
    assert "ssim.windw: there is no such key. Did you mean 'window'?" in finished.err


@pytest.mark.parametrize("folder", ["file/out", "/proc/no/such"])
def test_an_output_folder_that_cannot_be_written_is_refused_before_any_work(
    make_pairs: Maker, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    finished = run(make_pairs(2), tmp_path / folder)
    assert finished.status == 2
    assert "cannot be written" in finished.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_without_permission_is_refused(make_pairs: Maker, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    finished = run(make_pairs(2), tmp_path / "locked" / "out")
    assert finished.status == 2
    assert "cannot be written" in finished.err


@pytest.fixture
def tiny_disk(tmp_path: Path) -> object:
    """A file system of its own with room for a few chunks."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_keeps_finished_chunks(
    make_pairs: Maker, tmp_path: Path, tiny_disk: Path
) -> None:
    folders = make_pairs(300, height=32, width=32)
    out = tiny_disk / "out"
    finished = run(folders, out, *PIXELS)
    assert finished.status == 2
    assert "The disk is full" in finished.err
    assert "Traceback" not in finished.err
    files = Counter(path.name.partition("-")[0] for path in out.rglob("*.partial"))
    kept = sum(count == 5 for count in files.values())  # chunks whose pixels and metrics are there
    assert kept > 0
    assert not list(out.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_disk)], check=True)
    again = run(folders, out, *PIXELS)
    assert again.status == 0
    assert f"{kept} reused" in again.err


def test_names_of_the_field_are_recognised(make_pairs: Maker, tmp_path: Path) -> None:
    spellings = {
        "A___B": "{a}.jpg___{b}.jpg_vis.png",
        "A_2_B": "{a}_2_{b}_vis.png",
        "A_to_B": "{a}_to_{b}.png",
    }
    a = "fashionWOMENDressesid0000223202_7additional"
    targets = [f"fashionWOMENDressesid000022320{n}_2side" for n in range(3)]
    digests = set()
    for rule, pattern in spellings.items():
        folders = make_pairs(3, root=rule)
        for number, target in enumerate(targets):
            (folders.ground_truth / f"person{number:04d}.png").rename(
                folders.ground_truth / f"{target}.png"
            )
            (folders.generated / f"person{number:04d}.png").rename(
                folders.generated / pattern.format(a=a, b=target)
            )
        out = tmp_path / "out" / rule
        finished = run(folders, out, "--metrics", "l1", "--name", rule)
        assert finished.status == 0
        assert f"3 pairs matched by {rule}" in finished.err
        digests.add(json.loads((out / "result.json").read_text())["test_set"]["digest"])
    assert len(digests) == 1, "one test set, whatever the spelling of the names"


def test_published_strips_are_scored_as_they_lie_on_disk(fixtures: Path, tmp_path: Path) -> None:
    for method in ("vunet", "deformable_gan", "pg2"):
        strips = fixtures / "result_strips" / method
        finished = fhpt_eval(
            "run", "--pred", strips, "--gt", strips, "--panels", "3", "--metrics", "ssim",
            "--out", tmp_path / method,
        )  # fmt: skip
        assert finished.status == 0
        assert "24 pairs matched by strips of 3" in finished.err
        image = np.asarray(Image.open(next(iter(sorted(strips.iterdir())))))
        assert image.shape == (256, 768, 3)


def test_the_calibration_images_have_their_authors_values(fixtures: Path, tmp_path: Path) -> None:
    folder = fixtures / "calibration"
    truth = tmp_path / "gt"
    truth.mkdir()
    for path in (folder / "distorted").iterdir():
        shutil.copy(folder / "reference" / path.name, truth)
    protocol = tmp_path / "grey.toml"
    protocol.write_text(
        'id = "grey"\n[metrics.ssim]\nchannels = "grey"\n[metrics.psnr]\n[metrics.brisque]\n'
    )
    out = tmp_path / "out"
    finished = fhpt_eval(
        "run", "--pred", folder / "distorted", "--gt", truth, "--protocol", protocol, "--out", out
    )
    assert finished.status == 0
    with (out / "pairs.csv").open() as file:
        ours = {row["pair"]: row for row in csv.DictReader(file)}
    columns = {"ssim_matlab_gray": "ssim", "psnr": "psnr", "brisque_live": "brisque"}
    with (folder / "reference_values.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["metric"] in columns and r["image"] in ours]
    assert len(rows) == 9
    for row in rows:
        value = float(ours[row["image"]][columns[row["metric"]]])
        expected = pytest.approx(float(row["value"]), abs=float(row["absolute_tolerance"]))
        assert value == expected, (row["metric"], row["image"])


def test_python_dash_m_is_the_command() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "fhpt_eval", "--version"], capture_output=True, text=True, check=True
    )
    assert finished.stdout.startswith("fhpt-eval, version ")
