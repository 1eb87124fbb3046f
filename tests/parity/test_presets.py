"""The presets against the published scripts, written anew with the libraries that those call.

Nothing here comes from the package but the entry that is measured: SSIM from scikit-image or SciPy,
resizes from OpenCV, Pillow and torchvision, networks from torchvision, lpips and pytorch-fid with
random weights shared by both sides. Images are published result strips, where they are there, and
photographs of each size that a preset wants. ``make parity`` prints the differences.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import fhpt_eval
from fhpt_eval.images.preparation import prepared_tensor
from fhpt_eval.metrics import FID
from fhpt_eval.protocol import Entry, Protocol, load_protocol
from tests.support.photographs import Pixels, crops, spoilt
from tests.support.pose_masks import pose_transfers_mask, random_joints, write_joints
from tests.support.random_inception import random_state
from tests.support.random_trunks import seeded_state
from tests.support.rows import feature_rows

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (fhpt-eval[opencv])")

#: Per image, as the project promises it.
TOLERANCE = 1e-6
FID_TOLERANCE, LPIPS_TOLERANCE, IS_TOLERANCE = 1e-4, 1e-5, 1e-5

Levels = NDArray[Any]
Score = Callable[[Levels, Levels], float]
View = Callable[[Levels], Levels]

# The scripts' images


def as_stored(image: Levels) -> Levels:
    return image


def crop(image: Levels) -> Levels:
    """Columns 40 to 216 of an image 256 wide."""
    return image[:, 40:-40] if image.shape[1] == 256 else image


def pad(image: Levels) -> Levels:
    """White columns on both sides, to 256; a square image has them."""
    missing = 256 - image.shape[1]
    sides = (missing // 2, missing - missing // 2)
    return np.pad(image, ((0, 0), sides, (0, 0)), constant_values=255)


def cubic(width: int, height: int) -> View:
    return lambda image: cv2.resize(
        image.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )


def after_crop(view: View) -> View:
    return lambda image: view(np.ascontiguousarray(crop(image)))


def pillow(width: int, height: int) -> View:
    """What torchvision does to a Pillow image: Pillow's own."""
    return lambda image: np.asarray(
        Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    )


def truncated(width: int, height: int) -> View:
    def view(image: Levels) -> Levels:
        functional = pytest.importorskip("torchvision.transforms.functional")
        if image.shape[:2] == (height, width):
            return image
        x = functional.to_tensor(image.copy())[None]
        bicubic = functional.InterpolationMode.BICUBIC
        x = functional.resize(x, [height, width], interpolation=bicubic, antialias=True)
        x = (x.float() * 255.0).clamp(0, 255).to(torch.uint8)
        return np.asarray(x[0].permute(1, 2, 0).numpy())

    return view


# The scripts' scores, of levels 0..255


def unit(image: Levels) -> Levels:
    return image.astype(np.float64) / 255


def skimage_ssim(x: Levels, y: Levels, span: float, **arguments: Any) -> float:
    x, y = x.astype(np.float64), y.astype(np.float64)
    return float(structural_similarity(x, y, channel_axis=2, data_range=span, **arguments))


def own_range(x: Levels) -> float:
    return float(x.max()) - float(x.min())


def gaussian_ssim(sigma: float) -> Score:
    return lambda x, y: skimage_ssim(
        x, y, own_range(x), gaussian_weights=True, sigma=sigma, use_sample_covariance=False
    )


def old_gaussian_ssim(x: Levels, y: Levels) -> float:
    """scikit-image before 0.16: SciPy's filter with 13 taps; the window of 11 sets the border."""
    span = own_range(x)
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2

    def blur(plane: Levels) -> Levels:
        filtered: Levels = gaussian_filter(plane, 1.5, truncate=4.0, mode="reflect")
        return filtered

    values = []
    for channel in range(3):
        a, b = x[..., channel].astype(np.float64), y[..., channel].astype(np.float64)
        ma, mb = blur(a), blur(b)
        va, vb, cov = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
        index = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
        values.append(index[5:-5, 5:-5].mean())
    return float(np.mean(values))


def uniform_ssim(size: int) -> Score:
    return lambda x, y: skimage_ssim(unit(x), unit(y), 1, win_size=size)


