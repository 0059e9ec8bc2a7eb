"""Runs an exported network: pictures in, numbers out, the same numbers in any batch.

Networks are run in calls of a fixed number of pictures, so that what is computed for one does not
depend on the others. Threads are as many as torch has, which OMP_NUM_THREADS limits.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models import device as devices
from models.runtimes import openvino_package

Array = NDArray[Any]
Run = Callable[[Array], Array]
"""Pictures (n, height, width, 3) uint8 BGR -> (n, ...) float32."""

MAX_COMPILED = 8
"""Picture sizes that are kept compiled; a camera has one."""
OPENVINO_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""Of what is not in 8 bits."""


class OpenVinoRunner:
    """An exported network on OpenVINO's CPU device.

    Pictures of one call are computed at the same time, on a thread each; a single one on all
    threads. Both give the same numbers.
    """

    def __init__(self, data: bytes, precision: str, batch: int) -> None:
        """Read the network.

        Args:
            data: Contents of an .onnx file.
            precision: "float32", "bfloat16" or "int8". In "int8", the file says what is computed in
                8 bits, and the rest is computed in the fast precision of the CPU.
            batch: Number of pictures that the network takes.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: The file is damaged.
        """
        self._openvino = openvino_package.load()
        self._core = openvino_package.core()
        self._data = data
        if precision == "int8":
            is_fast = devices.fast_dtype(torch.device("cpu")) == torch.bfloat16
            precision = "bfloat16" if is_fast else "float32"
        self._precision = OPENVINO_PRECISIONS[precision]
        self._batch = batch
        self._core.read_model(data, b"")  # says now whether the file is damaged
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def __call__(self, pictures: Array) -> Array:
        """See `Run`."""
        calls = _calls(pictures, self._batch)
        queue = self._queue(calls[0].shape, min(len(calls), torch.get_num_threads()))
        answers: dict[int, Array] = {}

        def keep(request: Any, number: int) -> None:
            answers[number] = request.get_output_tensor(0).data.copy()

        queue.set_callback(keep)
        for number, call in enumerate(calls):
            queue.start_async([call], number, share_inputs=True)
        queue.wait_all()
        return np.concatenate([answers[i] for i in range(len(calls))])[: len(pictures)]

    def _queue(self, shape: tuple[int, ...], n_streams: int) -> Any:
        """Requests of the network, compiled for pictures of this shape."""
        key = (*shape, n_streams)
        if key not in self._compiled:
            model = self._core.read_model(self._data, b"")
            model.reshape(list(shape))
            settings = {
                "INFERENCE_PRECISION_HINT": self._precision,
                "NUM_STREAMS": n_streams,
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "ENABLE_CPU_PINNING": False,
            }
            compiled = self._core.compile_model(model, "CPU", settings)
            self._compiled[key] = self._openvino.AsyncInferQueue(compiled, n_streams)
            if len(self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]


class OnnxRunner:
    """An exported network on onnxruntime's CPU provider, in float32."""

    def __init__(self, data: bytes, batch: int) -> None:
        """Read the network.

        Args:
            data: Contents of an .onnx file.
            batch: Number of pictures that the network takes.

        Raises:
            Exception: The file is damaged; onnxruntime's errors have no class in common.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._batch = batch

    def __call__(self, pictures: Array) -> Array:
        """See `Run`."""
        answers = [
            np.asarray(self._session.run(None, {self._input: call})[0])
            for call in _calls(pictures, self._batch)
        ]
        return np.concatenate(answers)[: len(pictures)]


def _calls(pictures: Array, batch: int) -> list[Array]:
    """Parts of `batch` pictures; the last one is filled up with its last picture."""
    calls = [pictures[start : start + batch] for start in range(0, len(pictures), batch)]
    missing = batch - len(calls[-1])
    if missing:
        calls[-1] = np.concatenate([calls[-1], np.repeat(calls[-1][-1:], missing, axis=0)])
    return [np.ascontiguousarray(call) for call in calls]
