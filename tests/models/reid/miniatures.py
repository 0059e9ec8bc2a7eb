"""Data sets of a few drawn people, in the exact layouts of the real ones: what loaders read and
small networks learn from.

Every function writes below `root`, which then is what holds the data set's own folder, and returns
that folder. A person has colours of their own in all pictures; cameras differ in light, and
pictures in noise and position.
"""

import colorsys
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import savemat

Array = np.ndarray[Any, Any]
HEIGHT_PX, WIDTH_PX = 64, 32


def picture(
    person: int,
    camera: int,
    rng: np.random.Generator,
    height_px: int = HEIGHT_PX,
    width_px: int = WIDTH_PX,
) -> Array:
    """A person (h, w, 3) uint8 BGR: head, shirt and trousers before a background that is the
    camera's.
    """
    image = np.full((height_px, width_px, 3), 70 + 40 * (camera % 4), np.float64)
    left, top = (round(size * rng.uniform(0.1, 0.25)) for size in (width_px, height_px))
    right, bottom = width_px - left, height_px - top // 3
    neck, waist = (top + int((bottom - top) * part) for part in (0.15, 0.55))
    image[top:neck, width_px // 2 - width_px // 8 : width_px // 2 + width_px // 8] = (140, 170, 210)
    image[neck:waist, left:right] = _colour(0.618 * person)
    image[waist:bottom, left:right] = _colour(0.382 * person + 0.45)
    image = image * (1 - 0.12 * (camera % 4)) + rng.normal(0, 6, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def write(path: Path, person: int, camera: int, rng: np.random.Generator) -> None:
    """One picture as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(person, camera, rng))


def market(
    root: Path,
    n_train_people: int = 6,
    n_test_people: int = 4,
    n_cameras: int = 3,
    n_images: int = 2,
    n_distractors: int = 2,
    n_junk: int = 3,
    seed: int = 0,
) -> Path:
    """Market-1501: `n_images` of each person and camera; in the test one more, the query. Train ids
    are even, test ids odd.
    """
    here = root / "Market-1501-v15.09.15"
    rng = np.random.default_rng(seed)

    def name(person: int, camera: int, k: int) -> str:
        number = f"{person:04d}" if person >= 0 else "-1"
        frame = 1000 + 40 * max(person, 0) + 300 * camera + 25 * k
        return f"{number}_c{camera + 1}s{1 + k % 2}_{frame:06d}_{k:02d}.jpg"

    for camera in range(n_cameras):
        for k in range(n_images + 1):
            for i in range(n_train_people if k else 0):
                write(
                    here / "bounding_box_train" / name(2 * i + 2, camera, k), 2 * i + 2, camera, rng
                )
            for i in range(n_test_people):
                write(
                    here / ("bounding_box_test" if k else "query") / name(2 * i + 1, camera, k),
                    2 * i + 1,
                    camera,
                    rng,
                )
                write(here / "gt_bbox" / name(2 * i + 1, camera, k), 2 * i + 1, camera, rng)
    for i in range(n_distractors):
        write(here / "bounding_box_test" / name(0, i % n_cameras, i), 100 + i, i % n_cameras, rng)
        write(here / "images" / name(0, i % n_cameras, 50 + i), 200 + i, i % n_cameras, rng)
    for i in range(n_junk):
        write(here / "bounding_box_test" / name(-1, i % n_cameras, i), 300 + i, i % n_cameras, rng)
    return here


def dukemtmc(
    root: Path,
    n_train_people: int = 6,
    n_test_people: int = 4,
    n_cameras: int = 3,
    n_images: int = 2,
    seed: int = 0,
) -> Path:
    """DukeMTMC-reID: as Market-1501's, and one distractor with an id of its own."""
    here = root / "DukeMTMC-reID"
    rng = np.random.default_rng(seed)
    for camera in range(n_cameras):
        for k in range(n_images + 1):
            for i in range(n_train_people + n_test_people):
                role = (
                    "bounding_box_train"
                    if i < n_train_people
                    else "bounding_box_test"
                    if k
                    else "query"
                )
                if k or role != "bounding_box_train":
                    write(
                        here
                        / role
                        / f"{i + 1:04d}_c{camera + 1}_f{46000 + 40 * i + 25 * k:07d}.jpg",
                        i + 1,
                        camera,
                        rng,
                    )
    write(here / "bounding_box_test" / "7000_c8_f0000100.jpg", 99, 3, rng)
    return here


def msmt17(
    root: Path, n_train_people: int = 4, n_test_people: int = 3, version: str = "V1", seed: int = 0
) -> Path:
    """MSMT17: two cameras, of each three images in train, one in val, two in the gallery and one
    query; people from 0.
    """
    here = root / f"MSMT17_{version}"
    train, test = ("train", "test") if version == "V1" else ("mask_train_v2", "mask_test_v2")
    rng = np.random.default_rng(seed)
    lists: dict[str, list[str]] = {"train": [], "val": [], "query": [], "gallery": []}
    roles = (("train", "train", "train", "val"), ("query", "gallery", "gallery"))
    for folder, n_people, kinds in zip(
        (train, test), (n_train_people, n_test_people), roles, strict=True
    ):
        for person in range(n_people):
            for camera in (0, 14):
                for k, role in enumerate(kinds):
                    stem = f"{person:04d}_{k:03d}_{camera + 1:02d}_0303morning_{k:04d}_{camera}"
                    name = f"{person:04d}/{stem}.jpg"
                    write(here / folder / name, person + (50 if folder == test else 0), camera, rng)
                    lists[role].append(f"{name} {person}\n")
    for role, lines in lists.items():
        (here / f"list_{role}.txt").write_text("".join(lines), encoding="utf-8")
    return here


def cuhk03(
    root: Path, n_people: Sequence[int] = (4, 2), n_test_people: int = 2, seed: int = 0
) -> Path:
    """CUHK03, unpacked: pairs of so many people; the last ones of the first pair are the test of
    the new protocol.

    Split k of the classic one tests with `n_test_people` of the first pair from number k on.
    """
    here = root / "cuhk03"
    rng = np.random.default_rng(seed)
    people = [(pair + 1, number + 1) for pair, n in enumerate(n_people) for number in range(n)]
    for labels in ("labeled", "detected"):
        names, ids = [], []
        for label, (pair, number) in enumerate(people, start=1):
            for i in (0, 1, 5, 6) if labels == "labeled" else (0, 1, 5, 6, 7):
                names.append(f"{pair}_{number:03d}_{1 + i // 5}_{i + 1:02d}.png")
                ids.append(label)
                write(here / f"images_{labels}" / names[-1], label, i // 5, rng)
        test = set(range(n_people[0] - n_test_people + 1, n_people[0] + 1))
        asks = [i for i, name in enumerate(names) if ids[i] in test and name[8:10] in ("01", "06")]
        rows = {
            "train_idx": [i for i in range(len(names)) if ids[i] not in test],
            "query_idx": asks,
            "gallery_idx": [i for i in range(len(names)) if ids[i] in test and i not in asks],
        }
        cells = np.array(names, dtype=object)[:, None]
        columns = {key: np.array(values)[:, None] + 1.0 for key, values in rows.items()}
        config = {"filelist": cells, "labels": np.array(ids, np.uint16)[:, None], **columns}
        savemat(here / f"cuhk03_new_protocol_config_{labels}.mat", config)
    testsets = [
        [[1, (split + i) % n_people[0] + 1] for i in range(n_test_people)] for split in range(20)
    ]
    (here / "testsets.json").write_text(json.dumps(testsets), encoding="utf-8")
    return here


def mars(
    root: Path,
    n_train_people: int = 6,
    n_test_people: int = 4,
    n_cameras: int = 2,
    n_tracklets: int = 2,
    n_frames: int = 4,
    seed: int = 0,
) -> Path:
    """MARS: so many tracklets of each person and camera; the first is the query. One more
    distractor and one junk tracklet.

    The last test person has one tracklet in the first and one in the last camera: queries without
    an answer when queries leave the gallery.
    """
    here = root / "mars"
    rng = np.random.default_rng(seed)
    seen = [(camera, k) for camera in range(n_cameras) for k in range(n_tracklets)]
    train = [(2 * i + 1, *where) for i in range(n_train_people) for where in seen]
    test = [
        (-1, 0, 0),
        (0, 0, 0),
        *((2 * i + 2, *where) for i in range(n_test_people - 1) for where in seen),
    ]
    test += [(2 * n_test_people, camera, 0) for camera in (0, n_cameras - 1)]
    _mars_part(here, "train", train, n_frames, rng)
    _mars_part(here, "test", test, n_frames, rng)
    asks = [i + 1 for i, (person, _, k) in enumerate(test) if person > 0 and k == 0]
    savemat(here / "info" / "query_IDX.mat", {"query_IDX": np.array([asks], np.uint16)})
    return here


def _mars_part(
    here: Path,
    part: str,
    tracklets: list[tuple[int, int, int]],
    n_frames: int,
    rng: np.random.Generator,
) -> None:
    names: list[str] = []
    rows = []
    for person, camera, k in tracklets:
        first = len(names) + 1
        number = f"{person:04d}" if person >= 0 else "00-1"
        names += [
            f"{number}C{camera + 1}T{k + 1:04d}F{frame + 1:03d}.jpg" for frame in range(n_frames)
        ]
        rows.append((first, len(names), person, camera + 1))
        for name in names[first - 1 :]:
            write(here / f"bbox_{part}" / number / name, person + 400, camera, rng)
    info = here / "info"
    info.mkdir(exist_ok=True)
    (info / f"{part}_name.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    savemat(info / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(rows, np.int32)})


def ilids_vid(root: Path, n_people: int = 8, n_frames: int = 4, seed: int = 0) -> Path:
    """iLIDS-VID: folders person001, person003...; split k is a permutation of its own."""
    here = root / "ilids-vid"
    rng = np.random.default_rng(seed)
    for camera in (0, 1):
        for i in range(n_people):
            folder = here / f"i-LIDS-VID/sequences/cam{camera + 1}/person{2 * i + 1:03d}"
            for frame in range(n_frames):
                write(
                    folder / f"cam{camera + 1}_person{2 * i + 1:03d}_{317 + frame:05d}.png",
                    i,
                    camera,
                    rng,
                )
    splits = here / "train-test people splits"
    splits.mkdir()
    rows = np.stack([rng.permutation(n_people) + 1 for _ in range(10)]).astype(np.uint16)
    savemat(splits / "train_test_splits_ilidsvid.mat", {"ls_set": rows})
    return here


def prid2011(
    root: Path,
    numbers: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8, 9),
    n_frames: int = 4,
    seed: int = 0,
) -> Path:
    """PRID 2011: these people in both cameras (6 has too few frames officially), and two in one
    camera only.
    """
    here = root / "prid_2011"
    rng = np.random.default_rng(seed)
    for camera, letter in enumerate("ab"):
        for number in (*numbers, 300 + camera):
            for frame in range(n_frames):
                write(
                    here / f"multi_shot/cam_{letter}/person_{number:04d}/{frame + 1:04d}.png",
                    number,
                    camera,
                    rng,
                )
    return here


def dukemtmc_video(
    root: Path, n_train_people: int = 6, n_test_people: int = 4, n_frames: int = 4, seed: int = 0
) -> Path:
    """DukeMTMC-VideoReID: a tracklet in each of two cameras, the first also as the query, and a
    distractor in the gallery.
    """
    here = root / "DukeMTMC-VideoReID"
    rng = np.random.default_rng(seed)
    for i in range(n_train_people + n_test_people + 1):
        distractor = i == n_train_people + n_test_people
        for camera in (1, 5):
            roles = (
                ["train"]
                if i < n_train_people
                else ["gallery"]
                if camera == 5 or distractor
                else ["gallery", "query"]
            )
            for role in roles:
                for frame in range(n_frames):
                    name = (
                        f"{i + 1:04d}_C{camera + 1}_F{frame + 1:04d}_X{30823 + 100 * i + frame}.jpg"
                    )
                    write(here / role / f"{i + 1:04d}" / f"{camera + 1:04d}" / name, i, camera, rng)
    return here


def folder(
    root: Path,
    n_people: int = 6,
    n_cameras: int = 2,
    n_frames: int = 4,
    first_person: int = 0,
    seed: int = 0,
    timed: bool = True,
) -> Path:
    """A user's people: person/camera/frame.jpg, frames numbered without leading zeros; where they
    are not timed, the numbers are no frame numbers.
    """
    rng = np.random.default_rng(seed)
    for i in range(first_person, first_person + n_people):
        for camera in range(n_cameras):
            for frame in range(n_frames):
                number = 95 + 300 * camera + 40 * i + 5 * frame
                name = f"{number}.jpg" if timed else f"picture {number}.jpg"
                write(root / f"person {i + 1}" / f"door {camera + 1}" / name, i, camera, rng)
    return root


def pair_folder(
    root: Path, n_train_people: int = 4, n_val_people: int = 3, n_images: int = 2, seed: int = 0
) -> Path:
    """Two cameras by name: train/ and val/ with IIII_NN.jpg; people of both count from 0 and are
    others.
    """
    rng = np.random.default_rng(seed)
    for role, n_people, others in (
        ("train", n_train_people, 0),
        ("val", n_val_people, n_train_people),
    ):
        for i in range(n_people):
            for k in (*range(n_images), *range(5, 5 + n_images)):
                write(root / role / f"{i:04d}_{k:02d}.jpg", i + others, k // 5, rng)
    return root


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "market1501": market,
    "dukemtmc": dukemtmc,
    "msmt17": msmt17,
    "cuhk03": cuhk03,
    "mars": mars,
    "ilids_vid": ilids_vid,
    "prid2011": prid2011,
    "dukemtmc_video": dukemtmc_video,
}
"""The published data sets, by the names of the catalogue."""


def _colour(hue: float) -> Array:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, 0.85, 0.9)
    return np.array([blue, green, red]) * 255