def psnr(x: Levels, y: Levels) -> float:
    return float(peak_signal_noise_ratio(unit(y), unit(x), data_range=1))


def mean_difference(scale: float) -> Score:
    return lambda x, y: float(np.abs(unit(x) - unit(y)).mean() * scale)


def mae(x: Levels, y: Levels) -> float:
    a, b = x.astype(np.float64), y.astype(np.float64)
    return float(np.abs(a - b).sum() / (a + b).sum())


def l2(x: Levels, y: Levels) -> float:
    return float(np.sqrt(((x.astype(float) - y) ** 2).sum()) / x.size)


def wrapped_psnr(x: Levels, y: Levels) -> float:
    """Differences and squares of uint8 arrays stay uint8."""
    mse = ((x - y) ** 2).mean()
    return float(20 * np.log10(255) - 10 * np.log10(mse))


@dataclass(frozen=True)
class Script:
    """What a preset reproduces: views of both images, scores by name, and sizes to try.

    Sizes are (height, width) of the generated and of the ground-truth photograph.
    """

    scores: Mapping[str, Score]
    generated: View = as_stored
    ground_truth: View = as_stored
    sizes: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = (((256, 256), (256, 256)),)


L1 = mean_difference(1)
GFLA: dict[str, Score] = {
    "ssim": uniform_ssim(51),
    "ssim_256": gaussian_ssim(1.5),
    "psnr": psnr,
    "l1": L1,
    "mae": mae,
}
CFLD = {name: GFLA[name] for name in ("ssim", "ssim_256", "psnr")}
PCDMS: dict[str, Score] = {"ssim_256": gaussian_ssim(1.2), "psnr": psnr, "l1": L1, "mae": mae}
CROPS = (((256, 176), (256, 176)),)
MARKET = (((128, 64), (128, 64)),)
LARGE = (((290, 200), (290, 200)), ((256, 256), (299, 288)))

SCRIPTS = {
    "patn-fashion": Script({"ssim": old_gaussian_ssim}, lambda x: pad(crop(x)),
                           lambda y: pad(crop(y)), CROPS),
    "patn-market": Script({"ssim": old_gaussian_ssim, "l1": mean_difference(2)}, sizes=MARKET),
    "gfla-256": Script(GFLA),
    "gfla-market": Script(GFLA, sizes=MARKET),
    "dptn": Script(GFLA, lambda x: pad(crop(x)), lambda y: pad(crop(y)), CROPS),
    "dior": Script({"ssim": gaussian_ssim(1.5)}, pad, pad, CROPS),
    "pidm-256": Script(GFLA | {"ssim_256": gaussian_ssim(1.2)}),
    "cfld-256": Script(
        CFLD, after_crop(truncated(176, 256)), after_crop(pillow(176, 256)), (*LARGE, *CROPS)
    ),
    "cfld-512": Script(CFLD, truncated(352, 512), pillow(352, 512), (*LARGE, *CROPS)),
    "pcdms-256": Script(
        PCDMS, after_crop(cubic(176, 256)), after_crop(cubic(176, 256)), (*LARGE, *CROPS)
    ),
    "pcdms-512": Script(PCDMS, cubic(352, 512), cubic(352, 512), (*LARGE, *CROPS)),
    "pg2": Script({"ssim": uniform_ssim(7), "psnr": psnr, "l1": mean_difference(255), "l2": l2}),
    "intrinsic-flow": Script({"ssim": uniform_ssim(7), "psnr": psnr}),
    "pise-psnr": Script({"psnr_overflow": wrapped_psnr}, crop, crop, CROPS),
}  # fmt: skip


def write(folder: Path, images: list[Pixels]) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"p{number:03d}.png")
    return folder


def photographs_of(
    photographs: dict[str, Pixels], count: int, generated: tuple[int, int], truth: tuple[int, int]
) -> tuple[list[Pixels], list[Pixels]]:
    """Photographs, black and white in a corner of them, and spoilt copies."""
    targets = crops({k: v for k, v in photographs.items() if k != "chelsea"}, count, *truth)
    for image in targets:
        image[:8, :8], image[:8, 8:16] = 0, 255  # where bicubic kernels overshoot
    if generated == truth:
        return [spoilt(image, seed, 12) for seed, image in enumerate(targets)], targets
    shape = generated[::-1]
    resized = [np.asarray(Image.fromarray(image).resize(shape)) for image in targets]
    return [spoilt(image, seed, 12) for seed, image in enumerate(resized)], targets


