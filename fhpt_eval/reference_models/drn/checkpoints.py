"""Checkpoints, from which a training goes on to the bit, and weights, which generating needs.

A checkpoint is one PyTorch file of tensors and plain values (nothing in it is ever executed), put
in place whole; weights are a safetensors file, with the record in its metadata.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval._version import __version__
from fhpt_eval.common.files import write_atomically
from fhpt_eval.common.validation import explain_validation
from fhpt_eval.errors import InputError, WeightsError
from fhpt_eval.features.loading import check_entries, shapes_of
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.network import Model, build_model
from fhpt_eval.reference_models.drn.perceptual import perceptual_network

#: What a checkpoint and exported weights say that they are.
CHECKPOINT_FORMAT, WEIGHTS_FORMAT = "fhpt-eval drn checkpoint", "fhpt-eval drn weights"
#: Raised when a file's keys or their meaning change.
VERSION = 1

#: Settings that change how a step is computed and not what it shall do; they may differ when a
#: training goes on. A configuration's name moves nothing.
FREE = frozenset({"name", "training.precision", "training.channels_last", "training.compile"})

#: The types in which weights can be exported; all are loaded as float32.
Stored = Literal["float32", "float16", "bfloat16"]

#: Longest text that a record may hold, in characters.
_LONGEST = 1000

_TENSORS = ("model", "discriminators", "generator_optimiser", "discriminator_optimiser")


@dataclass(frozen=True)
class Record:
    """How weights came about.

    Attributes:
        configuration: of the model and its training.
        steps: that were done.
        data_digest: of the pairs, key points and images, see :class:`~.data.PairSet`.
        perceptual: which network the perceptual loss took its features from.
        seconds: that the steps took.
        device: that the last of them were computed on.
        version: of fhpt-eval.
        start: of the weights that the training started from: their ``configuration``, ``steps``,
            ``weights`` (SHA-256 of the tensors) and ``data_digest``; empty if they were random.
    """

    configuration: Configuration
    steps: int
    data_digest: str
    perceptual: Mapping[str, str]
    seconds: float = 0.0
    device: str = ""
    version: str = __version__
    start: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return {
            "configuration": self.configuration.model_dump(mode="json"),
            "steps": self.steps,
            "data_digest": self.data_digest,
            "perceptual": dict(self.perceptual),
            "seconds": self.seconds,
            "device": self.device,
            "version": self.version,
            **({"start": dict(self.start)} if self.start else {}),
        }

    @classmethod
    def of(cls, values: Mapping[str, Any], label: str) -> Record:
        """Check a record's plain values.

        Raises:
            WeightsError: a value is missing or wrong.
        """
        try:
            steps = _checked(values, "steps", int)
            if steps < 0:
                raise ValueError(f"steps is {steps}")
            return cls(
                Configuration.model_validate_json(json.dumps(values["configuration"])),
                steps,
                _text(values, "data_digest"),
                _texts(values, "perceptual"),
                float(_checked(values, "seconds", (int, float))),
                _text(values, "device"),
                _text(values, "version"),
                _texts({"start": {}, **values}, "start"),
            )
        except ValidationError as error:
            fault = explain_validation(error, Configuration, "configuration")
            raise WeightsError(f"{label}: {fault}") from None
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise WeightsError(f"{label}: its record is damaged ({error}).") from error


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps.

    Attributes:
        record: configuration, steps done and data; everything random and the next pairs follow
            from the seed and the number of steps, see :mod:`~.schedule`.
        model: the generator's state dict.
        discriminators: likewise.
        generator_optimiser: its state dict.
        discriminator_optimiser: likewise.
    """

    record: Record
    model: dict[str, Tensor]
    discriminators: dict[str, Tensor]
    generator_optimiser: dict[str, Any]
    discriminator_optimiser: dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """A model to generate with, its record, and the SHA-256 of its tensors."""

    model: Model
    record: Record
    digest: str


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a reader never sees half of one.

    Raises:
        StorageError: it cannot be written; the one before is still there.
    """
    record = checkpoint.record
    settings = record.configuration.training
    content = {
        "format": CHECKPOINT_FORMAT,
        "format_version": VERSION,
        **record.values(),
        # Both are functions of the seed and the step, and stand here to be read by people.
        "random": {"seed": settings.seed, "step": record.steps},
        "position": {"pairs": record.steps * settings.batch_size},
        **{name: getattr(checkpoint, name) for name in _TENSORS},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, or something else.
    """
    weights.find(path)  # says if it is missing, empty or too large
    content = _load(path)
    return _checkpoint(content, str(path))


def differences(then: Configuration, now: Configuration) -> list[str]:
    """Name every setting in which two configurations differ, but for :data:`FREE` ones."""
    old, new = settings_of(then), settings_of(now)
    return [
        f"{key} is {old.get(key)} there and {new.get(key)} here"
        for key in dict.fromkeys([*old, *new])
        if key not in FREE and old.get(key) != new.get(key)
    ]


def settings_of(configuration: Configuration) -> dict[str, Any]:
    """Return every setting by its key, such as ``training.seed``."""
    return _flat(configuration.model_dump(mode="json"))


