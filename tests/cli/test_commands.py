"""The other commands, and what holds for all of them."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from fhpt_eval.benchmarks.mannequin import Settings, write_benchmark
from fhpt_eval.benchmarks.mannequin.methods import write_methods
from fhpt_eval.leaderboard.table import build
from fhpt_eval.result import Result
from tests.support.command import fhpt_eval
from tests.support.photographs import PairFolders

Maker = Callable[..., PairFolders]
ROOT = Path(__file__).parents[2]


#: People of the small demonstration, of whom every fifth is in the test set: in 12 images, so that
#: recall@20 says nothing.
DEMO_IDENTITIES, INCOMPLETE = "15", 3


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "demo"
    finished = fhpt_eval("demo", "--out", out, "--identities", DEMO_IDENTITIES)
    assert finished.status == INCOMPLETE, finished.err
    return out


def scored(folders: PairFolders, out: Path, *more: str | Path) -> Path:
    finished = fhpt_eval(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--out", out,
        *([] if "--metrics" in more else ["--metrics", "ssim,l1"]), *more,
    )  # fmt: skip
    assert finished.status == 0, finished.err
    return out


def test_help_is_fast_and_imports_neither_torch_nor_pandas() -> None:
    """Time is measured in bench/; here is what makes it fast."""
    script = (
        "import sys; sys.argv = ['fhpt-eval', '--help']\n"
        "from fhpt_eval.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'PIL', 'skimage', 'pydantic', 'rich'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "leaderboard" in finished.stdout


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["leaderboard"], ["sensitivity"], ["metrics"], ["networks"], ["protocols"],
     ["protocols", "diff"], ["doctor"], ["demo"]],
)  # fmt: skip
def test_every_command_has_help(command: list[str]) -> None:
    finished = fhpt_eval(*command, "--help")
    assert finished.status == 0
    assert len(finished.out) > 100


def test_a_mistyped_command_gets_near_misses() -> None:
    finished = fhpt_eval("leaderbord")
    assert finished.status == 2
    assert "Did you mean 'leaderboard'?" in finished.err


def test_metrics_lists_every_metric_with_its_range_and_needs() -> None:
    finished = fhpt_eval("metrics", "--json")
    rows = {row["name"]: row for row in json.loads(finished.out)}
    assert {"ssim", "psnr", "l1", "brisque"} <= set(rows)
    assert rows["ssim"]["range"] == "[-1, 1]"
    assert rows["brisque"]["needs"] == "generated images only"
    assert "ssim ↑" in fhpt_eval("metrics").out


def test_protocols_lists_and_shows() -> None:
    assert "fhpt" in fhpt_eval("protocols").out
    shown = json.loads(fhpt_eval("protocols", "show", "fhpt").out)
    assert shown["metrics"]["ssim"]["parameters"]["sigma"] == 1.5
    assert len(shown["digest"]) == 64


def test_doctor_says_what_is_installed_and_what_would_be_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path))
    finished = fhpt_eval("doctor")
    assert finished.status == 3
    for text in ("torch", "device", "metric brisque", "ready; weights brisque_live.libsvm"):
        assert text in finished.out
    assert "unavailable" in finished.out
    assert "fhpt-eval weights pull inception-2015" in finished.out


def test_a_leaderboard_has_a_row_per_method_and_the_columns_of_the_format(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(6)
    one = scored(folders, tmp_path / "one", "--name", "copy of nothing")
    for path in folders.generated.iterdir():  # the same pixels in another file
        Image.open(folders.ground_truth / path.name).save(path, compress_level=1)
    two = scored(folders, tmp_path / "two", "--name", "=cmd()")
    finished = fhpt_eval("leaderboard", one, two, "--csv", tmp_path / "board.csv")
    assert finished.status == 0
    with (tmp_path / "board.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == [
        "method", "ssim", "ssim_low", "ssim_high", "l1", "l1_low", "l1_high", "pairs", "coverage",
        "groups", "protocol", "protocol_digest", "test_set_digest", "version",
    ]  # fmt: skip
    assert [row[0] for row in rows[1:]] == ["'=cmd()", "copy of nothing"], "best first, no formula"
    assert float(rows[1][1]) == 1.0
    assert "=cmd()" in finished.out


def test_results_under_different_protocols_are_not_ranked_and_the_fields_are_named(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(3)
    other = tmp_path / "other.toml"
    other.write_text('id = "other"\n[metrics.ssim]\nsigma = 1.2\n[metrics.l1]\n')
    one = scored(folders, tmp_path / "one", "--name", "one", "--protocol", other)
    another = tmp_path / "another.toml"
    another.write_text('id = "another"\n[metrics.ssim]\n[metrics.l1]\n')
    two = scored(folders, tmp_path / "two", "--name", "two", "--protocol", another)
    finished = fhpt_eval("leaderboard", one, two, "--csv", tmp_path / "board.csv")
    assert finished.status == 2
    assert "ssim.parameters.sigma: 1.2 and 1.5" in finished.err
    assert not (tmp_path / "board.csv").exists()


def test_results_on_different_test_sets_are_not_ranked(make_pairs: Maker, tmp_path: Path) -> None:
    one = scored(make_pairs(3, root="a"), tmp_path / "one", "--name", "one")
    two = scored(make_pairs(4, root="b"), tmp_path / "two", "--name", "two")
    finished = fhpt_eval("leaderboard", one, two)
    assert finished.status == 2
    assert "different test sets: 3 pairs" in finished.err


def test_intervals_over_different_groups_are_not_ranked(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(6)
    names = sorted(path.name for path in folders.generated.iterdir())
    rows = [f"{name},{name},item{number % 2}" for number, name in enumerate(names)]
    (tmp_path / "pairs.csv").write_text("\n".join(["generated,ground_truth,item", *rows]))
    one = scored(folders, tmp_path / "one", "--name", "one")
    two = scored(folders, tmp_path / "two", "--name", "two", "--pairs", tmp_path / "pairs.csv")
    finished = fhpt_eval("leaderboard", one, two)
    assert finished.status == 2
    assert "intervals over different groups (6 and 2)" in finished.err


def test_a_score_over_some_pairs_only_is_marked_and_never_the_best(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(6)
    one = scored(folders, tmp_path / "one", "--name", "one", "--metrics", "brisque")
    for number in range(3):  # flat images have no BRISQUE, and leave the better ones to be averaged
        path = folders.generated / f"person{number:04d}.png"
        Image.new("RGB", (44, 64)).save(path)
    two = scored(folders, tmp_path / "two", "--name", "two", "--metrics", "brisque")
    finished = fhpt_eval("leaderboard", one, two, "--csv", tmp_path / "board.csv")
    assert finished.status == 0
    assert "(50%)" in finished.out
    with (tmp_path / "board.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["one", "two"]
    assert (rows["one"]["coverage"], rows["two"]["coverage"]) == ("1.0", "0.5")


def test_scores_over_the_same_part_of_the_pairs_are_ranked(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(6)
    for number in range(3):
        Image.new("RGB", (44, 64)).save(folders.generated / f"person{number:04d}.png")
    one = scored(folders, tmp_path / "one", "--name", "one", "--metrics", "brisque")
    for path in sorted(folders.generated.iterdir())[3:]:
        with Image.open(path) as image:
            image.convert("RGB").filter(ImageFilter.GaussianBlur(2)).save(path)
    two = scored(folders, tmp_path / "two", "--name", "two", "--metrics", "brisque")
    scores = [Result.load(run / "result.json").scores["brisque"] for run in (one, two)]
    assert scores[0].over == scores[1].over is not None
    board = build([Result.load(run / "result.json") for run in (one, two)])
    assert len(board.best("brisque")) == 1
    finished = fhpt_eval("leaderboard", one, two)
    assert "Over the same share of the pairs, for all methods: brisque." in finished.out


def test_two_results_of_one_name_are_refused(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(2)
    one = scored(folders, tmp_path / "one", "--name", "ours")
    two = scored(folders, tmp_path / "two", "--name", "ours")
    finished = fhpt_eval("leaderboard", one, two)
    assert finished.status == 2
    assert "named ours" in finished.err


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema_version": 1}', "\x00", "[" * 100_000])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    finished = fhpt_eval("leaderboard", tmp_path)
    assert finished.status == 2
    assert "result.json" in finished.err
    assert "Traceback" not in finished.err


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    finished = fhpt_eval("leaderboard", tmp_path / "nowhere")
    assert finished.status == 2
    assert "nowhere" in finished.err


EIGHT = (
    "ssim", "lpips[mannequin]", "fid[mannequin]", "is[mannequin].mean", "brisque",
    "retrieval[mannequin].recall@10", "joints[mannequin].pckh", "face_identity[mannequin].rate",
)  # fmt: skip


def test_the_demo_scores_methods_with_all_eight_metrics(demo: Path) -> None:
    with (demo / "leaderboard.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"copy_source", "nearest_pose", "blend", "blur", "patn", "drn"}
    for row in rows.values():
        assert all(math.isfinite(float(row[name])) for name in EIGHT)
        assert row["protocol"] == "mannequin"


def test_the_demo_ranks_methods_as_anybody_would(demo: Path) -> None:
    with (demo / "leaderboard.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}

    def value(method: str, score: str) -> float:
        return float(rows[method][score])

    garment, joints = "retrieval[mannequin].recall@1", "joints[mannequin].pckh"
    assert value("copy_source", garment) > value("nearest_pose", garment)
    assert value("nearest_pose", joints) > value("copy_source", joints)
    assert value("blur", "ssim") > value("copy_source", "ssim")
    # Of what the paper claims for its network against its first branch, what shows in so few pairs.
    face = "face_identity[mannequin].rate"
    assert value("drn", face) > value("patn", face)
    for model in ("drn", "patn"):
        assert value(model, garment) > value("nearest_pose", garment)
    assert value("drn", joints) > value("copy_source", joints)
    assert value("drn", "lpips[mannequin]") < value("copy_source", "lpips[mannequin]")


def test_a_repeated_demo_computes_nothing_again(demo: Path) -> None:
    before = (demo / "leaderboard.csv").read_bytes()
    finished = fhpt_eval("demo", "--out", demo, "--identities", DEMO_IDENTITIES)
    assert finished.status == INCOMPLETE
    assert "0 chunks computed" in finished.err
    assert (demo / "leaderboard.csv").read_bytes() == before
    assert str(demo / "leaderboard.csv") in finished.out


def test_the_readme_shows_what_a_run_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_benchmark(tmp_path / "mannequin", Settings(identities=50, seed=0), workers=2)
    methods = write_methods(tmp_path / "mannequin", tmp_path / "methods")
    methods["blend"].rename(tmp_path / "results")
    (tmp_path / "mannequin" / "test").rename(tmp_path / "test")
    monkeypatch.chdir(tmp_path)
    finished = fhpt_eval(
        "run", "--pred", "results", "--gt", "test", "--source", "test", "--protocol", "mannequin"
    )
    printed = [line.rstrip() for line in (finished.err + finished.out).splitlines()]
    # On a slow machine a stage says how far it is.
    printed = [line for line in printed if not re.fullmatch(r"[A-Z][a-z ]+: \d+ of \d+.*", line)]
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.M)
    assert printed in [block.splitlines() for block in blocks]


def test_the_example_plugins_install_and_run_by_name(make_pairs: Maker, tmp_path: Path) -> None:
    """They are installed by pip into a folder of their own, which the command then sees."""
    site = tmp_path / "site"
    sources = []
    for name in ("colorfulness_gap", "tiny_backbone"):
        sources.append(tmp_path / name)
        shutil.copytree(ROOT / "examples" / name, sources[-1])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--target", str(site), *map(str, sources)], check=True,
                   capture_output=True)  # fmt: skip
    folders = make_pairs(3)

    def command(*arguments: str | Path) -> str:
        import os

        environment = {**os.environ, "PYTHONPATH": str(site)}
        finished = subprocess.run(
            [sys.executable, "-m", "fhpt_eval", *map(str, arguments)],
            env=environment, capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        return finished.stdout

    assert "colorfulness_gap" in command("metrics")
    assert "tiny_backbone" in command("networks")
    out = command(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--json",
        "--metrics", "ssim,colorfulness_gap,fid", "--set", "fid.network=tiny_backbone",
    )  # fmt: skip
    result = json.loads(out)
    assert result["protocol"]["id"].startswith("fhpt+colorfulness_gap")
    assert result["scores"]["colorfulness_gap"]["value"] > 0
    assert result["scores"]["fid"]["value"] > 0
    software = result["provenance"]["software"]
    assert software["fhpt-eval-colorfulness-gap"] == "0.1.0"
    assert software["fhpt-eval-tiny-backbone"] == "0.1.0"
