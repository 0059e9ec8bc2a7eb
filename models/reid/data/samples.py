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
"""person_id of boxes that count neither for nor against.

They are dropped on load, and counted in `Dataset.n_junk`.
"""
DISTRACTOR = 0
"""person_id of gallery people of Market-1501 and MARS who are nobody's answer.

MSMT17 has an ordinary person 0, so nothing may treat the number specially. Nothing needs to: no
query of Market-1501 and MARS asks for 0.
"""
UNLABELLED = -2
"""person_id of training pictures without labels; only a teacher's losses learn from them."""


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
    roles = {"train": dataset.train, "query": dataset.query, "gallery": dataset.gallery}
    found = {}
    for role, samples in roles.items():
        found[f"{role} people"] = len({s.person_id for s in samples})
        found[f"{role} {kind}"] = len(samples)
    found[f"junk {kind}"] = dataset.n_junk
    return found


def check_counts(where: Path, found: dict[str, int], expected: dict[str, int]) -> None:
    """Check that a data set is complete.

    Args:
        where: Its folder.
        found: Counts by name, as `counts` gives them.
        expected: What they should be; counts that are not in it may have any value.

    Raises:
        InputError: Some counts are others; it names all of them.
    """
    wrong = []
    for name, n_expected in expected.items():
        if found[name] != n_expected:
            wrong.append(f"{name} {found[name]} (expected {n_expected})")
    if wrong:
        raise InputError(
            f"{where}: is not the complete data set: found {', '.join(wrong)}; unpack it again, or"
            " set data.options.any_counts"
        )


def ask_first_camera(samples: Sequence[Sample]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split samples into query and gallery.

    What a person's first camera saw is the query, the rest the gallery. A person seen by one camera
    only is a distractor.

    Args:
        samples: Labelled samples.

    Returns:
        Query and gallery, each in the order of the samples.
    """
    cameras = _cameras_by_person(samples)
    query: list[Sample] = []
    gallery: list[Sample] = []
    for sample in samples:
        seen = cameras[sample.person_id]
        asks = len(seen) > 1 and sample.camera == min(seen)
        side = query if asks else gallery
        side.append(sample)
    return tuple(query), tuple(gallery)


def _cameras_by_person(samples: Sequence[Sample]) -> dict[int, set[int]]:
    cameras: dict[int, set[int]] = {}
    for sample in samples:
        cameras.setdefault(sample.person_id, set()).add(sample.camera)
    return cameras


def hold_out(
    dataset: Dataset,
    fraction: float,
    seed: int,
    people: Sequence[int] = (),
    pool: Sequence[int] = (),
) -> Dataset:
    """Split the training people into training and validation people.

    So model selection never sees query or gallery of the data set. For each validation person and
    each of their cameras one sample, drawn at random, is a query and the rest gallery. A camera
    with a single sample gives it to the gallery, unless all cameras of the person have one: then
    the first asks for the others. So every query has an answer in another camera.

    Args:
        dataset: Its query and gallery are not used.
        fraction: Share of the training people to hold out, 0..1; at least 2 people, drawn among
            those seen by two cameras or more.
        seed: Of the draws.
        people: Whom to hold out, by their numbers; () draws them.
        pool: The numbers of those to draw from; () all. With `people` it adds to them until
            `fraction` is held out.

    Returns:
        The data set with the other people as training people, relabelled.

    Raises:
        InputError: Too few people are seen by two cameras, or one of `people` or `pool` is not.
    """
    labelled = [sample for sample in dataset.train if sample.person_id != UNLABELLED]
    cameras = _cameras_by_person(labelled)
    eligible = sorted(person for person, seen in cameras.items() if len(seen) > 1)
    for key, numbers in (("held_out", people), ("held_out_pool", pool)):
        if unseen := sorted(set(numbers) - set(eligible)):
            raise InputError(
                f"data.{key}: person {unseen[0]} of {dataset.root} is not seen by two cameras, or"
                f" is not there; numbers go from 0 to {max(cameras, default=0)}"
            )
    named = set(people)
    n_drawn = 0
    if pool or not named:
        n_drawn = max(max(2, round(fraction * len(cameras))) - len(named), 0)
    n_held = len(named) + n_drawn
    candidates = sorted(set(pool) - named) if pool else eligible
    if pool and n_drawn > len(candidates):
        raise InputError(
            f"data.held_out_pool: {n_drawn} people are to be drawn from {len(candidates)}; give"
            " more, or lower data.validation"
        )
    if n_held > len(eligible) or n_held >= len(cameras):
        raise InputError(
            f"{dataset.root}: {n_held} people cannot be held out for validation: {len(eligible)} of"
            f" {len(cameras)} are seen by two cameras; give more people or set data.validation to 0"
        )
    rng = np.random.default_rng([seed, 0])
    order = rng.permutation(len(candidates))
    held = named | {candidates[i] for i in order[:n_drawn]}
    validation = [sample for sample in labelled if sample.person_id in held]
    query, gallery = _draw_queries(validation, rng)
    return replace(
        dataset,
        name=f"{dataset.name} held out",
        train=relabel([s for s in dataset.train if s.person_id not in held]),
        query=tuple(query),
        gallery=tuple(gallery),
    )


def _draw_queries(
    samples: Sequence[Sample], rng: np.random.Generator
) -> tuple[list[Sample], list[Sample]]:
    """Query and gallery of the people to validate with, as `hold_out` says."""
    groups: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.person_id, sample.camera), []).append(sample)
    has_more = {person for (person, _), group in groups.items() if len(group) > 1}
    cameras = _cameras_by_person(samples)
    query: list[Sample] = []
    gallery: list[Sample] = []
    for person, camera in sorted(groups):
        group = groups[person, camera]
        is_first_of_singles = person not in has_more and camera == min(cameras[person])
        if len(group) > 1 or is_first_of_singles:
            chosen = int(rng.integers(len(group)))
            query.append(group[chosen])
            gallery += group[:chosen] + group[chosen + 1 :]
        else:
            gallery += group
    return query, gallery


def train_also_on(dataset: Dataset, further: Sequence[Dataset]) -> Dataset:
    """Add the training samples of other data sets, as other people in other cameras.

    Args:
        dataset: Keeps its query and gallery.
        further: Data sets whose training samples are added.

    Returns:
        The data set with all training samples.

    Raises:
        InputError: One holds tracklets and another images.
    """
    if not further:
        return dataset
    train = list(dataset.train)
    n_people = dataset.n_train_people
    for source, other in enumerate(further, 1):
        if other.video != dataset.video:
            kind = "tracklets" if other.video else "images"
            raise InputError(f"{other.root}: holds {kind}, and {dataset.root} does not")
        n_cameras = 1 + max((s.camera for s in train), default=-1)
        for sample in other.train:
            train.append(_moved(sample, n_people, n_cameras, source))
        n_people += other.n_train_people
    further_names = [other.name for other in further]
    name = " + ".join([dataset.name, *further_names])
    return replace(dataset, name=name, train=tuple(train))


def _moved(sample: Sample, n_people: int, n_cameras: int, source: int) -> Sample:
    """The sample behind `n_people` other people and `n_cameras` other cameras."""
    labelled = sample.person_id != UNLABELLED
    person_id = n_people + sample.person_id if labelled else UNLABELLED
    return replace(sample, person_id=person_id, camera=n_cameras + sample.camera, source=source)
