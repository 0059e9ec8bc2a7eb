"""The detection loss with the start model's own answers as targets beside the labels (learning
without forgetting).

Labels of a few hundred pictures pull the network towards their scenes; the start model's answers on
the same pictures, and on all that the labels do not mention, hold it where it was (Li & Hoiem,
arXiv 1606.09282; for detectors Shmelkov et al., arXiv 1708.06977).
"""

from typing import Any

import torch
from torch.nn import functional as F

from models.detector.settings import KeepSettings

START = "start"
"""Where a batch carries the start model's raw answers: `scores` (B, 1, A) logits, `boxes` (B, 4 *
bins, A) logits.
"""


def keeping(network: Any, keep: KeepSettings) -> Any:
    """Ultralytics' criterion for the network, plus `distance` to what the batch carries under
    `START`.
    """
    from ultralytics.utils.loss import v8DetectionLoss

    class Criterion(v8DetectionLoss):  # type: ignore[misc]
        def loss(
            self, answers: dict[str, torch.Tensor], batch: dict[str, Any]
        ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            answers = _whole(answers)
            with torch.autocast(self.device.type, enabled=False):
                total, items = super().loss(answers, batch)
            if START in batch:
                scores, boxes = distance(answers, _whole(batch[START]), self.reg_max)
                kept = torch.stack(
                    [
                        0 * boxes,
                        keep.scores * self.hyp.cls * scores,
                        keep.boxes * self.hyp.dfl * boxes,
                    ]
                )
                total = total + len(batch["img"]) * kept
                items = {**items, "keep_loss": kept.detach().sum()}
            return total, items

    return Criterion(network)


def distance(
    answers: dict[str, torch.Tensor], start: dict[str, torch.Tensor], bins: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far answers are from the start model's: of the scores, and of the boxes where the start
    model sees somebody.

    Both are Kullback-Leibler divergences, summed over the anchors and divided by the sum of the
    start's scores, which is the number of boxes it finds: the scale of ultralytics' own terms. 0
    when the answers are the same.
    """
    sure = start["scores"].sigmoid()
    n_found = sure.sum().clamp(min=1)
    entropy = F.binary_cross_entropy_with_logits(start["scores"], sure, reduction="sum")
    scores = (
        F.binary_cross_entropy_with_logits(answers["scores"], sure, reduction="sum") - entropy
    ) / n_found
    new, old = (_sides(raw["boxes"], bins).log_softmax(2) for raw in (answers, start))
    sides = F.kl_div(new, old, reduction="none", log_target=True).sum(2).mean(1, keepdim=True)
    return scores, (sides * sure).sum() / n_found


def _sides(boxes: torch.Tensor, bins: int) -> torch.Tensor:
    """(B, 4 * bins, A) -> (B, 4, bins, A)."""
    return boxes.reshape(len(boxes), 4, bins, -1)


def _whole(answers: dict[str, Any]) -> dict[str, Any]:
    """Answers in single precision: in half of it, boxes and their overlaps would be rounded to
    several pixels.
    """
    return {
        key: value.float() if isinstance(value, torch.Tensor) else value
        for key, value in answers.items()
    }
