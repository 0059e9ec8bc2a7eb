"""Samples become features: every frame counts once, memory is bounded, and what is known is not
computed again.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from models.errors import InputError
from models.reid import encoder, preprocess
from models.reid.data.loader import read_image
from models.reid.data.samples import Sample
from models.reid.encoder import Array
from models.reid.evaluation import features
from models.reid.evaluation.features import Reading, cached, extract
from models.reid.networks import table
from models.reid.networks.file import Recipe, save

SIZE = (12, 6)
N_FRAMES = [1, 5, 16, 17, 2]


class Halves:
    """Mean of the colours of the left and of the right half over the frames of a clip: what any
    averaging network does.
    """

    width, size, on_cuda = 6, SIZE, False

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def features(
        self, clips: Sequence[Array], quality: Sequence[Array] | None = None, scale: float = 1.0
    ) -> Array:
        assert scale == 1
        self.calls.append([len(clip) for clip in clips])
        assert all(clip.shape[1:] == (*SIZE, 3) and clip.dtype == np.uint8 for clip in clips)
        return np.stack([halves(clip).mean(axis=0) for clip in clips]).astype(np.float32)


def halves(clip: Array) -> Array:
    """(k, h, w, 3) -> (k, 6)."""
    left, right = np.split(clip.astype(np.float64), 2, axis=2)
    return np.concatenate([left.mean(axis=(1, 2)), right.mean(axis=(1, 2))], axis=1)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Tracklets of so many frames, each frame of a size of its own."""
    folder, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    made = []
    for i, n in enumerate(N_FRAMES):
        paths = [folder / f"{i}_{k}.png" for k in range(n)]
        for path in paths:
            assert cv2.imwrite(
                str(path),
                rng.integers(0, 256, (rng.integers(8, 20), rng.integers(8, 20), 3), np.uint8),
            )
        made.append(Sample(tuple(paths), i, 0))
    return made


def frames(sample: Sample) -> Array:
    return np.stack([preprocess.resize(read_image(path), *SIZE) for path in sample.paths])


def unit(rows: Array) -> Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.mark.parametrize("length", [1, 3, 16, 1000])
@pytest.mark.parametrize("group", [1, 2, 64])
def test_a_tracklet_is_the_mean_over_its_frames(
    length: int, group: int, samples: list[Sample]
) -> None:
    found = extract(Halves(), samples, Reading(length=length), group=group)
    assert found.shape == (5, 6) and found.dtype == np.float32
    assert_allclose(found, [halves(frames(sample)).mean(axis=0) for sample in samples], rtol=1e-5)


