"""Pictures of results: colours and marks where they belong, whole files, unique names."""

import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.reid.data.samples import Sample
from models.reid.evaluation.pictures import (
    BLACK,
    BORDER_PX,
    GREEN,
    GREY,
    IMAGE_PX,
    RED,
    Found,
    Ranked,
    plot_curves,
    plot_transitions,
    ranked_sheet,
    spread,
    write_ranked,
)

CAPTION = "1  0.83  c3 #0012"
BLUE_GREY = (120, 100, 80)


def crop(height: int = 128, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), BLUE_GREY, np.uint8)


def stretches(sheet: np.ndarray, colour: tuple[int, int, int]) -> list[tuple[int, int]]:
    """First column and width of every run of columns that have a border's worth of exactly this
    colour.
    """
    columns = (sheet == colour).all(axis=2).sum(axis=0) > 100
    edges = np.flatnonzero(np.diff(np.r_[False, columns, False].astype(int)))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def test_the_query_stands_first_in_black_and_results_follow_in_the_colour_of_their_judgement() -> (
    None
):
    judgements = [True, False, None, True]
    sheet = ranked_sheet([crop()], [Found([crop()], CAPTION, j) for j in judgements])
    assert sheet.dtype == np.uint8 and sheet.ndim == 3
    left = {
        colour: [x for x, _ in stretches(sheet, colour)] for colour in (BLACK, GREEN, RED, GREY)
    }
    tile = IMAGE_PX[1] + BORDER_PX
    starts = sorted(x for xs in left.values() for x in xs)
    assert starts[1::2] == [x + tile for x in starts[::2]]  # a left and a right border each
    order = [next(colour for colour, xs in left.items() if x in xs) for x in starts[::2]]
    assert order == [BLACK, GREEN, RED, GREY, GREEN]


def test_right_and_wrong_are_told_apart_without_colour() -> None:
    pictures = [
        cv2.cvtColor(
            ranked_sheet([crop()], [Found([crop()], CAPTION, judged)]), cv2.COLOR_BGR2GRAY
        ).astype(int)
        > 230
        for judged in (True, False, None)
    ]
    marks = [np.count_nonzero(picture) - np.count_nonzero(pictures[2]) for picture in pictures]
    assert marks[0] > 30 and marks[1] > 30 and marks[2] == 0  # the white strokes of tick and cross
    assert np.count_nonzero(pictures[0] != pictures[1]) > 30


@pytest.mark.parametrize("n_frames", [1, 2, 4, 9])
def test_a_tracklet_is_a_column_of_up_to_four_frames_from_its_first_to_its_last(
    n_frames: int,
) -> None:
    grey_levels = [20 + 15 * i for i in range(n_frames)]
    frames = [np.full((80, 40, 3), level, np.uint8) for level in grey_levels]
    sheet = ranked_sheet([crop()] * 2, [Found(frames, CAPTION, False)])
    ((left, _), (_, _)) = stretches(sheet, RED)
    column = sheet[:, left + BORDER_PX + 10, 0]
    shown = [level for level in grey_levels if np.count_nonzero(column == level) > 100]
    assert len(shown) == min(n_frames, 4)
    assert shown[0] == grey_levels[0] and shown[-1] == grey_levels[-1]


@pytest.mark.parametrize("shape", [(128, 64), (64, 128), (500, 20), (3, 3), (1, 1)], ids=str)
def test_images_keep_their_proportions(shape: tuple[int, int]) -> None:
    sheet = ranked_sheet([np.zeros((9, 9, 3), np.uint8)], [Found([crop(*shape)], "", None)])
    rows, columns = np.nonzero((sheet == BLUE_GREY).all(axis=2))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    scale = min(IMAGE_PX[0] / shape[0], IMAGE_PX[1] / shape[1])
    assert abs(height - shape[0] * scale) <= 1 and abs(width - shape[1] * scale) <= 1


def test_a_long_caption_takes_more_lines_and_is_not_cut() -> None:
    def ink(caption: str) -> int:
        sheet = ranked_sheet([crop()], [Found([crop()], caption, None)], caption="")
        ((left, _), (right, width)) = stretches(sheet, GREY)
        above = sheet[: int(np.argmax((sheet[:, left] == GREY).all(axis=1)))]
        assert (above[:, right + width :] == 255).all()  # nothing runs into the next result
        return int((255 - above[:, left:].astype(int)).sum())

    parts = ["12  0.8312", "c3 #0012", "seen twice"]
    assert math.isclose(ink("  ".join(parts)), sum(map(ink, parts)), rel_tol=0.01)


