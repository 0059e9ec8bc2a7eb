"""Networks: their weights, their inference and their training.

Nothing here sends anything anywhere. Some runtimes report their use when they are imported; they
are told not to here, because every module of the product imports this package before a runtime.
`models.detector.network` does the same for ultralytics.
"""

import os
import sys
from typing import cast

from models import threads

# before torch and BLAS are loaded, and before ultralytics sets it to 1
os.environ.setdefault("OMP_NUM_THREADS", str(threads.available()))
# onnxruntime looks up a host of its vendor, and keeps a device id in the user's cache folder
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# `import openvino` sends an event unless this package is missing; then it takes its own stub
cast(dict[str, object], sys.modules).setdefault("openvino_telemetry", None)