def compare(name: str, what: str, result: Any, pairs: list[tuple[Pixels, Pixels]]) -> None:
    script = SCRIPTS[name]
    assert len(result.pairs) == len(pairs)
    for score, reference in script.scores.items():
        expected = [reference(script.generated(x), script.ground_truth(y)) for x, y in pairs]
        difference = np.abs(result.pairs[score] - expected).max()
        print(f"\n{name:<15}{score:<14}{what:<28}largest difference {difference:.1e} ", end="")
        assert difference <= TOLERANCE
        assert result.scores[score].value == pytest.approx(np.mean(expected), abs=TOLERANCE)


def test_every_preset_is_here() -> None:
    from fhpt_eval.protocol import preset_names

    ours = {"fhpt", "mannequin"}
    assert {*SCRIPTS, *ours} == set(preset_names())


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_preset_gives_the_scripts_values_on_photographs(
    name: str, photographs: dict[str, Pixels], tmp_path: Path
) -> None:
    for number, (generated, truth) in enumerate(SCRIPTS[name].sizes):
        ours, theirs = photographs_of(photographs, 3, generated, truth)
        folders = [
            write(tmp_path / f"{side}{number}", images)
            for side, images in (("generated", ours), ("truth", theirs))
        ]
        result = fhpt_eval.evaluate(
            *folders, protocol=name, metrics=list(SCRIPTS[name].scores), workers=1, name="ours"
        )
        what = f"photographs {generated[0]} x {generated[1]}"
        compare(name, what, result, list(zip(ours, theirs, strict=True)))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_preset_gives_the_scripts_values_on_published_strips(
    name: str, fixtures: Path, tmp_path: Path
) -> None:
    """Source, target and generated image side by side, 256 x 256 each, scored as they lie."""
    strips = tmp_path / "strips"
    strips.mkdir()
    for method in ("deformable_gan", "vunet", "pg2"):
        for number, file in enumerate(sorted((fixtures / "result_strips" / method).iterdir())[:2]):
            shutil.copy(file, strips / f"{method[:2]}{number}{file.suffix}")
    files = {file.stem: np.asarray(Image.open(file).convert("RGB")) for file in strips.iterdir()}
    result = fhpt_eval.evaluate(
        strips, strips, panels=3, protocol=name, metrics=list(SCRIPTS[name].scores), workers=1
    )
    panels = [files[key] for key in result.pairs.index]
    compare(name, "strips", result, [(image[:, 512:], image[:, 256:512]) for image in panels])


