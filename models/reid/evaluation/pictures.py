"""Pictures of results: search results, transition times between cameras, training curves.
Right and wrong are told by colour, bluish green and vermilion, which colour-blind people tell
apart, and by a tick or a cross. Every file is written under a temporary name and renamed, so a
picture is whole or not there.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models import files
from models.reid.data.loader import read_image, write_image
from models.reid.data.samples import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]
Colour = tuple[int, int, int]

BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
GREY = (150, 150, 150)
GREEN = (115, 158, 0)  # BGR
RED = (0, 74, 213)
TICK = [[(-5, 0), (-1, 5), (6, -4)]]
CROSS = [[(-4, -4), (4, 4)], [(-4, 4), (4, -4)]]
JUDGEMENTS = {True: GREEN, False: RED, None: GREY}
N_FRAMES = 4
"""A tracklet is shown as a column of so many frames, spread over it."""
IMAGE_PX = (256, 128)
"""Height and width of the cell of a lone image ..."""
FRAME_PX = (160, 80)
"""... and of each frame of a tracklet."""
BORDER_PX = 5
SPACE_PX = 10
GAP_PX = 40
LINE_PX = 18
FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_SCALE = 0.45
SCORE_LABELS = {"map": "mAP", "rank1": "rank-1"}
NOT_TERMS = {"epoch", "lr", "seconds", "loss", "accuracy", *SCORE_LABELS}
"""Columns of a training log that are not terms of the loss."""


class Found(NamedTuple):
    """One result. frames: (h, w, 3) uint8 BGR each. correct: None where nobody knows."""

    frames: Sequence[Array]
    caption: str
    correct: bool | None


@dataclass(frozen=True)
class Ranked:
    """A query and what was found for it, best first, junk left out. position: its place among the
    queries.

    results: samples with the score that orders them. measure: what that score is, such as
    "cosine". A query with a negative person_id has no label, and its results are not judged.
    """

    position: int
    query: Sample
    results: Sequence[tuple[Sample, float]]
    measure: str = "cosine"


def ranked_sheet(
    query_frames: Sequence[Array], results: Sequence[Found], caption: str = "query"
) -> Array:
    """Draw a query and its results side by side.

    Images keep their proportions; of more than `N_FRAMES` frames so many are shown, spread over the
    tracklet.

    Args:
        query_frames: (h, w, 3) uint8 BGR each; drawn in black.
        results: Drawn in green, red, or grey for unknown.
        caption: Of the query. Captions (ASCII) are broken at double spaces where they are too wide.

    Returns:
        The sheet, (H, W, 3) uint8 BGR.
    """
    items = [_Item(spread(query_frames), caption, BLACK)]
    for result in results:
        colour = JUDGEMENTS[result.correct]
        items.append(_Item(spread(result.frames), result.caption, colour))
    n_frames = max(len(item.frames) for item in items)
    size = IMAGE_PX if n_frames == 1 else FRAME_PX
    tile_width_px = size[1] + 2 * BORDER_PX
    captions = [_lines(item.caption, tile_width_px) for item in items]
    n_lines = max(len(lines) for lines in captions)
    tiles = []
    for item, lines in zip(items, captions, strict=True):
        tile = _tile(item.frames, n_frames, size, item.colour, lines, n_lines)
        tiles.append(tile)
    for tile, result in zip(tiles[1:], results, strict=True):
        if result.correct is not None:
            _judge(tile, n_lines * LINE_PX, result.correct)
    height_px = tiles[0].shape[0]
    space = np.full((height_px, SPACE_PX, 3), WHITE, np.uint8)
    gap = np.full((height_px, GAP_PX, 3), WHITE, np.uint8)
    row = [space, tiles[0], gap]
    for tile in tiles[1:]:
        row += [tile, space]
    return _bordered(np.hstack(row), (SPACE_PX, SPACE_PX, 0, 0), WHITE)


class _Item(NamedTuple):
    """One column of a sheet."""

    frames: Sequence[Array]
    caption: str
    colour: Colour


def write_ranked(ranked: Iterable[Ranked], folder: Path) -> list[Path]:
    """Write one JPG per query, `<position>_<person>_<camera>_<first frame>.jpg` as far as known.

    Args:
        ranked: Queries with their results; only the frames that are shown are read.
        folder: Gets the sheets; cameras in their names are counted from 1.

    Returns:
        Paths of the sheets.

    Raises:
        InputError: An image cannot be read or written.
    """
    return [_write_sheet(each, folder) for each in ranked]


def spread(items: Sequence[Any], n: int = N_FRAMES) -> list[Any]:
    """At most `n` of the items, first and last among them, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(n, len(items)))
    return [items[place] for place in places.round().astype(int)]


