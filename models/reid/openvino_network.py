"""ReID networks in OpenVINO's format (.xml with its .bin), on the optional package `openvino`.

Public networks come in it, with their normalisation inside. It runs on the CPU, in the precision of
our own networks there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import device as devices
from models.errors import InputError, one_line
from models.reid import preprocess
from models.reid.exported import Array, as_rows, choose_output, noise, refuse_not_finite
from models.reid.preprocess import Convention
from models.runtimes import openvino_package

MAX_APART = 0.05
"""Largest distance of a crop's unit features in batches of different size; up to 0.015 was seen
from bfloat16's rounding.
"""


class OpenVinoNetwork:
    """A network of images from an .xml file: crops -> features.

    `width`: length of a feature. `size`: (height, width) px of a crop as the network sees it.
    `note`: which of several outputs is taken, in words; "" for a single one.
    """

    on_cuda = False
    note = ""

    def __init__(self, path: Path, batch: int, convention: Convention) -> None:
        """Open the file; raises InputError when it is not a ReID network. `batch` crops go into one
        call.
        """
        self._convention = convention
        self._output = ""
        try:
            openvino_package.load()
        except ImportError:
            raise InputError(
                f"{path}: .xml networks need the package openvino (pip install openvino); or take"
                " an .onnx"
            ) from None
        if not path.with_suffix(".bin").is_file():
            raise InputError(
                f"{path}: its weights {path.with_suffix('.bin').name} do not lie beside it"
            )
        try:
            self._core = openvino_package.core()
            model = self._core.read_model(path)
            shape = list(model.input().partial_shape)
            if (
                len(shape) != 4
                or any(axis.is_dynamic for axis in shape[1:])
                or shape[1].get_length() != 3
            ):
                raise ValueError(f"its input is {model.input().partial_shape}")
            self.size = (shape[2].get_length(), shape[3].get_length())
            self._request, self._batch, self._padded = (
                self._compiled(model),
                batch,
                shape[0].is_static,
            )
            if self._padded:
                self._batch = shape[0].get_length()
                self._try_free_batch(path, batch)
            probe = self._raw_rows(noise(self.size))
            refuse_not_finite(probe)
            self.width = probe.shape[1]
        except Exception as error:  # noqa: BLE001 - openvino raises anything for a foreign file
            reason = one_line(error)
            raise InputError(
                f"{path}: is not a ReID network with input (N, 3, H, W), output (N, D) ({reason})"
            ) from None

    def features(self, crops: Sequence[Array] | Array) -> Array:
        """Crops, each (h, w, 3) uint8 BGR -> (n, width) float32 of unit length, or 0 where the
        network gives nothing finite.
        """
        features = np.nan_to_num(self._raw_rows(crops), posinf=0, neginf=0)
        return np.asarray(
            features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12),
            np.float32,
        )

    def _raw_rows(self, crops: Sequence[Array] | Array) -> Array:
        """Raw output for crops, (n, width) float32."""
        rows: list[Array] = [] if len(crops) else [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(crops), self._batch):
            part = np.stack(
                [preprocess.resize(crop, *self.size) for crop in crops[start : start + self._batch]]
            )
            n = len(part)
            if self._padded:
                part = np.concatenate([part, np.repeat(part[-1:], self._batch - n, axis=0)])
            rows.append(
                self._run(preprocess.normalise(torch.from_numpy(part), self._convention).numpy())[
                    :n
                ]
            )
        return np.concatenate(rows)

    def _compiled(self, model: Any) -> Any:
        """A request of the model, ready to infer."""
        precision = "bf16" if devices.fast_dtype(torch.device("cpu")) == torch.bfloat16 else "f32"
        return self._core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": precision}
        ).create_infer_request()

    def _run(self, batch: Array) -> Array:
        """Raw output of one call, not shared: the request's own memory is written again by the
        next.
        """
        found = self._request.infer([np.ascontiguousarray(batch)], share_outputs=False)
        outputs = {str(i): np.asarray(found[i]) for i in range(len(found))}
        if not self._output:
            self._output, self.note = choose_output(outputs, len(batch))
        return as_rows(outputs[self._output], len(batch))

    def _try_free_batch(self, path: Path, batch: int) -> None:
        """Open the batch when that changes no number; graphs that hard-code their batch stay as
        they are.
        """
        fixed = (self._request, self._batch, self._padded)
        sample = np.random.default_rng(0).integers(
            0, 256, (2 * self._batch, *self.size, 3), np.uint8
        )
        expected = self.features(sample)
        try:
            model = self._core.read_model(path)
            model.reshape([-1, 3, *self.size])
            self._request, self._batch, self._padded = (
                self._compiled(model),
                max(batch, len(sample)),
                False,
            )
            if np.linalg.norm(self.features(sample) - expected, axis=1).max() <= MAX_APART:
                self._batch = batch
                return
        except Exception:  # noqa: BLE001 - any failure here means the graph needs its batch
            pass
        self._request, self._batch, self._padded = fixed
