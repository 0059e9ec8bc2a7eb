"""Make torchvision importable when its compiled operators cannot be loaded.

Import this module before `torchvision` or `ultralytics`, anywhere, and call `complete` before
torchvision's operators are used. A CPU build of torch beside a
torchvision that was compiled against CUDA (or any other mix of the two) fails on import with
`operator torchvision::nms does not exist`, because torchvision registers fake kernels for operators
that its library never declared. When the library loads, this module does nothing. When it does not,
it declares the two missing schemas and gives `nms` a kernel written in torch, which is all that the
image models, the transforms and YOLO's prediction, training and validation use.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch

_library: Any = None  # kept alive: dropping it would remove the operators again


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression, the contract of `torchvision.ops.nms`.

    boxes (N, 4) x1 y1 x2 y2, scores (N,); returns the kept indices, int64, by descending score. A
    box is dropped when its IoU with a kept box is greater than `iou_threshold`.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    boxes = boxes[order].float()
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    keep = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for i in range(len(boxes)):
        if not keep[i]:
            continue
        rest = boxes[i + 1 :]
        wh = (
            torch.minimum(boxes[i, 2:], rest[:, 2:]) - torch.maximum(boxes[i, :2], rest[:, :2])
        ).clamp(min=0)
        overlap = wh[:, 0] * wh[:, 1]
        keep[i + 1 :] &= overlap <= iou_threshold * (area[i] + area[i + 1 :] - overlap)
    return order[keep]


def _library_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True  # not installed: the import itself will say so
    for path in Path(spec.submodule_search_locations[0]).glob("_C.*"):
        try:
            torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]
        except OSError:
            return False
        return True
    return False


def declare() -> bool:
    """Declare the missing operators if they are missing, so that torchvision can be imported;
    returns whether that was needed. Safe to call twice.
    """
    global _library  # noqa: PLW0603 - one process, one operator table
    if _library is not None:
        return True
    if "torchvision" in sys.modules or _library_loads():
        return False
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for key in ("CPU", "CUDA"):
        library.impl("nms", nms, key)
    _library = library
    return True


def complete() -> None:
    """Let torchvision use its operators; to be called after it has been imported, by whoever may
    have done that, since the import takes a second that most runs can do without.
    """
    extension = sys.modules.get("torchvision.extension")
    if _library is not None and extension is not None:
        extension._has_ops = lambda: True  # type: ignore[attr-defined]


declare()