def plot_transitions(histogram: Array, bin_frames: int, path: Path) -> None:
    """Draw how long people take from camera to camera, one small curve per pair, as PNG.

    All curves share their axes, which end where 99.5 % of all the mass lies.

    Args:
        histogram: (C, C, B), [later camera][earlier camera][time difference in bins], as ST-ReID
            smooths it (Wang et al., AAAI 2019).
        bin_frames: Frames in a bin.
        path: The PNG.

    Raises:
        InputError: The picture cannot be written.
    """
    n_cameras = len(histogram)
    mass = np.cumsum(histogram.sum(axis=(0, 1)))
    end = int(np.searchsorted(mass, 0.995 * mass[-1])) + 1
    frames = np.arange(end) * bin_frames
    figure = _figure(1.5 * n_cameras + 1, 1.1 * n_cameras + 1)
    grid = figure.subplots(n_cameras, n_cameras, sharex=True, sharey=True, squeeze=False)
    for later, earlier in np.ndindex(n_cameras, n_cameras):
        axes = cast("Axes", grid[later, earlier])
        _tidy(axes, 3)
        empty_text = "same" if later == earlier else "none"
        _draw_transitions(axes, frames, histogram[later, earlier, :end], empty_text)
        if later == 0:
            axes.set_title(f"first in c{earlier + 1}", fontsize=9)
        if earlier == 0:
            axes.set_ylabel(f"then in c{later + 1}", fontsize=9)
    corner = cast("Axes", grid[0, 0])
    corner.set_ylim(bottom=0)
    corner.set_xlim(0, max(frames[-1], bin_frames))
    figure.supxlabel("frames between the two cameras", fontsize=10)
    figure.supylabel("share of the people", fontsize=10)
    _save(figure, path)


def _draw_transitions(axes: "Axes", frames: Array, curve: Array, empty_text: str) -> None:
    """Draw one pair's curve, or say why there is none."""
    if curve.any():
        axes.fill_between(frames, curve, color="#0072b2", alpha=0.25, linewidth=0)
        axes.plot(frames, curve, color="#0072b2", linewidth=1)
        return
    axes.text(
        0.5,
        0.5,
        empty_text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="0.6",
        fontsize=8,
    )