def test_a_search_without_results_is_the_query_alone() -> None:
    sheet = ranked_sheet([crop()], [])
    assert len(stretches(sheet, BLACK)) == 2


@given(st.integers(1, 1000), st.integers(1, 10))
def test_frames_are_spread_from_end_to_end_without_repetition(n: int, most: int) -> None:
    chosen = spread(range(n), most)
    assert len(set(chosen)) == len(chosen) == min(n, most)
    assert chosen == sorted(chosen) and chosen[0] == 0
    assert chosen[-1] == (n - 1 if most > 1 else 0)


def test_every_query_gets_one_picture_with_a_name_of_its_own(tmp_path: Path) -> None:
    def tracklet(person: int, camera: int, n: int) -> Sample:
        folder = tmp_path / f"cam_{camera}" / f"person_{person}"
        return Sample(
            tuple(save(folder / f"{i:04d}.png", crop()) for i in range(1, n + 1)), person, camera
        )

    queries = [
        tracklet(1, 0, 2),
        tracklet(2, 0, 1),
        tracklet(2, 1, 6),
    ]  # PRID: every first frame is called 0001.png
    results = [(tracklet(2, 2, 5), 0.9), (tracklet(1, 1, 1), 0.5)]
    out = tmp_path / "pictures"
    ranked = [Ranked(i, query, results) for i, query in enumerate([*queries, queries[0]])]
    unknown = [
        Ranked(4 + i, Sample(queries[0].paths, -1, camera), results)
        for i, camera in enumerate([0, -1])
    ]
    written = write_ranked([*ranked, *unknown], out)
    assert [p.name for p in written] == [
        "00000_0001_c1_0001.jpg",
        "00001_0002_c1_0001.jpg",
        "00002_0002_c2_0001.jpg",
        "00003_0001_c1_0001.jpg",
        "00004_c1_0001.jpg",
        "00005_0001.jpg",
    ]
    assert sorted(out.iterdir()) == sorted(written)
    assert all(cv2.imread(str(path)) is not None for path in written)


def test_results_are_judged_by_the_person_and_not_at_all_for_a_query_without_a_label(
    tmp_path: Path,
) -> None:
    def near(path: Path, colour: tuple[int, int, int]) -> int:
        return int((np.abs(cv2.imread(str(path)).astype(int) - colour).max(axis=2) < 25).sum())

    paths = (save(tmp_path / "a.png", crop()),)
    results = [(Sample(paths, 7, 1), 0.9), (Sample(paths, 8, 1), 0.5)]
    known, unknown = write_ranked(
        [Ranked(0, Sample(paths, 7, 0), results), Ranked(1, Sample(paths, -1, 0), results)],
        tmp_path / "o",
    )
    assert near(known, GREEN) > 2000 and near(known, RED) > 2000 and near(known, GREY) < 1000
    assert near(unknown, GREEN) == near(unknown, RED) == 0 and near(unknown, GREY) > 4000


def test_the_caption_says_what_the_score_is(tmp_path: Path) -> None:
    paths = (save(tmp_path / "a.png", crop()),)
    results = [(Sample(paths, 7, 1), 0.9)]
    above_the_query = []
    for i, measure in enumerate(["cosine", "joint score"]):
        ranked = Ranked(i, Sample(paths, 7, 0), results, measure)
        (path,) = write_ranked([ranked], tmp_path / "out")
        sheet = cv2.imread(str(path))
        above_the_query.append(sheet[: sheet.shape[0] - IMAGE_PX[0] - 2 * BORDER_PX, :150])
    assert not np.array_equal(*above_the_query)