# Scores that rest on networks


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Random weights in files, by the name of the parameter that takes them."""
    folder = tmp_path_factory.mktemp("weights")
    states = {
        "inception_v3-imagenet": random_state("inception_v3-imagenet", seed=1),
        "inception-2015": random_state(),
        "alex": seeded_state("alex"),
    }
    for name, state in states.items():
        torch.save(state, folder / f"{name}.pth")
    return {name: str(folder / f"{name}.pth") for name in states}


def with_random_weights(name: str, weights: Mapping[str, str], batch: int = 0) -> Protocol:
    """Return a preset whose networks are ours; ``batch`` stands in for its size of batches."""
    protocol = load_protocol(name)
    entries = []
    for entry in protocol.entries:
        network = getattr(entry.metric, "network", "")
        own = weights.get(network)  # a pose network is not among them, LPIPS's "alex" is
        new = entry.with_parameter("network_weights", own) if own else entry
        entries.append(replace(new, drop_incomplete=batch if new.drop_incomplete else 0))
    return replace(protocol, entries=tuple(entries))


def entry_of(protocol: Protocol, name: str) -> Entry:
    return next(entry for entry in protocol.entries if entry.name == name)


@pytest.fixture(scope="module")
def torchvision_pool(weights: dict[str, str]) -> Callable[[list[Levels]], Levels]:
    """What the scripts' FID rests on: torchvision's network, the map of inputs, levels / 255."""
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    network = models.inception_v3(
        weights=None, transform_input=False, aux_logits=True, init_weights=False
    )
    network.load_state_dict(torch.load(weights["inception_v3-imagenet"], weights_only=True))
    network.eval()
    network.fc = torch.nn.Identity()

    @torch.no_grad()
    def pool(images: list[Levels]) -> Levels:
        rows = []
        for image in images:
            x = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
            x = torch.nn.functional.interpolate(x, (299, 299), mode="bilinear")
            scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
            shift = torch.tensor([0.030, 0.088, 0.188])[:, None, None]
            rows.append(network(x * scale - shift)[0].double().numpy())
        return np.stack(rows)

    return pool


def frechet(x: Levels, y: Levels) -> float:
    """Return the distance of Gaussians fitted to rows.

    The trace of the root of a product of covariances A^T A and B^T B is the sum of the singular
    values of A B^T; a root of 2,048 dimensions would take ten seconds.
    """
    a, b = ((rows - rows.mean(0)) / np.sqrt(len(rows) - 1) for rows in (x, y))
    gap = x.mean(0) - y.mean(0)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(gap @ gap + (a**2).sum() + (b**2).sum() - 2 * root)


@pytest.fixture(scope="module")
def original_lpips() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("lpips", reason="needs lpips (pip install lpips)")
        model = module.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    state = seeded_state("alex")
    for part in model.net.children():  # its slices keep torchvision's numbers
        for name, parameter in part.named_parameters():
            parameter.data.copy_(state[f"features.{name}"])
    return model


@torch.no_grad()
def lpips_values(model: Any, x: list[Levels], y: list[Levels], low: float) -> list[float]:
    def fed(image: Levels) -> torch.Tensor:
        unit = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
        return unit if low == 0 else 2 * unit - 1

    return [model(fed(a), fed(b)).item() for a, b in zip(x, y, strict=True)]


@dataclass(frozen=True)
class Folders:
    """Pairs and further real images, on disk and in memory, in the order of names."""

    generated: list[Pixels]
    truth: list[Pixels]
    real: list[Pixels]
    root: Path

    @classmethod
    def of(cls, photographs: dict[str, Pixels], root: Path, height: int, width: int) -> Folders:
        size = (height, width)
        generated, truth = photographs_of(photographs, 10, size, size)
        real = crops(photographs, 16, height, width)[5:]  # 11
        made = cls(generated, truth, real, root)
        for name in ("generated", "truth", "real"):
            write(root / name, getattr(made, name))
        return made

    def score(self, protocol: Protocol, metrics: list[str]) -> Any:
        return fhpt_eval.evaluate(
            self.root / "generated", self.root / "truth", protocol=protocol, metrics=metrics,
            fid_reference=self.root / "real", workers=1, name="ours",
        )  # fmt: skip


def test_gflas_fid_and_lpips_leave_out_incomplete_batches(
    photographs: dict[str, Pixels], weights: dict[str, str], tmp_path: Path,
    torchvision_pool: Callable[[list[Levels]], Levels], original_lpips: Any,
) -> None:  # fmt: skip
    """Batches of 4 in place of 64: 8 of 10 pairs and 8 of 11 real images count."""
    folders = Folders.of(photographs, tmp_path, 256, 256)
    result = folders.score(with_random_weights("gfla-256", weights, batch=4), ["fid", "lpips"])
    expected = frechet(torchvision_pool(folders.generated[:8]), torchvision_pool(folders.real[:8]))
    fid = result.scores["fid"]
    assert fid.value == pytest.approx(expected, rel=FID_TOLERANCE)
    assert (fid.n, fid.coverage) == (8, 0.8)
    assert "the last 2 of 10 pairs in the order of keys do not count" in fid.note
    assert "the last 3 of 11 reference images in the order of names do not count" in fid.note
    values = lpips_values(original_lpips, folders.generated, folders.truth, -1)
    assert np.abs(result.pairs["lpips"] - values).max() <= LPIPS_TOLERANCE
    lpips = result.scores["lpips"]
    assert lpips.value == pytest.approx(np.mean(values[:8]), abs=LPIPS_TOLERANCE)
    assert abs(np.mean(values[:8]) - np.mean(values)) > 10 * LPIPS_TOLERANCE
    assert (lpips.n, lpips.coverage) == (8, 0.8)


def test_pcdms_feed_bicubic_floats_that_overshoot(
    photographs: dict[str, Pixels], weights: dict[str, str], tmp_path: Path,
    torchvision_pool: Callable[[list[Levels]], Levels], original_lpips: Any,
) -> None:  # fmt: skip
    folders = Folders.of(photographs, tmp_path, 200, 130)
    result = folders.score(with_random_weights("pcdms-256", weights, batch=4), ["fid", "lpips"])
    view = cubic(176, 256)
    sides = {
        side: [view(image) for image in getattr(folders, side)]
        for side in ("generated", "truth", "real")
    }
    assert min(image.min() for image in sides["truth"]) < -1
    assert max(image.max() for image in sides["truth"]) > 256
    expected = frechet(
        torchvision_pool(sides["generated"][:8]), torchvision_pool(sides["real"][:8])
    )
    assert result.scores["fid"].value == pytest.approx(expected, rel=FID_TOLERANCE)
    values = lpips_values(original_lpips, sides["generated"], sides["truth"], 0)
    assert np.abs(result.pairs["lpips"] - values).max() <= LPIPS_TOLERANCE
    assert result.scores["lpips"].value == pytest.approx(np.mean(values[:8]), abs=LPIPS_TOLERANCE)


def test_diors_fid_is_of_mixed_sizes(
    photographs: dict[str, Pixels], weights: dict[str, str],
    torchvision_pool: Callable[[list[Levels]], Levels],
) -> None:  # fmt: skip
    """Real images are stretched to 256 x 256 in floating point, generated ones are not."""
    generated, truth = photographs_of(photographs, 6, (256, 176), (256, 176))
    entry = entry_of(with_random_weights("dior", weights), "fid")
    assert isinstance(entry.metric, FID)
    feature = entry.metric.features()["network"]
    rows = []
    for side, images in (("generated", generated), ("ground_truth", truth)):
        prepared = prepared_tensor(images, entry.steps, side)  # type: ignore[arg-type]
        assert prepared.shape[3] == (176 if side == "generated" else 256)
        arrays = {name: array.numpy() for name, array in feature.compute(prepared).items()}
        rows.append({"network": arrays})
    keys = tuple(f"{number}" for number in range(6))
    state = entry.metric.update(entry.metric.empty(), feature_rows(keys, *rows))
    stretched = [cv2.resize(image.astype(np.float32), (256, 256)) for image in truth]
    expected = frechet(torchvision_pool(generated), torchvision_pool(stretched))
    assert entry.metric.compute(state)[""] == pytest.approx(expected, rel=FID_TOLERANCE)


def test_a_run_of_diors_protocol_has_that_fid_against_its_reference_folder(
    photographs: dict[str, Pixels], weights: dict[str, str], tmp_path: Path,
    torchvision_pool: Callable[[list[Levels]], Levels],
) -> None:  # fmt: skip
    """The two sides have other sizes after the preparation, which the engine must allow."""
    folders = Folders.of(photographs, tmp_path, 256, 176)
    result = folders.score(with_random_weights("dior", weights), ["fid"])
    stretched = [cv2.resize(image.astype(np.float32), (256, 256)) for image in folders.real]
    expected = frechet(torchvision_pool(folders.generated), torchvision_pool(stretched))
    assert result.scores["fid"].value == pytest.approx(expected, rel=FID_TOLERANCE)


@pytest.fixture(scope="module")
def unbiased_score() -> Callable[[list[Levels]], tuple[float, float]]:
    """What PATN's script makes of images: mean and deviation of ten splits, without the bias."""
    inception = pytest.importorskip("pytorch_fid.inception", reason="pytorch-fid is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: random_state())
        network = inception.fid_inception_v3().eval()
    head, network.fc = network.fc.weight, torch.nn.Identity()

    @torch.no_grad()
    def score(images: list[Levels]) -> tuple[float, float]:
        logits = []
        for image in images:
            x = (tensorflow_bilinear(image.astype(np.float32)) - 128) / 128
            pool = network(torch.from_numpy(x).permute(2, 0, 1)[None])
            logits.append((pool @ head.T)[0].double())
        p = torch.stack(logits).softmax(dim=1).numpy()
        scores = []
        for split in range(10):
            part = p[split * len(p) // 10 : (split + 1) * len(p) // 10]
            divergence = part * (np.log(part) - np.log(part.mean(0, keepdims=True)))
            scores.append(np.exp(divergence.sum(1).mean()))
        return float(np.mean(scores)), float(np.std(scores))

    return score


def test_patns_inception_score_has_no_bias_and_sees_white_padding(
    photographs: dict[str, Pixels], weights: dict[str, str], tmp_path: Path,
    unbiased_score: Callable[[list[Levels]], tuple[float, float]],
) -> None:  # fmt: skip
    generated, truth = photographs_of(photographs, 23, (256, 176), (256, 176))
    write(tmp_path / "generated", generated)
    write(tmp_path / "truth", truth)
    result = fhpt_eval.evaluate(
        tmp_path / "generated", tmp_path / "truth", metrics="is", workers=1, name="ours",
        protocol=with_random_weights("patn-fashion", weights),
    )  # fmt: skip
    mean, deviation = unbiased_score([pad(image) for image in generated])
    assert mean > 1.01, "a score of about 1 would prove nothing"
    assert result.scores["is.mean"].value == pytest.approx(mean, abs=IS_TOLERANCE)
    assert result.scores["is.std"].value == pytest.approx(deviation, abs=IS_TOLERANCE)


def test_patns_masked_inception_score_sees_generated_images_behind_their_targets_masks(
    photographs: dict[str, Pixels], weights: dict[str, str], tmp_path: Path,
    unbiased_score: Callable[[list[Levels]], tuple[float, float]],
) -> None:  # fmt: skip
    generated, truth = photographs_of(photographs, 12, (128, 64), (128, 64))
    poses = [random_joints(seed) for seed in range(12)]
    write(tmp_path / "generated", generated)
    write(tmp_path / "truth", truth)
    result = fhpt_eval.evaluate(
        tmp_path / "generated", tmp_path / "truth", metrics="is_masked", workers=1, name="ours",
        protocol=with_random_weights("patn-market", weights),
        keypoints=write_joints(
            tmp_path / "points.csv", {f"p{number:03d}": pose for number, pose in enumerate(poses)}
        ),
    )  # fmt: skip
    masks = [pose_transfers_mask(joints, 128, 64)[..., None] for joints in poses]
    mean, deviation = unbiased_score([i * m for i, m in zip(generated, masks, strict=True)])
    assert result.scores["is_masked.mean"].value == pytest.approx(mean, abs=IS_TOLERANCE)
    assert result.scores["is_masked.std"].value == pytest.approx(deviation, abs=IS_TOLERANCE)


def tensorflow_bilinear(image: Levels) -> Levels:
    """Resize ``(H, W, 3)`` to 299 x 299 as TensorFlow 1 does: pixel i samples i * size / 299."""
    for axis in (0, 1):
        size = image.shape[axis]
        position = np.arange(299, dtype=np.float32) * np.float32(size / 299)
        before = position.astype(int)
        after = np.minimum(before + 1, size - 1)
        share = np.expand_dims(position - before, (1, 2) if axis == 0 else (0, 2))
        first, second = image.take(before, axis), image.take(after, axis)
        image = first + (second - first) * share
    return image.astype(np.float32)


@pytest.mark.parametrize("method", ["deformable_gan", "vunet", "pg2"])
def test_white_padding_alone_lifts_ssim_by_a_tenth_and_psnr_by_the_ratio_of_areas(
    method: str, fixtures: Path
) -> None:
    """The traps' figures, on published results: +0.10 to +0.12, and 10 log10(256 / 176) dB."""
    from bench.incomparable import CROP, PADDED
    from fhpt_eval.protocol import parse_protocol

    folder = fixtures / "result_strips" / method
    crop, padded = fhpt_eval.evaluate_many(
        folder, folder, panels=3, metrics="ssim,psnr",
        protocols=[parse_protocol(CROP, "crop"), parse_protocol(PADDED, "padded")],
    )  # fmt: skip
    gain = {name: (padded.scores[name].value or 0) - (crop.scores[name].value or 0)
            for name in ("ssim", "psnr")}  # fmt: skip
    assert 0.10 <= gain["ssim"] <= 0.12
    assert gain["psnr"] == pytest.approx(10 * np.log10(256 / 176), abs=1e-6)