def plot_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw a training log as PNG: loss and its terms, and the scores of the held-out people.

    Args:
        rows: One an epoch, with "epoch" and "loss"; "map" and "rank1" in 0..1 where they are known.
        path: The PNG.

    Raises:
        InputError: The picture cannot be written.
    """
    names = _names(rows)
    terms = [name for name in names if name not in NOT_TERMS]
    scores = [name for name in SCORE_LABELS if name in names]
    figure = _figure(7, 5.6 if scores else 3.2)
    grid = figure.subplots(2 if scores else 1, 1, sharex=True, squeeze=False)[:, 0]
    loss_axes = grid[0]
    last_axes = grid[-1]
    _curve(loss_axes, rows, "loss", 2, color="black")
    if len(terms) > 1:
        for name in terms:
            _curve(loss_axes, rows, name, 1)
    loss_axes.set_ylabel("loss")
    for name in scores:
        _curve(last_axes, rows, name, 2, label=SCORE_LABELS[name])
    if scores:
        last_axes.set_ylabel("held-out people")
        last_axes.set_ylim(bottom=0)  # after all curves: it fixes the top as well
    for axes in grid:
        _tidy(axes, 6)
        axes.grid(axis="y", color="0.9")
        axes.legend(frameon=False, fontsize=8)
    last_axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    last_axes.set_xlim(rows[0]["epoch"] - 0.5, rows[-1]["epoch"] + 0.5)
    last_axes.set_xlabel("epoch")
    _save(figure, path)


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of all columns, in the order in which they appear."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return list(names)


def _write_sheet(ranked: Ranked, folder: Path) -> Path:
    query = ranked.query
    results = []
    for place, (sample, score) in enumerate(ranked.results, 1):
        caption = f"{place}  {score:.3f}  {_name(sample)}"
        results.append(Found(_read(sample), caption, _judgement(query, sample)))
    measure = ranked.measure.replace(" ", "  ")  # a line may end between its words
    sheet = ranked_sheet(_read(query), results, f"query  {_name(query)}  by {measure}")
    parts = [f"{ranked.position:05d}"]
    if query.person_id >= 0:
        parts.append(f"{query.person_id:04d}")
    if query.camera >= 0:
        parts.append(f"c{query.camera + 1}")
    parts.append(query.paths[0].stem)
    path = folder / f"{'_'.join(parts)}.jpg"
    write_image(path, sheet)
    return path


def _read(sample: Sample) -> list[Array]:
    return [read_image(path) for path in spread(sample.paths)]


def _name(sample: Sample) -> str:
    camera = f"c{sample.camera + 1} " if sample.camera >= 0 else ""
    person = f"#{sample.person_id:04d}" if sample.person_id >= 0 else ""
    return camera + person


def _judgement(query: Sample, sample: Sample) -> bool | None:
    if query.person_id < 0:
        return None
    return sample.person_id == query.person_id


def _tile(
    frames: Sequence[Array],
    n_frames: int,
    size: tuple[int, int],
    colour: Colour,
    lines: Sequence[str],
    n_lines: int,
) -> Array:
    """Caption above a bordered column of frames, filled up to `n_frames` and `n_lines`."""
    cells = np.vstack([_fit(frame, size) for frame in frames])
    column = _bordered(cells, (BORDER_PX, BORDER_PX, BORDER_PX, BORDER_PX), colour)
    above_px = n_lines * LINE_PX
    below_px = (n_frames - len(frames)) * size[0]
    tile = _bordered(column, (above_px, below_px, 0, 0), WHITE)
    first_line = n_lines - len(lines) + 1
    for number, line in enumerate(lines, first_line):
        baseline_px = number * LINE_PX - 6
        cv2.putText(tile, line, (1, baseline_px), FONT, FONT_SCALE, BLACK, 1, cv2.LINE_AA)
    return tile


def _bordered(image: Array, sides: tuple[int, int, int, int], colour: Colour) -> Array:
    """Image with so many pixels added above, below, left and right."""
    return np.asarray(
        cv2.copyMakeBorder(image, *sides, borderType=cv2.BORDER_CONSTANT, value=colour)
    )


def _fit(image: Array, size: tuple[int, int]) -> Array:
    """Image in a cell (height, width), centred on grey, its proportions kept."""
    height, width = size
    image_height, image_width = image.shape[:2]
    scale = min(height / image_height, width / image_width)
    inner_height = max(1, round(image_height * scale))
    inner_width = max(1, round(image_width * scale))
    top = (height - inner_height) // 2
    left = (width - inner_width) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    inner = cv2.resize(image, (inner_width, inner_height), interpolation=interpolation)
    cell = np.full((height, width, 3), 225, np.uint8)
    cell[top : top + inner_height, left : left + inner_width] = inner
    return cell


def _lines(caption: str, width_px: int) -> list[str]:
    """Break a caption at double spaces, so that each line fits where it can."""
    lines: list[str] = []
    for part in caption.split("  "):
        longer = f"{lines[-1]}  {part}" if lines else part
        (text_width_px, _), _ = cv2.getTextSize(longer, FONT, FONT_SCALE, 1)
        fits = text_width_px <= width_px
        lines = [*lines[:-1], longer] if fits else [*lines, part]
    return lines


def _judge(tile: Array, top: int, correct: bool) -> None:
    """Tick or cross in the upper right corner of the frames."""
    radius = 11
    x = tile.shape[1] - BORDER_PX - radius
    y = top + BORDER_PX + radius
    colour = GREEN if correct else RED
    cv2.circle(tile, (x, y), radius, colour, cv2.FILLED, cv2.LINE_AA)
    strokes = TICK if correct else CROSS
    for stroke in strokes:
        points = np.add(stroke, (x, y), dtype=np.int32)
        cv2.polylines(tile, [points], False, WHITE, 2, cv2.LINE_AA)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _tidy(axes: "Axes", n_ticks: int) -> None:
    axes.locator_params(nbins=n_ticks)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _curve(
    axes: "Axes", rows: Sequence[Mapping[str, Any]], name: str, width: float, **style: Any
) -> None:
    known = [row for row in rows if name in row]
    epochs = [row["epoch"] for row in known]
    values = [row[name] for row in known]
    marker = "o" if len(known) < 30 else ""
    labelled = {"label": name, **style}
    axes.plot(epochs, values, linewidth=width, marker=marker, markersize=3, **labelled)


def _save(figure: "Figure", path: Path) -> None:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    files.write(path, data.getvalue())
