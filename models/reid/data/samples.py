"""What every ReID data set becomes: samples, in the roles train, query and gallery.

A sample is what one retrieval item is: an image, or a tracklet of images. Data sets differ in their
folders and agree here, so nothing after this module knows which data set it works on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np

from models.errors import InputError

JUNK = -1
"""person_id of boxes that count neither for nor against; they are dropped on load, and counted in
`Dataset.n_junk`.
"""
DISTRACTOR = 0
"""person_id of gallery people of Market-1501 and MARS who are nobody's answer. MSMT17 has an
ordinary person 0: nothing may treat the number specially, and nothing needs to, as no query of the
former two asks for 0.
"""


UNLABELLED = -2
"""person_id of training pictures of which nobody knows whom they show: only a teacher's losses
learn from them.
"""


@dataclass(frozen=True, slots=True)
class Frames(Sequence[Path]):
    """Paths of images in one folder, made when asked for.

    MARS's 1.2 million images load in 0.9 s and 0.1 GB so; with all paths made at once in 18 s and
    0.5 GB.
    """

    folder: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> "Frames": ...
    def __getitem__(self, index: int | slice) -> "Path | Frames":
        if isinstance(index, slice):
            return Frames(self.folder, self.names[index])
        return self.folder / self.names[index]


@dataclass(frozen=True)
class Sample:
    """One image or one tracklet of one person in one camera.

    paths: the frames in time order, as a tuple or `Frames`. person_id: as the data set names it, in
    query and gallery; 0..C-1 in train, UNLABELLED there where nobody knows. camera: 0-based. frame:
    frame number of the first image on its camera's clock, -1 where the data set has none. source:
    number of the data set among those of a training.
    """

    paths: Sequence[Path]
    person_id: int
    camera: int
    frame: int = -1
    source: int = 0


@dataclass(frozen=True)
class Dataset:
    """Samples of a data set under one protocol."""

    name: str
    root: Path
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    video: bool
    n_junk: int = 0

    @property
    def n_train_people(self) -> int:
        """How many classes training has."""
        return len({s.person_id for s in self.train if s.person_id != UNLABELLED})


def relabel(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Samples with person ids 0..C-1, in the order of the ids they had; unlabelled ones stay so."""
    people = {s.person_id for s in samples if s.person_id != UNLABELLED}
    label = {person: i for i, person in enumerate(sorted(people))}
    label[UNLABELLED] = UNLABELLED
    return tuple(replace(s, person_id=label[s.person_id]) for s in samples)


def counts(dataset: Dataset) -> dict[str, int]:
    """How large the data set is: people, and images or tracklets, of each role; and junk."""
    kind = "tracklets" if dataset.video else "images"
    found = {}
    for role, samples in (
        ("train", dataset.train),
        ("query", dataset.query),
        ("gallery", dataset.gallery),
    ):
        found[f"{role} people"] = len({s.person_id for s in samples})
        found[f"{role} {kind}"] = len(samples)
    return found | {f"junk {kind}": dataset.n_junk}


def check_counts(where: Path, found: dict[str, int], expected: dict[str, int]) -> None:
    """Raise InputError that names the folder and every count that is not as expected; keys missing
    in `expected` are free.
    """
    wrong = [
        f"{name} {found[name]} (expected {n})" for name, n in expected.items() if found[name] != n
    ]
    if wrong:
        raise InputError(
            f"{where}: is not the complete data set: found {', '.join(wrong)}; unpack it again, or"
            " set data.options.any_counts"
        )


def ask_first_camera(samples: Sequence[Sample]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Query and gallery: what a person's first camera saw asks for the rest; who has one camera is
    a distractor.
    """
    cameras: dict[int, set[int]] = {}
    for sample in samples:
        cameras.setdefault(sample.person_id, set()).add(sample.camera)

    def asks(sample: Sample) -> bool:
        seen = cameras[sample.person_id]
        return len(seen) > 1 and sample.camera == min(seen)

    return tuple(s for s in samples if asks(s)), tuple(s for s in samples if not asks(s))


def hold_out(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Training ids split into training and validation people: model selection never sees query or
    gallery of the data set.

    A `fraction` (0..1) of the training people, at least 2 and drawn among those seen by two cameras
    or more, becomes query and gallery: for each of them and each of their cameras one sample, drawn
    at random, is a query and the rest gallery. A camera with a single sample gives it to the
    gallery, unless all cameras of the person have one: then the first asks for the others. So every
    query has an answer in another camera. The rest trains, relabelled.
    """
    cameras: dict[int, set[int]] = {}
    for sample in dataset.train:
        if sample.person_id != UNLABELLED:
            cameras.setdefault(sample.person_id, set()).add(sample.camera)
    eligible = sorted(person for person, seen in cameras.items() if len(seen) > 1)
    n_held = max(2, round(fraction * len(cameras)))
    if n_held > len(eligible) or n_held >= len(cameras):
        raise InputError(
            f"{dataset.root}: {n_held} people cannot be held out for validation: {len(eligible)} of"
            f" {len(cameras)} are seen by two cameras; give more people or set data.validation to 0"
        )
    rng = np.random.default_rng([seed, 0])
    held = {eligible[i] for i in rng.permutation(len(eligible))[:n_held]}
    groups: dict[tuple[int, int], list[Sample]] = {}
    for sample in dataset.train:
        if sample.person_id in held:
            groups.setdefault((sample.person_id, sample.camera), []).append(sample)
    single = {
        person
        for person in held
        if all(len(groups[person, camera]) == 1 for camera in cameras[person])
    }
    query: list[Sample] = []
    gallery: list[Sample] = []
    for (person, camera), group in sorted(groups.items(), key=lambda item: item[0]):
        asks = len(group) > 1 or (person in single and camera == min(cameras[person]))
        chosen = int(rng.integers(len(group))) if asks else -1
        query += [group[chosen]] if asks else []
        gallery += [s for i, s in enumerate(group) if i != chosen]
    train = relabel([s for s in dataset.train if s.person_id not in held])
    return replace(
        dataset,
        name=f"{dataset.name} held out",
        train=train,
        query=tuple(query),
        gallery=tuple(gallery),
    )


def train_also_on(dataset: Dataset, further: Sequence[Dataset]) -> Dataset:
    """`dataset` with the training samples of others behind its own, as other people in other
    cameras; raises InputError.
    """
    if not further:
        return dataset
    train = list(dataset.train)
    n_people = dataset.n_train_people
    for source, other in enumerate(further, 1):
        if other.video != dataset.video:
            raise InputError(
                f"{other.root}: holds {'tracklets' if other.video else 'images'}, and"
                f" {dataset.root} does not"
            )
        n_cameras = 1 + max((s.camera for s in train), default=-1)
        train += [_moved(s, n_people, n_cameras, source) for s in other.train]
        n_people += other.n_train_people
    name = " + ".join([dataset.name, *(other.name for other in further)])
    return replace(dataset, name=name, train=tuple(train))


def _moved(sample: Sample, n_people: int, n_cameras: int, source: int) -> Sample:
    """The sample behind `n_people` other people and `n_cameras` other cameras."""
    labelled = sample.person_id != UNLABELLED
    person_id = n_people + sample.person_id if labelled else UNLABELLED
    return replace(sample, person_id=person_id, camera=n_cameras + sample.camera, source=source)