def check_same(record: Record, configuration: Configuration, data_digest: str, path: Path) -> None:
    """Refuse to go on with another configuration or other data.

    Raises:
        InputError: says which settings differ.
    """
    found = differences(record.configuration, configuration)
    if found:
        raise InputError(
            f"{path} is of another configuration: {'; '.join(found)}. Go on with the same one, or "
            "begin a new training in another --out."
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
    tensors = {name: one.detach().cpu().to(kind).contiguous() for name, one in model.items()}
    metadata = {"format": WEIGHTS_FORMAT, "format_version": str(VERSION)}
    metadata["record"] = json.dumps(record.values())
    write_atomically(path, save(tensors, metadata))


def load_model(name_or_path: str | Path, device: torch.device) -> Loaded:
    """Load a model to generate with, in evaluation mode.

    Args:
        name_or_path: a name of the registry of weights, or the path of exported weights or of a
            checkpoint.
        device: where it shall be.

    Raises:
        WeightsError: there is none, or it is damaged or something else.
    """
    found = weights.find(name_or_path)
    stored, record = _weights(found.path)
    _check_entries(record.configuration, stored, found.path)
    check_summary(record, found.path)
    state = _as_float32(stored)
    model = build_model(record.configuration)
    model.load_state_dict(state)
    return Loaded(model.to(device).eval().requires_grad_(False), record, tensors_digest(state))


def tensors_digest(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, one in sorted(state.items()):
        digest.update(f"{name} {one.dtype} {tuple(one.shape)}\n".encode())
        digest.update(one.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_record(name_or_path: str | Path) -> tuple[Record, Mapping[str, Tensor]]:
    """Return the record and the tensors of weights or of a checkpoint.

    Raises:
        WeightsError: as for :func:`load_model`.
    """
    state, record = _weights(weights.find(name_or_path).path)
    return record, _as_float32(state)


def _weights(path: Path) -> tuple[Mapping[str, Tensor], Record]:
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] != b"{":  # what safetensors files have after their header's length
        checkpoint = load_checkpoint(path)
        return checkpoint.model, checkpoint.record
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{path} cannot be read as safetensors ({error}).") from error
    _check_format(metadata, WEIGHTS_FORMAT, str(VERSION), str(path))
    try:
        values = json.loads(metadata.get("record", ""))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: its record is no JSON ({error}).") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: its record is no object.")
    return weights.load_state(path), Record.of(values, str(path))


def _as_float32(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in the type that the model has and its digest is of."""
    return {name: one.float() for name, one in state.items()}


def _check_entries(configuration: Configuration, state: Mapping[str, Tensor], path: Path) -> None:
    """Compare tensors with their configuration's model, of which nothing is allocated for that.

    So a small file cannot ask for a large model.
    """
    with torch.device("meta"):
        model = build_model(configuration)
    check_entries(state, shapes_of(model), str(path), "the model of their own configuration")


def check_summary(record: Record, label: object) -> None:
    """Refuse a model whose style code hears of another network than the one that is here.

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


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file may make the reader fail in any way
        raise WeightsError(
            f"{path} cannot be read as a checkpoint: it is damaged, or another kind of file. Give "
            "a checkpoint of fhpt-eval drn train, or the weights that were exported from one."
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a checkpoint.")
    return content


def _checkpoint(content: Mapping[str, Any], label: str) -> Checkpoint:
    _check_format(content, CHECKPOINT_FORMAT, VERSION, label)
    record = Record.of(content, label)
    missing = [name for name in _TENSORS if not isinstance(content.get(name), dict)]
    if missing:
        raise WeightsError(f"{label} is a damaged checkpoint: it lacks {', '.join(missing)}.")
    for name in ("model", "discriminators"):
        if not all(_is_named_tensor(*one) for one in content[name].items()):
            raise WeightsError(f"{label} is a damaged checkpoint: its {name} holds no tensors.")
    return Checkpoint(record, *(content[name] for name in _TENSORS))


def _is_named_tensor(name: object, one: object) -> bool:
    """Whether it is what a state dict holds; a file may also hold tensors without values."""
    return isinstance(name, str) and isinstance(one, Tensor) and one.device.type == "cpu"


def _check_format(content: Mapping[str, Any], wanted: str, version: object, label: str) -> None:
    if content.get("format") != wanted:
        raise WeightsError(
            f"{label} is no model of this kind (it does not say '{wanted}'). Give a checkpoint of "
            "fhpt-eval drn train, or the weights that were exported from one."
        )
    if content.get("format_version") != version:
        raise WeightsError(
            f"{label} is of format version {content.get('format_version')}; this fhpt-eval reads "
            f"{version}. Use the fhpt-eval that wrote it."
        )


def _checked(values: Mapping[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
    value = values[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{key} is a {type(value).__name__}")
    return value


def _text(values: Mapping[str, Any], key: str) -> str:
    return _short(values[key], key)


def _texts(values: Mapping[str, Any], key: str) -> dict[str, str]:
    found = _checked(values, key, dict)
    return {_short(name, key): _short(text, key) for name, text in found.items()}


def _short(text: object, key: str) -> str:
    """Refuse what a terminal would not show as it is."""
    if isinstance(text, str) and text.isprintable() and len(text) <= _LONGEST:
        return text
    raise TypeError(f"{key} holds {text!r:.40}, not a short text")


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found
