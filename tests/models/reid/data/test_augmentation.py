"""What is drawn is what is done, to one frame or to the whole clip."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.reid import preprocess
from models.reid.data.augmentation import augment
from models.reid.settings import AugmentSettings

HEIGHT, WIDTH = 32, 16
OFF = {"flip": 0.0, "crop": "none", "erase": 0.0}
EVERYTHING = {
    "flip": 0.5,
    "jitter": (0.4, 0.4, 0.4),
    "erase": 0.5,
    "erase_fill": "noise",
    "pad_px": 3,
}


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def flat(value: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def changed(
    frames: list[np.ndarray], seed: int = 0, **values: Any
) -> tuple[np.ndarray, np.ndarray]:
    chosen = AugmentSettings.model_validate(OFF | values)
    return augment(frames, chosen, HEIGHT, WIDTH, np.random.default_rng(seed))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=4),
    st.sampled_from(["none", "pad", "translate"]),
    st.booleans(),
)
def test_frames_of_any_size_become_one_clip_and_are_not_written_to(
    shapes: list[tuple[int, int]], crop: str, whole_clip: bool
) -> None:
    frames = [picture(i, *shape) for i, shape in enumerate([*shapes, (HEIGHT, WIDTH)])]
    copies = [frame.copy() for frame in frames]
    clip, erased = changed(frames, **EVERYTHING, crop=crop, whole_clip=whole_clip)
    assert clip.shape == (len(frames), HEIGHT, WIDTH, 3) and clip.dtype == np.uint8
    assert erased.shape == (len(frames),) and erased.dtype == bool
    assert all((frame == copy).all() for frame, copy in zip(frames, copies, strict=True))


def test_with_everything_off_a_frame_is_only_resized() -> None:
    frame = picture(0, 50, 30)
    clip, erased = changed([frame])
    assert (clip[0] == preprocess.resize(frame, HEIGHT, WIDTH)).all() and not erased.any()


def test_the_same_draws_give_the_same_clip_and_others_another() -> None:
    first = changed([picture()], 3, **EVERYTHING, crop="pad")[0]
    assert (first == changed([picture()], 3, **EVERYTHING, crop="pad")[0]).all()
    assert (first != changed([picture()], 4, **EVERYTHING, crop="pad")[0]).any()


@pytest.mark.parametrize(("flip", "outcomes"), [(0, {False}), (1, {True}), (0.5, {False, True})])
def test_a_flip_mirrors_left_and_right_as_often_as_told(flip: float, outcomes: set[bool]) -> None:
    clips = [changed([picture()], seed, flip=flip)[0][0] for seed in range(20)]
    mirrored = [bool((clip == picture()[:, ::-1]).all()) for clip in clips]
    assert set(mirrored) == outcomes
    assert all(m or (clip == picture()).all() for m, clip in zip(mirrored, clips, strict=True))


def test_pad_crops_anywhere_in_the_frame_with_its_black_border() -> None:
    padded = cv2.copyMakeBorder(picture(), 2, 2, 2, 2, cv2.BORDER_CONSTANT)
    windows = {
        padded[y : y + HEIGHT, x : x + WIDTH].tobytes(): (y, x) for y in range(5) for x in range(5)
    }
    found = {
        windows[changed([picture()], seed, crop="pad", pad_px=2)[0].tobytes()]
        for seed in range(200)
    }
    assert len(found) == len(windows) == 25


def test_translate_resizes_or_crops_anywhere_in_the_frame_an_eighth_larger() -> None:
    frame = picture(0, 20, 20)
    large = preprocess.resize(frame, 36, 18)
    windows = {
        large[y : y + HEIGHT, x : x + WIDTH].tobytes(): (y, x) for y in range(5) for x in range(3)
    }
    plain = preprocess.resize(frame, HEIGHT, WIDTH).tobytes()
    outcomes = [changed([frame], seed, crop="translate")[0].tobytes() for seed in range(200)]
    cropped = [windows[clip] for clip in outcomes if clip != plain]
    assert set(cropped) == set(windows.values()) and 70 < len(cropped) < 130


def test_brightness_multiplies_by_a_factor_in_its_range() -> None:
    clips = [changed([flat(100)], seed, jitter=(0.2, 0, 0))[0] for seed in range(60)]
    assert all(clip.min() == clip.max() for clip in clips)
    values = [int(clip.max()) for clip in clips]
    assert 80 <= min(values) < 85 and 115 < max(values) <= 120


def test_contrast_scales_about_the_mean_luminance() -> None:
    frame = np.where(np.arange(WIDTH)[None, :, None] < WIDTH // 2, flat(80), flat(120))
    clips = [changed([frame], seed, jitter=(0, 0.5, 0))[0] for seed in range(40)]
    spreads = [int(clip.max()) - int(clip.min()) for clip in clips]
    assert all(int(clip.max()) + int(clip.min()) == 200 for clip in clips)
    assert 20 <= min(spreads) < 26 and 54 < max(spreads) <= 60


def test_saturation_leaves_grey_alone_and_can_take_all_colour_away() -> None:
    grey = np.repeat(picture()[..., :1], 3, axis=2)
    assert (changed([grey], jitter=(0, 0, 1))[0] == grey).all()
    blue = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    blue[..., 0] = 200
    clips = [changed([blue], seed, jitter=(0, 0, 1))[0] for seed in range(60)]
    chroma = [int(clip[..., 0].max()) - int(clip[..., 1].max()) for clip in clips]
    assert min(chroma) < 20 and max(chroma) > 200  # none at factor 0; above 1 more than there was


def test_colours_stay_in_range_instead_of_wrapping() -> None:
    clips = [changed([flat(250)], seed, jitter=(0.5, 0, 0))[0] for seed in range(20)]
    assert min(clip.min() for clip in clips) >= 124 and max(clip.max() for clip in clips) == 255


@pytest.mark.parametrize("fill", ["mean", "noise", "published"])
def test_a_frame_counts_as_erased_exactly_if_a_box_of_it_was(fill: str) -> None:
    clips = [
        changed([flat(200)] * 6, seed, erase=0.5, erase_fill=fill, whole_clip=False)
        for seed in range(20)
    ]
    for clip, erased in clips:
        for frame, flag in zip(clip, erased, strict=True):
            assert flag == (frame != 200).any()
    flags = np.concatenate([erased for _, erased in clips])
    assert 40 < flags.sum() < 80


def test_an_erased_box_has_the_area_and_aspect_asked_for() -> None:
    areas = []
    for seed in range(200):
        clip, erased = changed(
            [flat(200)], seed, erase=1, erase_area=(0.1, 0.3), erase_aspect=(0.5, 2)
        )
        ys, xs = np.nonzero((clip[0] != 200).any(-1))
        height, width = int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1
        assert erased.all() and len(ys) == height * width  # one full rectangle
        assert 0.4 < height / width < 2.5  # rounded to pixels
        areas.append(height * width / HEIGHT / WIDTH)
    assert 0.07 < min(areas) < 0.13 and 0.25 < max(areas) < 0.34


def test_an_erased_box_can_touch_every_side() -> None:
    clips = [
        changed([flat(200)], seed, erase=1, erase_area=(0.4, 0.4), erase_aspect=(2, 2))[0][0]
        for seed in range(200)
    ]
    erased = np.any([(clip != 200).any(-1) for clip in clips], axis=0)
    assert erased.all()


def test_a_box_that_cannot_fit_is_not_drawn_for_ever_and_not_counted() -> None:
    clip, erased = changed([flat(200)], erase=1, erase_area=(1, 1))
    assert not erased.any() and (clip == 200).all()


@pytest.mark.parametrize(
    ("fill", "expected"), [("mean", (0, 0, 0)), ("published", preprocess.MEAN)]
)
def test_the_fill_is_what_the_network_is_meant_to_see(
    fill: str, expected: tuple[float, float, float]
) -> None:
    clip, _ = changed([flat(0)], erase=1, erase_fill=fill)
    colour = clip[0][clip[0].any(-1)][0]
    seen = preprocess.normalise(
        torch.from_numpy(np.broadcast_to(colour, (1, 1, 1, 3)).copy())
    ).flatten()
    rounding = 0.5 / 255 / np.array(preprocess.STD)
    assert (np.abs(seen.numpy() - expected) <= rounding + 1e-6).all()


def test_noise_differs_from_pixel_to_pixel() -> None:
    clip, _ = changed([flat(200)], erase=1, erase_fill="noise", erase_area=(0.3, 0.4))
    assert len(np.unique(clip[0][(clip[0] != 200).any(-1)], axis=0)) > 50


@pytest.mark.parametrize("crop", ["none", "pad", "translate"])
def test_a_whole_clip_changes_as_one(crop: str) -> None:
    outcomes = [changed([picture()] * 4, seed, **EVERYTHING, crop=crop) for seed in range(30)]
    assert all(
        (clip == clip[:1]).all() and len(set(erased.tolist())) == 1 for clip, erased in outcomes
    )
    assert {bool(erased[0]) for _, erased in outcomes} == {False, True}


@pytest.mark.parametrize(
    "values",
    [
        {"flip": 0.5},
        {"crop": "pad"},
        {"crop": "translate"},
        {"jitter": (0.3, 0, 0)},
        {"erase": 0.5},
    ],
    ids=lambda values: next(iter(values)),
)
def test_frames_change_on_their_own_when_told(values: dict[str, Any]) -> None:
    clip, erased = changed([picture()] * 8, **values, whole_clip=False)
    assert len({frame.tobytes() for frame in clip}) > 1
    assert len(set(erased.tolist())) == (2 if "erase" in values else 1)
