"""Models in files: weights, which generating needs, and checkpoints, to go on from to the bit.

Weights are a safetensors file with a :class:`Record` in its metadata; a checkpoint is
:mod:`fhpt_eval.common.training`'s, and is about such a record too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval._version import __version__
from fhpt_eval.common.files import write_atomically
from fhpt_eval.common.settings import differences, flat
from fhpt_eval.common.training import Checkpoint, duration, read_checkpoint
from fhpt_eval.common.validation import explain_validation
from fhpt_eval.errors import InputError, WeightsError
from fhpt_eval.features.loading import check_entries, shapes_of
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.model.drn import Model
from fhpt_eval.reference_models.drn.model.perceptual import perceptual_network
from fhpt_eval.weights.state import is_safetensors

#: What a checkpoint and exported weights say that they are.
CHECKPOINT_KIND, WEIGHTS_FORMAT = "fhpt-eval drn checkpoint", "fhpt-eval drn weights"
#: Raised when the keys of exported weights or their meaning change.
VERSION = 1

#: Settings that change how a step is computed and not what it shall do; they may differ when a
#: training goes on. A configuration's name moves nothing.
FREE = frozenset({"name", "training.precision", "training.channels_last", "training.compile"})

#: The types in which weights can be exported; all are loaded as float32.
Stored = Literal["float32", "float16", "bfloat16"]


def _printable(text: str) -> str:
    """Refuse what a terminal would not show as it is."""
    if text.isprintable():
        return text
    raise ValueError(f"{text!r:.40} holds signs that cannot be printed")


_Text = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]


class Record(BaseModel):
    """How weights came about.

    Parameters:
        configuration: of the model and its training.
        steps: that were done.
        data_digest: of the pairs, key points and images, see
            :class:`~fhpt_eval.reference_models.drn.data.pairs.PairSet`.
        perceptual: which network the perceptual loss took its features from.
        seconds: that the steps took.
        device: that the last of them were computed on.
        version: of fhpt-eval.
        start: of the weights that the training started from: their ``configuration``, ``steps``,
            ``weights`` (SHA-256 of the tensors) and ``data_digest``; empty if they were random.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    configuration: Configuration
    steps: Annotated[int, Field(ge=0)]
    data_digest: _Text
    perceptual: Mapping[_Text, _Text]
    seconds: float
    device: _Text
    version: _Text = __version__
    start: Mapping[_Text, _Text] = {}

    def values(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return self.model_dump(mode="json", exclude=None if self.start else {"start"})

    @classmethod
    def of(cls, values: Mapping[str, Any], label: str) -> Record:
        """Check a record's plain values.

        Raises:
            WeightsError: a value is missing or wrong.
        """
        try:
            return cls.model_validate_json(json.dumps(values))
        except ValidationError as error:
            fault = explain_validation(error, cls, "record")
            raise WeightsError(f"{label}: its record is damaged: {fault}") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise WeightsError(f"{label}: its record is damaged ({error}).") from error

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, label: str) -> Record:
        """Check the record that a checkpoint is about; errors as of :meth:`of`."""
        counts = {"steps": checkpoint.step, "seconds": checkpoint.seconds}
        return cls.of({**checkpoint.about, **counts}, label)


@dataclass(frozen=True)
class Loaded:
    """A model to generate with, its record, and the SHA-256 of its tensors.

    ``made_for``: the only images that it knows, where the registry of weights says so.
    """

    model: Model
    record: Record
    digest: str
    made_for: str = ""


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, or something else.
    """
    weights.find(path)  # says if it is missing, empty or too large
    return read_checkpoint(path, CHECKPOINT_KIND)


def check_same(record: Record, configuration: Configuration, data_digest: str, path: Path) -> None:
    """Refuse to go on with another configuration or other data.

    Raises:
        InputError: says which settings differ, but for :data:`FREE` ones.
    """
    then, now = (each.model_dump(mode="json") for each in (record.configuration, configuration))
    changes = [
        f"{key} is {old} there and {new} here"
        for key, new, old in differences(now, then)
        if key not in FREE
    ]
    if changes:
        raise InputError(
            f"{path} is of another configuration: {'; '.join(changes)}. Go on with the same one, "
            "or begin a new training in another --out."
        )
    if record.data_digest != data_digest:
        raise InputError(
            f"{path} was trained on other data: their digest is {record.data_digest[:12]}... there "
            f"and {data_digest[:12]}... here (pairs, names in the lists, key points and images "
            "count; where the folder lies does not). Give the same data, or begin a new training "
            "in another --out."
        )


def export(path: Path, model: Mapping[str, Tensor], record: Record, stored: Stored) -> None:
    """Write a model's weights as safetensors, with its record in the metadata.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors.torch import save

    kind: torch.dtype = getattr(torch, stored)
    tensors = {name: value.detach().cpu().to(kind).contiguous() for name, value in model.items()}
    metadata = {"format": WEIGHTS_FORMAT, "format_version": str(VERSION)}
    metadata["record"] = json.dumps(record.values())
    write_atomically(path, save(tensors, metadata))


