"""What the networks are trained to make small.

Images are (N, 3, H, W) in [-1, 1]; all losses are means (:func:`texture` the ratio of two), so that
their size depends neither on that of the batch nor on that of the image. They compute in float32
whatever comes in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, l1_loss, mse_loss, unfold

#: Sides of the windows of :func:`texture` in each layer's own pixels, from the first layer on. A
#: layer is mostly half as wide as the one before, so that later windows cover more of the image.
WINDOWS = (8, 6, 4)
#: Below it, mean covariances count as this much: an even image has none. Of drawn people those of
#: the mannequin network are 4e-3, 8e-3 and 2e-2 in its three layers.
_LEAST = 1e-3


def l1(image: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference; half of it is that of images in [0, 1]."""
    return l1_loss(image.float(), target.float())


def perceptual(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Return the mean over layers of the mean absolute difference of feature maps.

    Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
    ECCV 2016, with L1 in place of L2, as in PATN. The maps of the generated images, and those of
    the ground truth, are a ``(N, C, h, w)`` tensor per layer.
    """
    return _mean([l1(drawn, wanted) for drawn, wanted in zip(maps, targets, strict=True)])


def gram(maps: Tensor) -> Tensor:
    """Return the Gram matrices of N feature maps, divided by C h w: (N, C, h, w) -> (N, C, C).

    Entry (a, b) is the sum over all places of channel a times channel b, over C h w (Johnson et
    al., section 3.2). In float32: sums over so many places overflow bfloat16's digits.
    """
    channels, height, width = maps.shape[1:]
    flat = maps.float().flatten(2)  # (N, C, h w)
    with torch.autocast(maps.device.type, enabled=False):
        return flat @ flat.transpose(1, 2) / (channels * height * width)


def style(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Return the mean over layers of the mean absolute difference of Gram matrices.

    Arguments are as for :func:`perceptual`.
    """
    return _mean(
        [l1(gram(drawn), gram(wanted)) for drawn, wanted in zip(maps, targets, strict=True)]
    )


def covariances(maps: Tensor, window: int, down: int = 0, across: int = 0) -> Tensor:
    """Return how the channels vary together within each window: (N, C, h, w) -> (M, C, C) float32.

    Windows lie side by side; the first begins ``down`` rows and ``across`` columns from the corner,
    and what does not fill a window is left out.
    """
    channels = maps.shape[1]
    with torch.autocast(maps.device.type, enabled=False):
        parts = unfold(maps.float()[:, :, down:, across:], window, stride=window)
        parts = parts.transpose(1, 2).reshape(-1, channels, window**2)  # (M, C, window^2)
        parts = parts - parts.mean(dim=2, keepdim=True)
        products: Tensor = parts @ parts.transpose(1, 2) / window**2
        return products


def texture(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Return the mean over layers of the difference of covariances within windows.

    As a share of the targets' covariances, so that a blank image has 1. The Gram matrix of a whole
    image mixes all that is worn, and is mostly about mean colours: a source in another pose, with
    the right texture, can be further away by it than a drawn image without any. Within a window,
    and less the mean, a texture counts where it is, whatever its phase there. (Textures as second
    moments of a network's features: Gatys et al., "Texture Synthesis Using Convolutional Neural
    Networks", NeurIPS 2015.)

    Where windows begin is drawn from torch's global generator (the CPU's), and the share is of all
    images together: several processes draw windows of their own, and take shares of their part.
    Arguments are as for :func:`perceptual`; as many layers count as :data:`WINDOWS` has sides.
    """
    shares = []
    for layer, target, side in zip(maps, targets, WINDOWS, strict=False):
        window = min(side, *layer.shape[2:])
        spare = (min(window, length - window + 1) for length in layer.shape[2:])
        down, across = (int(torch.randint(number, ())) for number in spare)
        drawn = covariances(layer, window, down, across)
        wanted = covariances(target, window, down, across)
        shares.append(l1(drawn, wanted) / wanted.abs().mean().clamp_min(_LEAST))
    return _mean(shares)


def summary(drawn: Tensor, target: Tensor) -> Tensor:
    """Return the mean of 1 - cosine of the angle between summaries, ``(N, K)``: from 0 to 2.

    A summary says what an image shows (:meth:`.perceptual.PerceptualNetwork.summary`), so this asks
    for the right kind of texture, wherever it lies, as the identity loss of face swapping asks for
    the right face (Chen et al., "SimSwap", ACM Multimedia 2020).
    """
    return (1 - cosine_similarity(drawn.float(), target.float())).mean()


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Return mean((D(real) - 1)^2) / 2 + mean(D(generated)^2) / 2.

    Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017, equation 9.
    """
    return (_squares(real, 1.0) + _squares(generated, 0.0)) / 2


def generator_loss(generated: Tensor) -> Tensor:
    """Return mean((D(generated) - 1)^2) / 2, the generator's part of the same equation."""
    return _squares(generated, 1.0) / 2


def _squares(scores: Tensor, wanted: float) -> Tensor:
    return mse_loss(scores.float(), torch.full_like(scores, wanted, dtype=torch.float32))


def _mean(losses: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
