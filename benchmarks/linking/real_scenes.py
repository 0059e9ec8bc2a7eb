"""Identities at sites of which nothing is known: real and rendered people, no homographies.

Every scene is linked with default settings and without homographies, as by a user who only names
videos. Sequences of boxes appear in all looks of `borrowed_looks`, and as *apart*: foreign looks,
and cameras that take turns, so that no two see anybody at once. Scenes are divided into two
fixed halves of the same kinds: what is chosen is chosen on half A, and half B shows whether it
holds.

Columns, in percent but for counts:

- ours, local, oracle: global IDF1 of our people, of tracks as they are, and of links by truth
- P, R: precision and recall over pairs of tracklets
- found, there: people found (false boxes have people too), and people in truth
- wrong, missed: people. A tracklet shows the person whom it follows most. *Wrong merges* are the
  least number of times that found people must be cut so that nobody holds tracklets of two people;
  *missed merges* the least number of times that people of truth, so cut, must then be joined.
- views, of: pairs of cameras whose homography was learned, and pairs that overlap
- missed boxes ... wrong merges: points of IDF1 by cause, see `pipeline.evaluate.losses`

Links: of those said to be 90 to 99 %, and 99 % or more, likely, how many join two tracklets of one
person. Kinds: within one camera; between cameras that overlap, which both show somebody in
`MIN_OVERLAP_S` seconds or more, in truth; between others. Within each, with and without evidence of
place. Scenes of people dressed alike are counted apart. Links that the tracker makes
(pieces of one track), and links of tracklets that show nobody in truth, are not judged. *mixed* are
those of the wrong ones with a tracklet that shows two people, one of them in more than `MIXED` of
its rows: the tracker went over to somebody else before linking.

People of several tracklets, doubtful ones (`Person.is_doubtful`) and others: how many hold
tracklets of one person only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.linking import borrowed_looks, perturbations, synthetic_scenes
from benchmarks.linking.synthetic_scenes import EmbeddedScene
from pipeline import config as configuration
from pipeline import embed
from pipeline.config import Config, LinkingConfig
from pipeline.embed import Embedder
from pipeline.evaluate import boxes, losses, scores
from pipeline.evaluate.__main__ import MIN_VISIBILITY
from pipeline.linking import linker
from pipeline.records import Array, Camera, Link, Person, Tracklet

HALVES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "A": {
        "rendered": ("mall",),
        "yard": ("PETS09-S2L1",),
        "2d_v1": ("2d_v1-00", "2d_v1-04", "2d_v1-08", "2d_v1-12"),
        "2d_v2": ("2d_v2-20", "2d_v2-24"),
        "2d_v3": ("2d_v3-02", "2d_v3-06", "2d_v3-10"),
        "2d_v4": ("2d_v4-02", "2d_v4-06", "2d_v4-10"),
    },
    "B": {
        "rendered": ("plaza", "sample"),
        "yard": ("terrace1",),
        "2d_v1": ("2d_v1-02", "2d_v1-06", "2d_v1-10", "2d_v1-14"),
        "2d_v2": ("2d_v2-22",),
        "2d_v3": ("2d_v3-04", "2d_v3-08", "2d_v3-12"),
        "2d_v4": ("2d_v4-04", "2d_v4-08", "2d_v4-12"),
    },
}
"""A is chosen on, B is held back. Of each kind every other one in the order of names; the sample
shows the same people as plaza, so it goes with it."""
TERRACE = "terrace1"
TERRACE_LABELLED = range(0, 1976, 25)
"""Frames that the truth of terrace1 is about, from 0."""
NOBODY = -1
NOT_SCORED = -2
MIXED = 0.1
MIN_OVERLAP_S = 2
SHARES = ("ours", "local", "oracle", "precision", "recall")
COUNTS = ("found", "present", "wrong", "missed", "views", "overlaps")
KINDS = ("one camera", "overlapping", "apart")
BANDS = ((0.9, 0.99), (0.99, 1.01))
EDGES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.01)
"""Bins of the diagram; below `linking.min_probability` are pairs that were nearly linked."""
MOST_SHOWN = 0.9999
"""Larger probabilities are drawn as this one."""
BLUE = "#0072b2"
RED = "#d55e00"
N_WORST = 5
"""Wrong links that are kept of each scene."""
N_SHOWN = 12
DOUBTFUL = "doubtful"
OTHERS = "others"

Row = dict[str, Any]


class Shown(NamedTuple):
    """Whom a tracklet shows most, or NOBODY, and in what share of its rows that show somebody."""

    person: int
    share: float


NOT_KNOWN = Shown(NOT_SCORED, 1.0)


@dataclass(frozen=True, slots=True)
class Judged:
    """A link, or a near miss, and what truth says of it.

    Attributes:
        link: What was said.
        kind: One of `KINDS`.
        shown: Whom the two tracklets show; NOBODY or NOT_SCORED where truth does not say.
        cost: Rows that would change their person if this link were cut, or, for a near miss, made.
        is_made: Whether it is a link.
    """

    link: Link
    kind: str
    shown: tuple[Shown, Shown]
    cost: int
    is_made: bool = True

    @property
    def people(self) -> tuple[int, int]:
        """Whom the two tracklets show."""
        return self.shown[0].person, self.shown[1].person

    @property
    def is_mixed(self) -> bool:
        """Whether a tracklet of it shows somebody else in more than `MIXED` of its rows."""
        return min(self.shown[0].share, self.shown[1].share) < 1 - MIXED

    @property
    def is_judged(self) -> bool:
        """Whether linking decided it from evidence, and truth knows both ends."""
        return not self.link.rule and min(self.people) >= 0

    @property
    def is_right(self) -> bool:
        """Whether both ends are one person."""
        return self.people[0] == self.people[1]

    @property
    def has_place(self) -> bool:
        """Whether there was evidence of place."""
        return not np.isnan(self.link.place)


def load(data: Path, detections: Path | None, cache: Path, sample: Path) -> list[EmbeddedScene]:
    """Read all scenes that are there, without homographies, and name the other ones.

    Args:
        data: Folder with multicam/, worlds/ and reid/.
        detections: Folder with <scene>/<camera>.txt, boxes of the videos; None detects people.
        cache: Folder of `tracklet_cache`.
        sample: Folder of the rendered scene that ships.

    Returns:
        The scenes in the order of `HALVES`; those of one sequence one after the other.

    Raises:
        InputError, PipelineError: A scene, or the weights that ship, cannot be read.
    """
    config = Config()
    embedder, _ = embed.build(config.reid, config.device, config.runtime, config.precision)
    found = []
    for folder in _folders(data, sample):
        if (folder / "about.yaml").is_file():
            scenes = borrowed_looks.load(folder, data, config, embedder, cache)
            foreign = scenes[borrowed_looks.LOOKS.index("foreign")]
            apart = perturbations.taking_turns(foreign)
            found += [*scenes, replace(apart, name=f"{folder.name} apart")]
        else:
            found.append(_with_pixels(folder, detections, embedder, cache))
    return found


def _folders(data: Path, sample: Path) -> list[Path]:
    """Folders of all scenes of `HALVES` that are there; those that are not are named."""
    wanted = []
    for kinds in HALVES.values():
        for kind, names in kinds.items():
            parent = data / ("worlds" if kind == "rendered" else "multicam")
            wanted += [sample if name == "sample" else parent / name for name in names]
    crops = [data / borrowed_looks.MARKET, data / borrowed_looks.CUHK03]
    can_borrow = all(folder.is_dir() for folder in crops)
    found = []
    for folder in wanted:
        is_ready = folder.is_dir()
        if (folder / "about.yaml").is_file():
            is_ready = can_borrow
        if is_ready:
            found.append(folder)
    missing = [folder.name for folder in wanted if folder not in found]
    if missing:
        needed = "multicam/, worlds/, " + ", ".join((borrowed_looks.MARKET, borrowed_looks.CUHK03))
        print(f"{data}: skipped, not all is there ({needed}): {', '.join(missing)}")
    return found


def _with_pixels(
    folder: Path, detections: Path | None, embedder: Embedder, cache: Path
) -> EmbeddedScene:
    name = scene_name(folder)
    videos = sorted(folder.glob("*.mp4"))
    settings: dict[str, Any] = {
        "cameras": [{"name": path.stem, "source": str(path)} for path in videos]
    }
    inputs = []
    if detections is not None:
        settings["detector"] = {"detections": str(detections / name)}
        inputs = [detections / name / f"{path.stem}.txt" for path in videos]
    config = configuration.build(settings, "benchmark")
    embedded, cameras = synthetic_scenes.embed_videos(name, config, embedder, inputs, cache)
    truth = boxes.read_truth(folder / "truth", MIN_VISIBILITY)
    labelled: dict[str, Array] = {}
    if name == TERRACE:
        labelled = {camera.name: np.array(TERRACE_LABELLED) for camera in cameras}
    return EmbeddedScene(name, embedded, {c.name: c for c in cameras}, truth, labelled)


def scene_name(folder: Path) -> str:
    """Return the name of a scene in `HALVES`; that of the sample is not its folder's."""
    return "sample" if folder.parent.name == "samples" else folder.name


