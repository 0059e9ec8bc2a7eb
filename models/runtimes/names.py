"""Names of runtimes and precisions as the settings have them; importing this loads no runtime."""

from typing import Literal

RuntimeName = Literal["auto", "torch", "openvino", "onnxruntime"]
PrecisionName = Literal["auto", "float32", "bfloat16"]
