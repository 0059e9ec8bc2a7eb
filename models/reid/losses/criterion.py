"""What training minimises: the weighted sum of the losses that the settings ask for.

    classification + (1 - beta) triplet + center + beta osm + attention + embedding + relation

each times its weight, beta being OSM's; the last two compare with a teacher (see `teacher`).

Losses are computed in float32 at least, also inside autocast: distances are differences of large
numbers, and bfloat16's three digits leave little of them. A loss whose weight is 0 is not computed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from models.errors import InputError
from models.reid.losses.attention import attention
from models.reid.losses.center import CenterLoss, shrink_gradient
from models.reid.losses.classification import cross_entropy
from models.reid.losses.osm import osm
from models.reid.losses.teacher import embedding_loss, relation_loss
from models.reid.losses.triplet import triplet_loss
from models.reid.networks.frames import Outputs
from models.reid.settings import LossSettings


class Criterion(nn.Module):
    """The sum. `widths` are the lengths of the network's training features; the metric losses are
    the mean over them.

    Every feature has centres of its own, drawn with `generator`; they have an optimiser of their
    own (see `center`).
    """

    def __init__(
        self,
        settings: LossSettings,
        n_classes: int,
        widths: Sequence[int],
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.weights = _weights(settings)
        widths = widths if "center" in self.weights else ()
        self.centers = nn.ModuleList(
            CenterLoss(n_classes, width, generator=generator) for width in widths
        )

    def forward(
        self,
        outputs: Outputs,
        targets: Tensor,
        erased: Tensor,
        class_vectors: Tensor | None = None,
        taught: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum to minimise, and every loss by name before its weight, detached.

        `targets` (B,) int64 are the classes of the batch's rows; all rows of `outputs` that belong
        to one are samples of that person. `erased` (B, T) says which frames had a box erased.
        `class_vectors` (C, D) are the classifier's weights, for OSM with losses.osm.vectors:
        classifier. `taught` (B, D) are the teacher's features of the batch's rows. Raises
        InputError if the network lacks what a loss needs.
        """
        with torch.autocast(targets.device.type, enabled=False):
            losses = self._losses(outputs, targets[outputs.owners], erased, class_vectors, taught)
            values = {name: losses[name]() for name in self.weights}
            total = torch.stack(
                [weight * values[name] for name, weight in self.weights.items()]
            ).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def center_parameters(self) -> list[nn.Parameter]:
        """Centres (C, D), one tensor a feature; empty without centre loss."""
        return list(self.centers.parameters())

    def _losses(
        self,
        outputs: Outputs,
        people: Tensor,
        erased: Tensor,
        class_vectors: Tensor | None,
        taught: Tensor | None,
    ) -> dict[str, Callable[[], Tensor]]:
        """How each loss is computed; only those with a weight are."""
        settings = self.settings
        logits = [_precise(branch) for branch in outputs.logits]
        features = [_precise(branch) for branch in outputs.features]

        def classification() -> Tensor:
            chosen = settings.classification
            return cross_entropy(logits, people, chosen.smoothing, chosen.branches)

        def triplet() -> Tensor:
            return _mean(triplet_loss(feature, people, settings.triplet) for feature in features)

        def center() -> Tensor:
            pairs = zip(self.centers, features, strict=True)
            return _mean(loss(feature, people) for loss, feature in pairs)

        def soft_mining() -> Tensor:
            chosen = settings.osm
            losses = []
            vectors = self._class_vectors(features, class_vectors)
            for feature, own_vectors in zip(features, vectors, strict=True):
                precise = own_vectors.to(feature.dtype)
                loss = osm(feature, people, precise, chosen.alpha, chosen.l, chosen.sigma)
                losses.append(loss)
            return _mean(losses)

        def embedding() -> Tensor:
            return _mean(embedding_loss(feature, wanted(feature)) for feature in features)

        def relation() -> Tensor:
            return _mean(relation_loss(feature, wanted(feature)) for feature in features)

        def wanted(feature: Tensor) -> Tensor:
            return _targets(feature, taught)[outputs.owners]

        return {
            "classification": classification,
            "triplet": triplet,
            "center": center,
            "osm": soft_mining,
            "attention": lambda: attention(_scores(outputs, erased), erased),
            "embedding": embedding,
            "relation": relation,
        }

    def _class_vectors(self, features: Sequence[Tensor], given: Tensor | None) -> list[Tensor]:
        if self.settings.osm.vectors == "centers":
            weight = self.settings.center.weight
            return [
                shrink_gradient(cast(CenterLoss, loss).centers, weight) for loss in self.centers
            ]
        if given is None or any(given.shape[1] != x.shape[1] for x in features):
            raise InputError(
                "losses.osm.vectors: classifier needs a classifier that is one linear layer on the"
                " training feature; set it to centers and give losses.center.weight"
            )
        return [given] * len(features)


def _weights(settings: LossSettings) -> dict[str, float]:
    """Weights of the losses that count.

    Raises InputError if nothing does, or if OSM lacks its centres.
    """
    has_teacher = bool(settings.teacher.weights)
    weights = {
        "classification": settings.classification.weight,
        "triplet": (1 - settings.osm.weight) * settings.triplet.weight,
        "center": settings.center.weight,
        "osm": settings.osm.weight,
        "attention": settings.attention,
        "embedding": settings.teacher.embedding if has_teacher else 0,
        "relation": settings.teacher.relation if has_teacher else 0,
    }
    if not any(weights.values()):
        raise InputError(
            "losses: every weight is 0, so nothing would be learned; give one a weight"
        )
    if settings.osm.weight and settings.osm.vectors == "centers" and not settings.center.weight:
        raise InputError("losses.osm.vectors: centers needs losses.center.weight above 0")
    return {name: weight for name, weight in weights.items() if weight}


def _targets(feature: Tensor, taught: Tensor | None) -> Tensor:
    if taught is None or taught.shape[1] != feature.shape[1]:
        width = 0 if taught is None else taught.shape[1]
        raise InputError(
            f"losses.teacher: the teacher's features have {width} values and the network's"
            f" {feature.shape[1]}; set network.options.embed_width to {width}"
        )
    return taught.to(feature.dtype)


def _scores(outputs: Outputs, erased: Tensor) -> Tensor:
    if not outputs.attention.shape[1]:
        raise InputError(
            "losses.attention needs a network with a temporal attention head; set it to 0 or"
            " choose one"
        )
    if outputs.attention.shape != erased.shape:
        raise ValueError(
            f"attention {tuple(outputs.attention.shape)} and erased {tuple(erased.shape)} differ in"
            " shape"
        )
    return _precise(outputs.attention)


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _mean(losses: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(losses)).mean()