def half_of(scene: str) -> str:
    """Return the half, "A" or "B", of a scene.

    Args:
        scene: Its name, with or without looks.
    """
    sequence = scene.split(maxsplit=1)[0]
    for half, kinds in HALVES.items():
        if any(sequence in names for names in kinds.values()):
            return half
    raise ValueError(f"{scene} belongs to no half")


def measure(scene: EmbeddedScene) -> tuple[Row, list[Judged]]:
    """Link a scene, and compare people and links with truth.

    Args:
        scene: The scene; homographies of its cameras are not used.

    Returns:
        The columns of the table, and all links and near misses.
    """
    linked = linker.link(scene.embedded, without_homographies(scene), LinkingConfig())
    matched = synthetic_scenes.matched(scene, synthetic_scenes.filled(linked))
    tracklets = scores.tracklet_numbers(matched)
    followed = scores.followed_people(matched, tracklets)
    precision, recall = scores.link_scores(matched, tracklets, followed)
    lost = losses.attribute(matched).shares()
    local = losses.attribute(matched, scores.track_numbers(matched)).shares()
    oracle = losses.attribute(matched, scores.oracle_ids(tracklets, followed)).shares()
    found: set[int] = set()
    present: set[int] = set()
    for camera in matched:
        found.update(camera.results.ids[scores.scored_rows(camera)].tolist())
        for ids in camera.truth_ids:
            present.update(ids.tolist())
    shown = whom_tracklets_show(matched)
    wrong, missed = merges(linked.people, shown)
    overlap = overlapping(scene)
    row = {
        "scene": scene.name,
        "half": half_of(scene.name),
        "tracklets": len(scene.embedded),
        "ours": lost["IDF1"],
        "local": local["IDF1"],
        "oracle": oracle["IDF1"],
        "precision": precision,
        "recall": recall,
        "found": len(found),
        "present": len(present),
        "wrong": wrong,
        "missed": missed,
        "views": len(linked.homographies),
        "overlaps": len(overlap),
        "lost": {cause: lost[cause] for cause in losses.CAUSES},
        "doubts": doubts(linked.people, shown),
    }
    return row, _judge(linked.people, linked.near_misses, shown, overlap)


