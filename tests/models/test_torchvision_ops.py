"""torchvision can be imported, whatever it was compiled against, and suppresses as it should."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.torchvision_ops import declare, nms

ROOT = Path(__file__).parent.parent.parent
side = st.integers(0, 12)  # few values: equal boxes, touching boxes and equal scores come up
box = st.tuples(side, side, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
scored = st.tuples(box, st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))


def brute_force(
    boxes: list[tuple[int, ...]], scores: list[float], iou_threshold: float
) -> list[int]:
    def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
        shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(
            min(a[3], b[3]) - max(a[1], b[1]), 0
        )
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
        return shared / union if union else 0

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[j]) <= iou_threshold for j in kept):
            kept.append(i)
    return kept


@settings(max_examples=200)
@given(st.lists(scored, max_size=40), st.sampled_from([0.0, 0.3, 0.45, 0.7, 1.0]))
def test_nms_keeps_what_the_definition_keeps(
    rows: list[tuple[tuple[int, ...], float]], iou_threshold: float
) -> None:
    boxes, scores = [box for box, _ in rows], [score for _, score in rows]
    kept = nms(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(scores), iou_threshold
    )
    assert kept.dtype == torch.int64
    assert kept.tolist() == brute_force(boxes, scores, iou_threshold)


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "import torchvision, models.torchvision_ops; "])
def test_torchvision_imports_in_a_fresh_process_and_installing_again_is_harmless(
    first: str,
) -> None:
    if first and declare():
        pytest.skip("torchvision cannot be imported on its own here")
    code = (
        f"{first}import models.torchvision_ops as ops, torch, torchvision\n"
        "again = ops.declare(), ops.declare()\n"
        "ops.complete()\n"
        "boxes = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])\n"
        "kept = torchvision.ops.nms(boxes, torch.tensor([.5, .9, .1]), 0.5)\n"
        "print(again[0] == again[1], kept.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True [1, 2]"), done.stderr
