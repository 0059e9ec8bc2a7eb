"""The teacher of a distillation: its features of all training pictures, computed once and kept in a
folder.

They are of the plain picture and its mirror image together, and the student meets them whatever was
done to its view of the picture; so nothing depends on the draws, and another run, size or network
on the same pictures finds them in the cache.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.reid import encoder
from models.reid.data.samples import Sample
from models.reid.encoder import Encoder
from models.reid.evaluation import distances
from models.reid.evaluation.distances import Array
from models.reid.evaluation.features import Reading, cached, extract, weights_digest
from models.reid.settings import Settings
from models.weights import find

FOLDER = "teacher"


def load(settings: Settings) -> Encoder | None:
    """Open losses.teacher.weights; None where there is no teacher. Raises InputError."""
    teacher = settings.losses.teacher
    return (
        encoder.load(teacher.weights, settings.train.device, 32, teacher.convention)
        if teacher.weights
        else None
    )


def features(
    teacher: Encoder, settings: Settings, samples: Sequence[Sample], output: Path
) -> Tensor:
    """Unit features (n, D) of the samples, from the cache or computed and kept there; raises
    InputError.
    """
    given = settings.losses.teacher
    folder = Path(given.cache).expanduser() if given.cache else output / FOLDER
    key = {"teacher": weights_digest(find(given.weights)), "convention": given.convention}

    def make(parts: Path | None) -> Array:
        return extract(teacher, samples, Reading(flip=True), progress=True, parts=parts)

    made, _ = cached(folder, key, samples, make)
    return torch.from_numpy(distances.normalise(made))