def without_homographies(scene: EmbeddedScene) -> dict[str, Camera]:
    """Return the cameras of a scene, by name, as of a site of which nothing is known."""
    nothing = np.zeros((0, 0))
    return {name: replace(camera, homography=nothing) for name, camera in scene.cameras.items()}


def whom_tracklets_show(matched: Sequence[boxes.Scene]) -> dict[str, Shown]:
    """Return whom each tracklet with rows that are scored shows, by the tracklet's name.

    Args:
        matched: The cameras of a scene, matched with truth.
    """
    votes: dict[str, Counter[int]] = {}
    for camera in matched:
        results = camera.results
        people = synthetic_scenes.true_ids(camera)
        for row in scores.scored_rows(camera).tolist():
            name = f"{camera.camera}/{results.tracks[row]}@{results.tracklets[row]}"
            votes.setdefault(name, Counter())[int(people[row])] += 1
    shown = {}
    for name, rows in votes.items():
        n_nobody = rows.pop(NOBODY, 0)
        ((person, n_rows),) = rows.most_common(1) or ((NOBODY, n_nobody),)
        shown[name] = Shown(person, n_rows / (rows.total() or n_nobody))
    return shown


def merges(people: Sequence[Person], shown: Mapping[str, Shown]) -> tuple[int, int]:
    """Count wrong merges and missed merges of people.

    Args:
        people: People as linking returned them.
        shown: Whom each tracklet shows, by its name.

    Returns:
        How often people must be cut, and how often the parts must then be joined.
    """
    parts: Counter[int] = Counter()
    n_wrong = 0
    for person in people:
        whom = _whom(person, shown)
        n_wrong += max(len(whom) - 1, 0)
        parts.update(whom)
    n_missed = sum(count - 1 for count in parts.values())
    return n_wrong, n_missed


