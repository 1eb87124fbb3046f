"""Rows by a network in a file of the user's, TorchScript or ONNX.

Such a file is a program: see docs/networks.md before using one from elsewhere.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fhpt_eval.common.files import read_within
from fhpt_eval.errors import WeightsError
from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.embedding.normalised import NormalisedInput, vectors
from fhpt_eval.features.levels import as_levels
from fhpt_eval.features.loading import loaded_once
from fhpt_eval.features.networks import Gift, Network
from fhpt_eval.weights.registry import MAX_BYTES
from fhpt_eval.weights.store import available, digest_of

#: What is done by the ending of the file's name.
TORCHSCRIPT, ONNX = (".pt", ".ts"), (".onnx",)
ENDINGS = TORCHSCRIPT + ONNX

_FOLDER_OF_OTHER_FILES = "session.model_external_initializers_file_folder_path"

#: From ``(1, 3, H, W)`` float32 to whatever the network gives.
Run = Callable[[Tensor], object]


class NetworkFile(NormalisedInput, Network):
    """What a network in a file makes of an image: TorchScript (.pt, .ts) or ONNX (.onnx).

    It takes one image, ``(1, 3, H, W)`` float32, and gives ``(1, D)``. ONNX files run on the CPU
    (extra ``[onnx]``).

    Fields:
        path: of the file.
        input_size, input_mean, input_std: see :class:`NormalisedInput`.
    """

    name: ClassVar[str] = "file"
    title: ClassVar[str] = "A network in a file"
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows"})
    made_for: ClassVar[str] = "whatever it was trained on"

    path: Annotated[str, Field(min_length=1)]

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return ``embedding`` (N, D) float32 of ``(N, 3, H, W)`` images, on their device.

        One image at a time, so that nothing else can bear on a row.

        Raises:
            WeightsError: the file cannot be used, or gives something else.
        """
        levels = as_levels(images)
        if lacking := self.lacks():
            raise WeightsError(f"{self.path}: {lacking}")
        network = _load(Path(self.path), levels.device, self.input_size)

        def run(batch: Tensor) -> Mapping[str, Tensor]:
            try:
                output = network(self.normalised(batch))
            except Exception as error:  # a network of the user's may fail in any way
                raise WeightsError(
                    f"{self.path} failed on a {(1, 3, *self.input_size)} image "
                    f"({type(error).__name__}: {_short(error)})."
                ) from error
            return {"embedding": vectors(output, 1, self.path).to(levels.device)}

        return run_in_batches(run, levels, 1, 1)

    def load(self, device: torch.device) -> None:
        """See :meth:`Feature.load`; a grey image shows whether the network gives vectors."""
        self.compute(torch.full((1, 3, *self.input_size), 127, dtype=torch.uint8, device=device))

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the file.

        Raises:
            WeightsError: it is not there.
        """
        return {self.name: digest_of(Path(self.path))}

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Feature.canonical`: of the file the digest counts, not where it lies."""
        settings = self.model_dump(mode="json", exclude={"path"})
        return super().canonical() | {
            "parameters": {"kind": self.label, **settings},
            "weights": sorted(self.digests().values()),
        }

    @property
    def label(self) -> str:
        return "an ONNX file" if self._is_onnx else "a TorchScript file"

    def software(self) -> dict[str, str]:
        return {"onnxruntime": version("onnxruntime")} if self._is_onnx else {}

    def lacks(self) -> str:
        if self._is_onnx and find_spec("onnxruntime") is None:
            return "needs onnxruntime (pip install 'fhpt-eval[onnx]')"
        return available(Path(self.path))

    @property
    def _is_onnx(self) -> bool:
        return is_network_file(self.path, ONNX)


def is_network_file(name: str, endings: tuple[str, ...] = ENDINGS) -> bool:
    """Whether the name of a network is that of a file with one."""
    return name.lower().endswith(endings)


@loaded_once(2)
def _load(path: Path, device: torch.device, size: tuple[int, int]) -> Run:
    onnx = is_network_file(path.name, ONNX)
    try:
        if onnx:
            return _load_onnx(path, size)
        return _load_torchscript(path, device)
    except WeightsError:
        raise
    except Exception as error:  # a damaged or hostile file may make its reader fail in any way
        kind = "an ONNX network" if onnx else "a TorchScript network"
        raise WeightsError(
            f"{path} cannot be read as {kind} ({type(error).__name__}: {_short(error)}). A state "
            "dict is no network; docs/networks.md says how to export one."
        ) from error


def _load_torchscript(path: Path, device: torch.device) -> Run:
    jit: Any = torch.jit
    with warnings.catch_warnings():
        # PyTorch wants people to export in another way; files of the old one stay in use.
        warnings.filterwarnings("ignore", ".*deprecated", FutureWarning)
        warnings.filterwarnings("ignore", ".*deprecated", DeprecationWarning)
        module = jit.load(path, map_location=device)
    module.eval()

    def run(x: Tensor) -> object:
        # Else the first calls, which are watched, and those after run different code.
        with jit.optimized_execution(False):
            output: object = module(x)
        return output

    return run


def _load_onnx(path: Path, size: tuple[int, int]) -> Run:
    onnxruntime: Any = import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # threads change sums' order
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what goes wrong is raised
    with tempfile.TemporaryDirectory() as nothing:
        # Figures may lie in other files, which no digest covers: they are looked for where none is.
        options.add_session_config_entry(_FOLDER_OF_OTHER_FILES, nothing)
        session = onnxruntime.InferenceSession(
            read_within(path, MAX_BYTES), options, providers=["CPUExecutionProvider"]
        )
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        taken = ", ".join(f"{node.name}: {node.type} {node.shape}" for node in inputs)
        raise WeightsError(f"{path} takes {taken}; a network takes (N, 3, H, W) float32.")
    if len(outputs) != 1:
        names = ", ".join(node.name for node in outputs)
        raise WeightsError(f"{path} gives {names}; rows are one tensor (N, D).")
    for wanted, side in zip((1, 3, *size), inputs[0].shape, strict=True):
        if isinstance(side, int) and side != wanted:
            raise WeightsError(
                f"{path} takes images {inputs[0].shape} and not {[1, 3, *size]}. Set input_size "
                "to its height and width, and export it for one image at a time."
            )

    def run(x: Tensor) -> object:
        (output,) = session.run(None, {inputs[0].name: x.cpu().numpy()})
        return torch.from_numpy(output)

    return run


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:300] + "..."