def test_an_unreadable_image_is_an_error_that_names_it(tmp_path: Path) -> None:
    good = Sample((save(tmp_path / "good.jpg", crop()),), 1, 0)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    bad = Sample((tmp_path / "bad.jpg",), 1, 1)
    with pytest.raises(InputError, match=r"bad\.jpg"):
        write_ranked([Ranked(0, good, [(bad, 0.1)])], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_the_frames_that_are_shown_are_read(tmp_path: Path) -> None:
    paths = [
        save(tmp_path / "first.png", crop()),
        *[tmp_path / "missing.png"] * 8,
        save(tmp_path / "last.png", crop()),
    ]
    for i in (3, 6):
        paths[i] = save(tmp_path / f"{i}.png", crop())
    assert len(write_ranked([Ranked(0, Sample(tuple(paths), 1, 0), [])], tmp_path / "out")) == 1


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_picture(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"file/curves\.png: cannot be written"):
        plot_curves([{"epoch": 0, "loss": 1.0}], tmp_path / "file" / "curves.png")


def ink(path: Path) -> int:
    image = cv2.imread(str(path))
    assert image is not None
    assert not list(path.parent.glob("*.partial*"))
    return int((image.min(axis=2) < 200).sum())


@pytest.mark.parametrize("n_cameras", [1, 2, 4])
def test_transitions_are_drawn_where_there_are_any(tmp_path: Path, n_cameras: int) -> None:
    histogram = np.zeros((n_cameras, n_cameras, 300))
    plot_transitions(histogram, 100, tmp_path / "empty.png")
    histogram[n_cameras - 1, 0, 20:40] = 0.05
    plot_transitions(histogram, 100, tmp_path / "one.png")
    image = cv2.imread(str(tmp_path / "one.png")).astype(int)
    blue = (image[:, :, 0] - image[:, :, 2] > 40).nonzero()
    assert ink(tmp_path / "empty.png") > 500
    assert len(blue[0]) > 100
    height, width = image.shape[:2]
    assert blue[1].max() <= width * (1 / n_cameras + 0.2) and blue[0].min() >= height * (
        1 - 1 / n_cameras - 0.2
    )


ROWS: list[dict[str, Any]] = [
    {"epoch": e, "lr": 0.1, "loss": 3 / (e + 1), "seconds": 9 * e} for e in range(12)
]


def test_curves_show_the_loss_and_a_second_panel_once_scores_exist(tmp_path: Path) -> None:
    plot_curves(ROWS[:1], tmp_path / "one.png")
    plot_curves(ROWS, tmp_path / "loss.png")
    scored = [{**row, "map": 0.05 * row["epoch"]} if row["epoch"] % 5 == 4 else row for row in ROWS]
    plot_curves(scored, tmp_path / "scored.png")
    terms = [{**row, "softmax": row["loss"] * 0.7, "triplet": row["loss"] * 0.3} for row in scored]
    plot_curves(terms, tmp_path / "terms.png")
    heights = [
        cv2.imread(str(tmp_path / f"{name}.png")).shape[0]
        for name in ("one", "loss", "scored", "terms")
    ]
    assert heights[0] == heights[1] < heights[2] == heights[3]
    assert (
        ink(tmp_path / "one.png")
        < ink(tmp_path / "loss.png")
        < ink(tmp_path / "scored.png")
        < ink(tmp_path / "terms.png")
    )


def test_a_rank_1_far_above_the_map_is_inside_the_panel(tmp_path: Path) -> None:
    plot_curves([{**row, "map": 0.1, "rank1": 0.9} for row in ROWS], tmp_path / "scored.png")
    blue, _, red = (cv2.imread(str(tmp_path / "scored.png"))[:, :, i].astype(int) for i in range(3))
    assert ((red - blue > 100).any(axis=0)).sum() > 0.8 * red.shape[1]


def test_plots_leave_no_state_of_pyplot_behind(tmp_path: Path) -> None:
    plot_curves(ROWS, tmp_path / "loss.png")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_real_results_are_drawn(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "reid" / "Market-1501-v15.09.15" / "query"
    samples = [
        Sample((path,), int(path.name[:4]), int(path.name[6]) - 1)
        for path in sorted(root.glob("*.jpg"))[:12]
    ]
    (path,) = write_ranked(
        [Ranked(0, samples[0], [(s, 0.9 - 0.05 * i) for i, s in enumerate(samples[1:11])])],
        tmp_path,
    )
    assert path.name == "00000_0001_c1_0001_c1s1_001051_00.jpg"
    height, width = cv2.imread(str(path)).shape[:2]
    assert 290 < height < 340 and 1500 < width < 1800