def doubts(people: Sequence[Person], shown: Mapping[str, Shown]) -> dict[str, dict[str, int]]:
    """Count people of several tracklets who show somebody, and those who show one person only.

    Args:
        people: People as linking returned them.
        shown: Whom each tracklet shows, by its name.

    Returns:
        Numbers `n` and `right`, of `DOUBTFUL` people and of `OTHERS`.
    """
    found = {DOUBTFUL: {"n": 0, "right": 0}, OTHERS: {"n": 0, "right": 0}}
    for person in people:
        whom = _whom(person, shown)
        if len(person.tracklets) < 2 or not whom:
            continue
        counts = found[DOUBTFUL if person.is_doubtful else OTHERS]
        counts["n"] += 1
        counts["right"] += len(whom) == 1
    return found


def _whom(person: Person, shown: Mapping[str, Shown]) -> set[int]:
    """The people whom the tracklets of a person show."""
    whom = {shown.get(tracklet.name, NOT_KNOWN).person for tracklet in person.tracklets}
    return whom - {NOBODY, NOT_SCORED}


def overlapping(scene: EmbeddedScene) -> set[tuple[str, str]]:
    """Return the pairs of cameras, in order, that show somebody at the same time in truth."""
    seen: dict[str, set[tuple[int, int]]] = {}
    for camera, truth in scene.truth.items():
        rows = truth.rows.take(truth.counts)
        times_s = scene.cameras[camera].start_s + rows.frames / scene.cameras[camera].fps
        seconds = times_s.astype(np.int64).tolist()
        seen[camera] = set(zip(rows.ids.tolist(), seconds, strict=True))
    found = set()
    for first, second in combinations(sorted(seen), 2):
        at_once = {time_s for _, time_s in seen[first] & seen[second]}
        if len(at_once) >= MIN_OVERLAP_S:
            found.add((first, second))
    return found


def _judge(
    people: Sequence[Person],
    near_misses: Sequence[Link],
    shown: Mapping[str, Shown],
    overlap: set[tuple[str, str]],
) -> list[Judged]:
    found = []
    n_rows = {}
    for person in people:
        of_person = sum(len(tracklet.frames) for tracklet in person.tracklets)
        n_rows.update({tracklet.name: of_person for tracklet in person.tracklets})
        for link in person.links:
            found.append(_judged(link, shown, overlap, _cost(person, link), True))
    for link in near_misses:
        cost = min(n_rows[link.first.name], n_rows[link.second.name])
        found.append(_judged(link, shown, overlap, cost, False))
    return found