def test_clips_are_bounded_in_length_and_in_number(samples: list[Sample]) -> None:
    network = Halves()
    extract(network, samples, Reading(length=4), group=3)
    assert max(map(len, network.calls)) == 3
    lengths = [n for call in network.calls for n in call]
    assert (
        max(lengths) <= 4
        and sum(lengths) == sum(N_FRAMES)
        and len(lengths) == sum(-(-n // 4) for n in N_FRAMES)
    )


@pytest.mark.parametrize(
    ("rule", "seen"), [("evenly", [0, 4, 8, 12]), ("begin_interval", [0, 4, 8, 12])]
)
def test_other_rules_see_the_frames_they_name(
    rule: str, seen: list[int], samples: list[Sample]
) -> None:
    found = extract(Halves(), samples[2:3], Reading(rule, 4))  # type: ignore[arg-type]
    assert_allclose(found[0], halves(frames(samples[2])[seen]).mean(axis=0), rtol=1e-5)


def test_flipping_adds_the_unit_features_of_the_mirror_image(samples: list[Sample]) -> None:
    found = extract(Halves(), samples[:1], Reading(flip=True))
    plain = halves(frames(samples[0]))
    mirrored = np.concatenate([plain[:, 3:], plain[:, :3]], axis=1)
    assert_allclose(found, unit(plain) + unit(mirrored), rtol=1e-5)


def test_no_samples_are_no_features() -> None:
    assert extract(Halves(), []).shape == (0, 6)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_image_that_cannot_be_read_is_an_error_that_names_it(
    content: bytes | None, samples: list[Sample], tmp_path: Path
) -> None:
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)
    bad = Sample((*samples[1].paths[:3], path), 9, 0)
    with pytest.raises(InputError, match=f"^{path}: .*data set"):
        extract(Halves(), [*samples, bad, *samples], group=2)


@hypothesis_settings(max_examples=200)
@given(st.integers(1, 500), st.integers(1, 40))
def test_the_default_rule_shows_every_frame_once_in_clips_as_equal_as_can_be(
    n: int, length: int
) -> None:
    clips = features._clips(n, Reading(length=length))
    assert_array_equal(np.concatenate(clips), np.arange(n))
    sizes = {len(clip) for clip in clips}
    assert max(sizes) <= length and max(sizes) - min(sizes) <= 1 and len(clips) == -(-n // length)


def scaled_by_hand(network: torch.nn.Module, crop: Array, scale: float) -> Array:
    """Unit feature of one crop at a scale, in the words of layumi's test: the normalised input is
    resized bicubically by the root of the scale.
    """
    pixels = torch.from_numpy(crop[:, :, ::-1].copy()).permute(2, 0, 1)[None] / 255
    mean = torch.tensor(preprocess.MEAN).view(1, 3, 1, 1)
    std = torch.tensor(preprocess.STD).view(1, 3, 1, 1)
    image = (pixels - mean) / std
    if scale != 1:
        image = torch.nn.functional.interpolate(
            image, scale_factor=scale**0.5, mode="bicubic", align_corners=False
        )
    mask = torch.ones(1, 1, dtype=torch.bool)
    with torch.inference_mode():
        feature = network(image[None], mask, mask.float())[0].numpy()
    return feature / np.linalg.norm(feature)


@pytest.mark.parametrize("flip", [False, True])
def test_scales_add_the_unit_features_of_the_resized_crops(
    flip: bool, samples: list[Sample], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    recipe = Recipe("osnet_x0_25", {}, 64, 32)
    save(table.build(recipe.architecture, recipe.options), recipe, tmp_path / "n.safetensors")
    network = encoder.load(tmp_path / "n.safetensors", "cpu", precision="float32")
    assert isinstance(network, encoder.NetworkEncoder)
    scales = (1.0, 1.1, 1.44)
    found = extract(network, samples[:1], Reading(flip=flip, scales=scales))
    crop = preprocess.resize(read_image(samples[0].paths[0]), 64, 32)
    forms = [crop, crop[:, ::-1]] if flip else [crop]
    wanted = sum(scaled_by_hand(network.network, form, scale) for form in forms for scale in scales)
    assert_allclose(found[0], wanted, atol=2e-5)
    plain = scaled_by_hand(network.network, crop, 1)
    assert np.abs(found[0] / np.linalg.norm(found[0]) - plain).max() > 1e-3


class Counted:
    """Counts how often features were made."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples, self.n_made = samples, 0

    def get(self, folder: Path | None, **key: object) -> tuple[Array, bool]:
        return cached(folder, key, self.samples, self._make)

    def _make(self, parts: Path | None) -> Array:
        self.n_made += 1
        return extract(Halves(), self.samples, parts=parts)


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    paths = [tmp_path / "images" / f"{i}.png" for i in range(3)]
    paths[0].parent.mkdir()
    for i, path in enumerate(paths):
        assert cv2.imwrite(str(path), np.full((9, 9, 3), 10 * i, np.uint8))
    return Counted([Sample((path,), i, 0) for i, path in enumerate(paths)])


def test_known_features_come_from_the_cache(counted: Counted, tmp_path: Path) -> None:
    first, was_there = counted.get(tmp_path / "new" / "cache", weights="a")
    second, is_there = counted.get(tmp_path / "new" / "cache", weights="a")
    assert (was_there, is_there, counted.n_made) == (False, True, 1)
    assert_array_equal(first, second)
    assert second.dtype == np.float32
    assert [path.suffix for path in (tmp_path / "new" / "cache").iterdir()] == [".npy"]


def test_without_a_folder_nothing_is_kept(counted: Counted, tmp_path: Path) -> None:
    assert [counted.get(None, weights="a")[1] for _ in range(2)] == [False, False]
    assert counted.n_made == 2 and [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize("change", ["weights", "reading", "content", "date", "order", "fewer"])
def test_what_features_depend_on_makes_them_anew(
    change: str, counted: Counted, tmp_path: Path
) -> None:
    cache, path = tmp_path / "cache", counted.samples[1].paths[0]
    counted.get(cache, weights="a", reading="all")
    before = path.stat()
    if change == "content":  # of the same date
        path.write_bytes(path.read_bytes() + b"x")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if change == "date":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    if change == "order":
        counted.samples.reverse()
    if change == "fewer":
        counted.samples.pop()
    key = {"weights": "a", "reading": "all"} | (
        {change: "b"} if change in ("weights", "reading") else {}
    )
    assert counted.get(cache, **key)[1] is False
    assert counted.n_made == 2 and len(list(cache.iterdir())) == 2


def test_a_tracklet_is_not_its_frames(counted: Counted, tmp_path: Path) -> None:
    counted.get(tmp_path / "cache", weights="a")
    one = Counted([Sample(tuple(s.paths[0] for s in counted.samples), 0, 0)])
    assert one.get(tmp_path / "cache", weights="a")[0].shape == (1, 6)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY cut short"])
def test_features_cut_short_are_made_again(
    content: bytes, counted: Counted, tmp_path: Path
) -> None:
    expected, _ = counted.get(tmp_path / "cache", weights="a")
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(content)
    again, was_there = counted.get(tmp_path / "cache", weights="a")
    assert not was_there and counted.n_made == 2
    assert_array_equal(again, expected)
    assert counted.get(tmp_path / "cache", weights="a")[1]


def test_a_cache_that_cannot_be_written_is_an_error_before_anything_is_made(
    counted: Counted, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("keep")
    with pytest.raises(InputError, match=f"^{tmp_path / 'file' / 'cache'}: cannot be written"):
        counted.get(tmp_path / "file" / "cache", weights="a")
    assert counted.n_made == 0


def test_an_image_that_is_gone_is_an_error_that_names_it(counted: Counted, tmp_path: Path) -> None:
    path = counted.samples[2].paths[0]
    path.unlink()
    with pytest.raises(InputError, match=f"^{path}: cannot be read"):
        counted.get(tmp_path / "cache", weights="a")


class Interrupted(Halves):
    """A network that is interrupted after so many clips."""

    def __init__(self, n_clips: int) -> None:
        super().__init__()
        self.left = n_clips
        self.n_seen = 0

    def features(self, clips: Sequence[Array], quality: Sequence[Array] | None = None) -> Array:
        if self.left < len(clips):
            raise KeyboardInterrupt
        self.left -= len(clips)
        self.n_seen += len(clips)
        return super().features(clips, quality)


def test_an_interrupted_extraction_goes_on_with_the_parts_that_are_done(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "PIECE_FRAMES", 1)  # a piece a sample
    many = [*samples, *samples]
    n_clips = sum(len(features._clips(len(sample.paths), Reading())) for sample in many)
    cache = tmp_path / "cache"

    def made(network: Interrupted) -> Array:
        def make(parts: Path | None) -> Array:
            return extract(network, many, parts=parts)

        return cached(cache, {"weights": "a"}, many, make)[0]

    first = Interrupted(n_clips // 2)
    with pytest.raises(KeyboardInterrupt):
        made(first)
    (parts,) = cache.iterdir()
    assert parts.suffix == ".parts" and 0 < len(list(parts.iterdir())) < len(many)
    second = Interrupted(n_clips)
    assert_array_equal(made(second), extract(Halves(), many))
    assert second.n_seen == n_clips - first.n_seen
    assert [path.suffix for path in cache.iterdir()] == [".npy"]
