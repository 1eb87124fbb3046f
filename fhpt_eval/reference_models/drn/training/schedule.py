"""What happens at which step: the stage, the learning rate, the pairs.

Everything here is a pure function of the configuration and the number of a step, so a training
that goes on needs no other memory of where it was. Steps count from 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.reference_models.drn.configuration import TrainingSettings

#: In which order the training refines: the pose transfer branch alone, then everything together.
Stage = Literal["coarse", "fine"]

#: What random numbers are drawn for; each has a stream of its own.
_ORDER, _NOISE = 0, 1


def stage_of(step: int, settings: TrainingSettings) -> Stage:
    """Return the stage that a step belongs to."""
    return "coarse" if step < settings.coarse_steps else "fine"


def is_adversarial(step: int, settings: TrainingSettings) -> bool:
    """Whether discriminators take part in a step: in the fine stage, from the step that is set."""
    return stage_of(step, settings) == "fine" and step >= settings.adversarial_from


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Return the learning rate of a step: constant, then linear to 0 after the last step."""
    start = settings.decay_from * settings.steps
    if step < start:
        return settings.learning_rate
    return settings.learning_rate * max(0.0, (settings.steps - step) / (settings.steps - start))


def pairs_at(step: int, count: int, settings: TrainingSettings) -> NDArray[np.int64]:
    """Return which of ``count`` pairs make up a step's batch, ``(batch_size,)`` int64.

    All pairs come once, in a random order, before any comes again in the next; a batch may reach
    from one such round into the next.
    """
    first = step * settings.batch_size
    places = range(first, first + settings.batch_size)
    return np.array(
        [_order(settings.seed, place // count, count)[place % count] for place in places],
        dtype=np.int64,
    )


def seed_at(step: int, rank: int, settings: TrainingSettings) -> int:
    """Return the seed of whatever a process draws during a step, as dropout does."""
    stream = np.random.SeedSequence([settings.seed, _NOISE, step, rank])
    return int(stream.generate_state(1, np.uint64)[0] >> 1)


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of the pairs in one round; PCG64's raw words, so no version changes it."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, _ORDER, epoch]))
    return np.argsort(bits.random_raw(count), kind="stable")