def _judged(
    link: Link,
    shown: Mapping[str, Shown],
    overlap: set[tuple[str, str]],
    cost: int,
    is_made: bool,
) -> Judged:
    cameras = sorted((link.first.camera, link.second.camera))
    kind = "overlapping" if tuple(cameras) in overlap else "apart"
    if cameras[0] == cameras[1]:
        kind = "one camera"
    first = shown.get(link.first.name, NOT_KNOWN)
    second = shown.get(link.second.name, NOT_KNOWN)
    return Judged(link, kind, (first, second), cost, is_made)


def _cost(person: Person, cut: Link) -> int:
    """Rows on the smaller side of a link; the links of a person form a tree."""
    neighbours: dict[str, list[str]] = defaultdict(list)
    for link in person.links:
        if link is not cut:
            neighbours[link.first.name].append(link.second.name)
            neighbours[link.second.name].append(link.first.name)
    reached = {cut.first.name}
    waiting = [cut.first.name]
    while waiting:
        for name in neighbours[waiting.pop()]:
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    here = sum(len(t.frames) for t in person.tracklets if t.name in reached)
    there = sum(len(t.frames) for t in person.tracklets if t.name not in reached)
    return min(here, there)


def run(scenes: Iterable[EmbeddedScene], plot: Path | None) -> Row:
    """Measure all scenes and print the tables.

    Args:
        scenes: The scenes.
        plot: File for the reliability diagram; None draws nothing.

    Returns:
        Rows by scene, means, calibration, and the links that cost most.
    """
    print(_header())
    rows: list[Row] = []
    judged: dict[str, list[Judged]] = {}
    for scene in scenes:
        row, links = measure(scene)
        rows.append(row)
        judged[scene.name] = links
        print(_line(row), flush=True)
    means = _means(rows)
    print("\nmeans of the halves, by looks")
    print(_header())
    for row in means:
        print(_line(row))
    calibration = {}
    for group, links in _grouped(judged).items():
        calibration[group] = _calibration(links)
        print(f"\n{group}, links: said, and right")
        for line in calibration[group]:
            print(_calibration_line(line))
        print(_doubts_line([row for row in rows if _group(row["scene"]) == group]))
    diagram = {}
    for looks in ("alike", "not alike"):
        of_looks = [links for scene, links in judged.items() if how_alike(scene) == looks]
        diagram[looks] = reliability([j for links in of_looks for j in links])
    if plot is not None:
        draw(diagram, plot)
    worst = {name: _worst(links) for name, links in judged.items()}
    _show_worst({name: links for name, links in worst.items() if half_of(name) == "A"})
    return {
        "scenes": rows,
        "means": means,
        "calibration": calibration,
        "reliability": diagram,
        "worst": worst,
    }


def _grouped(judged: Mapping[str, Sequence[Judged]]) -> dict[str, list[Judged]]:
    """Links of each half; people who are dressed alike apart from all others."""
    found: dict[str, list[Judged]] = {}
    for scene, links in judged.items():
        found.setdefault(_group(scene), []).extend(links)
    return dict(sorted(found.items()))


def _group(scene: str) -> str:
    return f"half {half_of(scene)}, {how_alike(scene)}"


def how_alike(scene: str) -> str:
    """Return "alike" for a scene of people who are dressed alike, or "not alike"."""
    return "alike" if _looks(scene) == "alike" else "not alike"


def _header() -> str:
    causes = "".join(f"{cause:>15}" for cause in losses.CAUSES)
    return (
        f"{'':<24}{'ours':>7}{'local':>7}{'oracle':>7}{'P':>7}{'R':>7}{'found':>7}{'there':>7}"
        f"{'wrong':>7}{'missed':>7}{'views':>7}{'of':>7}{causes}"
    )


def _line(row: Row) -> str:
    cells = "".join(f"{scores.in_words(row[name]):>7}" for name in SHARES)
    counts = "".join(f"{row[name]:>7.3g}" for name in COUNTS)
    causes = "".join(f"{scores.in_words(row['lost'][cause]):>15}" for cause in losses.CAUSES)
    return f"{row['half']} {row['scene']:<22}{cells}{counts}{causes}"


