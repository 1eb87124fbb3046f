"""The network that tells what a drawn person wears.

A plain convolutional network of 1.1 million figures and 0.34 billion multiplications an image, in
four stages. The first convolution has stride 2, so that stripes of 4 pixels are still seen by its
filters; the others halve the maps to 128 x 88, 64 x 44, 32 x 22 and 16 x 11. The last two maps are
read out by their mean over the image, and by means weighted with four learnt maps of attention,
since most of an image is background. There is no normalisation by batch or by image: convolutions
are used as they are (training keeps their filters standardised, see ``training/garments.py``).

Citations: K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016 (the residual
blocks); A. Brock et al., "Characterizing signal propagation to close the performance gap in
unnormalized ResNets", ICLR 2021 (without normalisation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, relu, relu_

from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.levels import OVERSHOOT, checked_images
from fhpt_eval.features.loading import module_of
from fhpt_eval.features.networks import Gift
from fhpt_eval.features.perceptual import scaled
from fhpt_eval.features.weighted import WeightedNetwork

#: Height and width that the network was trained on; images of other sizes are resized to it.
HEIGHT, WIDTH = 256, 176
#: Kinds of the upper garment and textures, in the order of the logits.
KINDS = ("tee", "tank", "shirt", "sweater", "jacket", "hoodie", "dress")
TEXTURES = (
    "plain", "stripes", "pinstripes", "checks", "tartan", "dots", "flowers", "zigzag", "blocks",
    "speckles", "diamonds",
)  # fmt: skip
#: Pairs of a kind and a texture, which are the classes.
CLASSES = len(KINDS) * len(TEXTURES)
#: Lengths of the pool features and of the embedding.
POOL, EMBEDDING = 128, 64
_HIDDEN = 192
_ATTENTIONS = 4


class Outputs(NamedTuple):
    """What the network says of N images; ``logits`` are ``logits_unbiased`` plus a bias.

    Class ``k * len(TEXTURES) + t`` is kind k with texture t; its logit is the sum of both logits,
    so that the softmax over all classes is the product of that of kinds and that of textures.
    """

    pool: Tensor  # (N, 128)
    logits: Tensor  # (N, 77)
    logits_unbiased: Tensor  # (N, 77)
    embedding: Tensor  # (N, 64), of length 1


class GarmentNetwork(nn.Module):
    """See the module; its state dict is what a file of weights holds, all float32.

    Attributes:
        taps_channels: channels of the maps that :meth:`maps` returns.
    """

    taps_channels: ClassVar[tuple[int, ...]] = (32, 64, 96, 160)

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = self.taps_channels
        self.stem = nn.Conv2d(3, first, 5, 2, 2)
        self.down2 = _down(first, second)
        self.down3, self.block3a, self.block3b = _down(second, third), _same(third), _same(third)
        self.down4, self.block4a, self.block4b = _down(third, fourth), _same(fourth), _same(fourth)
        self.attention = nn.Conv2d(fourth, _ATTENTIONS, 1)
        self.hidden = nn.Linear((third + fourth) * (1 + _ATTENTIONS), _HIDDEN)
        self.pool = nn.Linear(_HIDDEN, POOL)
        self.kind = nn.Linear(POOL, len(KINDS))
        self.texture = nn.Linear(POOL, len(TEXTURES))
        self.embedding = nn.Linear(POOL, EMBEDDING, bias=False)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the four stages' feature maps, each after its ReLU; differentiable.

        Of ``(N, 3, H, W)`` floats in [0, 1], which are resized first, see :func:`resized`:
        ``(N, 32, 128, 88)``, ``(N, 64, 64, 44)``, ``(N, 96, 32, 22)``, ``(N, 160, 16, 11)``.
        """
        return self.stages(resized(images))

    def stages(self, images: Tensor) -> list[Tensor]:
        """Return what :meth:`maps` does of images at the size that they have."""
        # White becomes zero, so that the convolutions' padding looks like background.
        ink = 2 * (1 - images)
        first = relu_(self.stem(ink.contiguous(memory_format=torch.channels_last)))
        second = relu_(self.down2(first))
        x = self.down3(second)
        third = relu_(x + self.block3b(relu_(self.block3a(relu(x)))))
        x = self.down4(third)
        fourth = relu_(x + self.block4b(relu_(self.block4a(relu(x)))))
        return [first, second, third, fourth]

    def pooled(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the pool features ``(N, 128)`` of what :meth:`maps` gave."""
        features: Tensor = self.pool(relu(self.hidden(self.read(maps))))
        return features

    def forward(self, images: Tensor) -> Outputs:
        """Return all outputs for images as :meth:`maps` takes them."""
        pool = self.pooled(self.maps(images))
        kind, texture = pool @ self.kind.weight.T, pool @ self.texture.weight.T
        return Outputs(
            pool,
            _joint(kind + self.kind.bias, texture + self.texture.bias),
            _joint(kind, texture),
            normalize(self.embedding(pool)),
        )

    def read(self, maps: Sequence[Tensor]) -> Tensor:
        """Return means of the last two maps over the image and under each attention.

        ``(N, 1280)``; for the third map, then for the fourth: over the image, under each attention.
        """
        *_, third, fourth = maps
        scores = self.attention(fourth)
        shares = scores.flatten(2).softmax(2).unflatten(2, scores.shape[2:])
        # Each cell of the fourth map lies over 2 x 2 of the third, which share its weight.
        finer = shares.repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
        means = []
        for values, weights in ((third, finer), (fourth, shares)):
            flat = values.flatten(2)
            attended = torch.bmm(weights.flatten(2), flat.transpose(1, 2))
            means += [flat.mean(2), attended.flatten(1)]
        return torch.cat(means, 1)


def resized(images: Tensor) -> Tensor:
    """Return images of 256 x 176 as they are, others resized to that: bilinear, antialiased.

    By torch's ``interpolate`` with ``antialias=True``, whose triangle is as wide as the reduction,
    pixel centres at half (corners not aligned).
    """
    if tuple(images.shape[2:]) == (HEIGHT, WIDTH):
        return images
    smaller: Tensor = interpolate(
        images, (HEIGHT, WIDTH), mode="bilinear", align_corners=False, antialias=True
    )
    return smaller


def _joint(kind: Tensor, texture: Tensor) -> Tensor:
    return (kind[:, :, None] + texture[:, None, :]).flatten(1)


def _down(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, 2, 1)


def _same(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, 1, 1)


#: The name of the weights in the registry.
REGISTERED = "mannequin-garments"
#: Images that pass the network together. Always as many, because the shape decides in which order
#: a library adds.
_BATCH_CPU, _BATCH_ACCELERATOR = 4, 32


class Garments(WeightedNetwork):
    """What the garment network of the mannequin benchmark says of the clothes in an image.

    Fields:
        weights: a registered name or a file, where they are not the shipped ones.
    """

    name: ClassVar[str] = "mannequin"
    title: ClassVar[str] = "Garments of the mannequin benchmark"
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows", "logits", "maps"})
    dimensions: ClassVar[Mapping[str, int]] = {"pool": POOL, "embedding": EMBEDDING}
    made_for: ClassVar[str] = "drawn people"
    takes_floats: ClassVar[bool] = True
    registered: ClassVar[str] = REGISTERED
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "this package; docs/mannequin-networks.md"

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of N images in one pass, on their device.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1], up to :data:`OVERSHOOT` beyond.
                Images that are not 256 x 176 are resized to that: see ``resized``.

        Returns:
            float32: ``pool`` (N, 128); ``logits`` (N, 77) of the classes, which are pairs of a kind
            and a texture of the upper garment, and ``logits_unbiased`` (N, 77), without biases; see
            ``Outputs``; ``embedding`` (N, 64), of length 1, alike for pictures of
            the same clothes.
        """
        batch = checked_images(images, OVERSHOOT)
        network: GarmentNetwork = self.loaded(batch.device)

        def prepare(images: Tensor) -> Tensor:
            # On [0, 1]; the division is made for uint8 only, so that floats stay what they are.
            x = images.float() / 255 if images.dtype == torch.uint8 else images.float()
            return resized(x.contiguous())

        def run(x: Tensor) -> Mapping[str, Tensor]:
            outputs: Outputs = network(x)
            return outputs._asdict()

        return run_in_batches(run, batch, _BATCH_CPU, _BATCH_ACCELERATOR, prepare)

    def maps(self, images: Tensor) -> list[Tensor]:
        """See :meth:`Network.maps`: the four stages, of images of any size, which are resized.

        Nobody's judgements have weighed their channels: all count alike.
        """
        checked_images(images, OVERSHOOT)
        network: GarmentNetwork = self.loaded(images.device)
        gain = torch.ones(3, 1, 1, device=images.device)
        return network.maps(scaled(images, gain, torch.zeros_like(gain)))

    @classmethod
    def build(cls, state: Mapping[str, Tensor], device: torch.device, label: str) -> GarmentNetwork:
        """See :meth:`WeightedNetwork.build`; gradients pass through it to images."""
        network = module_of(GarmentNetwork, state, label, "the network of drawn garments")
        return network.to(device).to(memory_format=torch.channels_last)