def load_model(name_or_path: str | Path, device: torch.device) -> Loaded:
    """Load a model to generate with, in evaluation mode: a registered name, or a file.

    The file has exported weights, or is a checkpoint.

    Raises:
        WeightsError: there is none, or it is damaged or something else.
    """
    found = weights.find(name_or_path)
    path = found.path
    stored, record = _stored(path)
    with torch.device("meta"):  # nothing is allocated: a small file cannot ask for a large model
        shapes = shapes_of(Model(record.configuration))
    check_entries(stored, shapes, str(path), "the model of their own configuration")
    check_summary(record, path)
    state = _as_float32(stored)
    model = Model(record.configuration)
    model.load_state_dict(state)
    model.to(device).eval().requires_grad_(False)
    return Loaded(model, record, tensors_digest(state), weights.made_for(found.sha256))


def tensors_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_record(name_or_path: str | Path) -> tuple[Record, Mapping[str, Tensor]]:
    """Return record and tensors of weights or a checkpoint; errors as of :func:`load_model`."""
    state, record = _stored(weights.find(name_or_path).path)
    return record, _as_float32(state)


def describe(name_or_path: str | Path) -> str:
    """Say in lines what weights or a checkpoint are: how they came about, sizes, every setting.

    Errors are those of :func:`load_model`.
    """
    record, state = read_record(name_or_path)
    settings = record.configuration
    parts: dict[str, int] = {}
    for name, tensor in state.items():
        part = name.partition(".")[0]
        parts[part] = parts.get(part, 0) + tensor.numel()
    sizes = ", ".join(f"{part} {count:,}" for part, count in sorted(parts.items()))
    network, start = (
        ", ".join(f"{key} {value}" for key, value in values.items())
        for values in (record.perceptual, record.start)
    )
    lines = [
        f"configuration: {settings.name}",
        f"steps: {record.steps:,} of {settings.training.steps:,}, in {duration(record.seconds)} "
        f"on {record.device}",
        f"data digest: {record.data_digest}",
        f"weights digest: {tensors_digest(state)}",
        f"perceptual network: {network}",
        f"started from: {start or 'random weights'}",
        f"parameters: {sum(parts.values()):,} ({sizes})",
        f"written by: fhpt-eval {record.version}",
        "",
    ]
    values = flat(settings.model_dump(mode="json"))
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in values.items())])


def check_summary(record: Record, label: object) -> None:
    """Refuse a model whose style code hears of another network than the one of this fhpt-eval.

    Raises:
        WeightsError: names both; ``label`` is what the model is called.
    """
    if not record.configuration.model.hears_summary:
        return
    now = perceptual_network(record.configuration.loss.perceptual_network, "cpu").record
    if dict(now) != dict(record.perceptual):
        raise WeightsError(
            f"{label} draws by the summary of a perceptual network that is another one here: "
            f"{dict(record.perceptual)} then and {dict(now)} now. Use the fhpt-eval that wrote it, "
            f"{record.version}, or put its weights in their place."
        )


def _stored(path: Path) -> tuple[Mapping[str, Tensor], Record]:
    """Return a model's tensors as a file has them, and their record."""
    if not is_safetensors(path):
        checkpoint = load_checkpoint(path)
        model = checkpoint.state.get("model")
        if not isinstance(model, dict) or not all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in model.items()
        ):
            raise WeightsError(f"{path} is a damaged checkpoint: its model holds no tensors.")
        return model, Record.of_checkpoint(checkpoint, str(path))
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}).") from error
    if metadata.get("format") != WEIGHTS_FORMAT:
        raise WeightsError(
            f"{path} is no model of this kind (it does not say '{WEIGHTS_FORMAT}'). Give a "
            "checkpoint of fhpt-eval drn train, or the weights that were exported from one."
        )
    if metadata.get("format_version") != str(VERSION):
        raise WeightsError(
            f"{path} is of format version {metadata.get('format_version')}; this fhpt-eval reads "
            f"{VERSION}. Use the fhpt-eval that wrote it."
        )
    try:
        values = json.loads(metadata.get("record", ""))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: its record is no JSON ({error}).") from error
    return weights.load_state(path), Record.of(values, str(path))


def _as_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in the type that the model has and its digest is of."""
    return {name: value.float() for name, value in state.items()}