def _looks(scene: str) -> str:
    """What a scene is counted with: its looks, or its kind where it has pixels."""
    name, _, looks = scene.partition(" ")
    if looks:
        return looks
    return "real pixels" if name == TERRACE else "rendered"


def _means(rows: Sequence[Row]) -> list[Row]:
    """The mean row of each half and looks, and of all of a half."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["half"], _looks(row["scene"])].append(row)
        groups[row["half"], "all"].append(row)
    found = []
    for (half, looks), members in sorted(groups.items()):
        mean: Row = {"scene": f"{looks} ({len(members)})", "half": half}
        for name in SHARES:
            mean[name] = float(np.nanmean([row[name] for row in members]))
        for name in COUNTS:
            mean[name] = float(np.mean([row[name] for row in members]))
        mean["lost"] = {
            cause: float(np.mean([row["lost"][cause] for row in members]))
            for cause in losses.CAUSES
        }
        found.append(mean)
    return found


def _calibration(judged: Sequence[Judged]) -> list[Row]:
    """How many links of each kind and band are right."""
    found = []
    for kind in KINDS:
        for has_place in (True, False):
            row: Row = {"kind": kind, "place": has_place, "bands": []}
            for low, high in BANDS:
                band = [
                    j
                    for j in judged
                    if j.is_judged
                    and j.is_made
                    and j.kind == kind
                    and j.has_place == has_place
                    and low <= j.link.probability < high
                ]
                wrong = [j for j in band if not j.is_right]
                counts = {
                    "n": len(band),
                    "right": len(band) - len(wrong),
                    "mixed": sum(j.is_mixed for j in wrong),
                }
                row["bands"].append(counts)
            found.append(row)
    return found


def _calibration_line(row: Row) -> str:
    place = "with place" if row["place"] else "without place"
    cells = []
    for name, band in zip(("90-99 %", ">= 99 %"), row["bands"], strict=True):
        share = f"{100 * band['right'] / band['n']:.1f} %" if band["n"] else "-"
        mixed = f"(mixed {band['mixed']})"
        cells.append(f"{name}: {band['right']:>5} of {band['n']:>5} {share:>8} {mixed:<11}")
    return f"{row['kind']:<12} {place:<14} {'   '.join(cells)}"


def _doubts_line(rows: Sequence[Row]) -> str:
    """How many people of scenes are one person, doubtful ones and others."""
    cells = []
    for name in (DOUBTFUL, OTHERS):
        n = sum(row["doubts"][name]["n"] for row in rows)
        n_right = sum(row["doubts"][name]["right"] for row in rows)
        cells.append(f"{name}: {n_right} of {n} are one person")
    return f"people, {', '.join(cells)}"


def reliability(judged: Sequence[Judged]) -> list[Row]:
    """Return how many links and near misses are right, by what was said of them.

    Args:
        judged: Links and near misses.

    Returns:
        For each bin of `EDGES`: the mean of what was said, the share that is right, 0..1, and how
        many there are. Bins without links are left out.
    """
    links = [j for j in judged if j.is_judged]
    said = np.array([j.link.probability for j in links])
    is_right = np.array([j.is_right for j in links], np.bool_)
    found = []
    for low, high in pairwise(EDGES):
        inside = (said >= low) & (said < high)
        if inside.any():
            row = {
                "said": float(said[inside].mean()),
                "right": float(is_right[inside].mean()),
                "n": int(inside.sum()),
            }
            found.append(row)
    return found


def draw(diagram: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Draw the share of links that are right against what was said, in log odds.

    It says so when matplotlib, which is optional, is not installed.

    Args:
        diagram: Bins as `reliability` returns them, by name.
        path: The PNG.
    """
    if not find_spec("matplotlib"):
        print("no plot: matplotlib is not installed")
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    ends = [EDGES[0], MOST_SHOWN]
    axes.plot(ends, ends, color="grey", linewidth=1, label="as said")
    for (name, bins), colour in zip(diagram.items(), (RED, BLUE), strict=False):
        n_links = np.array([row["n"] for row in bins])
        said = np.array([min(row["said"], MOST_SHOWN) for row in bins])
        right = np.array([row["right"] for row in bins])
        half_a_link = 0.5 / n_links
        shown = np.clip(right, half_a_link, 1 - half_a_link)
        axes.plot(said, shown, "o-", color=colour, linewidth=1, label=f"links, {name}")
        for x, y, n in zip(said.tolist(), shown.tolist(), n_links.tolist(), strict=True):
            axes.annotate(str(n), (x, y), (4, -8), textcoords="offset points", fontsize=7)
    axes.set_xscale("logit")
    axes.set_yscale("logit")
    axes.set_xlabel("probability as said")
    axes.set_ylabel("share that is one person (none or all: half a link)")
    axes.grid(which="major", linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, format="png")


def _worst(judged: Sequence[Judged]) -> dict[str, list[Row]]:
    """The wrong links that cost most, and the near misses of one person that cost most."""
    wrong = [j for j in judged if j.is_made and j.is_judged and not j.is_right]
    missed = [j for j in judged if not j.is_made and min(j.people) >= 0 and j.is_right]
    found = {}
    for name, some in (("wrong", wrong), ("missed", missed)):
        by_cost = sorted(some, key=lambda j: -j.cost)
        found[name] = [_described(j) for j in by_cost[:N_WORST]]
    return found


def _show_worst(worst: Mapping[str, Mapping[str, Sequence[Row]]]) -> None:
    """Print the wrong links, and the links that were nearly made and right, that cost most."""
    titles = {"wrong": "wrong links", "missed": "right links that were nearly made"}
    for name, title in titles.items():
        for looks in ("not alike", "alike"):
            print(f"\nhalf A, {looks}: {title}, by the rows that they would move")
            found = []
            for scene, of_scene in worst.items():
                if how_alike(scene) == looks:
                    found += [(row["cost"], scene, row) for row in of_scene[name]]
            found.sort(key=lambda one: one[0], reverse=True)
            for _, scene, row in found[:N_SHOWN]:
                print(_worst_line(scene, row))


def _worst_line(scene: str, row: Row) -> str:
    shown = zip(row["people"], row["shares"], strict=True)
    people = " and ".join(f"{person} ({100 * share:.0f} %)" for person, share in shown)
    evidence = (
        f"cosine {row['similarity']:.2f} appearance {row['appearance']:+.1f}"
        f" place {row['place']:+.1f} travel {row['travel']:+.1f} gap {row['gap_s']:.1f} s"
        f" floor {row['floor_m']:.1f} m"
    )
    said = f"{100 * row['probability']:.1f} %"
    rule = f" forbidden: {row['rule']}" if row["rule"] else ""
    rival = f" rival {row['rival']} {row['rival_probability']:.2f}" if row["rival"] else ""
    return (
        f"{scene:<22} {row['first']} + {row['second']}, people {people}, {row['kind']}, rows"
        f" {row['cost']}, said {said}: {evidence}{rule}{rival}"
    )


def _described(judged: Judged) -> Row:
    link = judged.link
    return {
        "first": _stretch(link.first),
        "second": _stretch(link.second),
        "people": list(judged.people),
        "shares": [shown.share for shown in judged.shown],
        "kind": judged.kind,
        "cost": judged.cost,
        "probability": link.probability,
        "similarity": link.similarity,
        "appearance": link.appearance,
        "place": link.place,
        "travel": link.travel,
        "gap_s": link.gap_s,
        "floor_m": link.floor_m,
        "rule": link.rule,
        "rival": link.rival,
        "rival_probability": link.rival_probability,
    }


def _stretch(tracklet: Tracklet) -> str:
    return f"{tracklet.name} {tracklet.first_s:.1f}-{tracklet.last_s:.1f} s"
