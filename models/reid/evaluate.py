"""Evaluate a ReID network: `python -m models.reid.evaluate --weights model.safetensors --data
market1501 --root FOLDER`. Several data sets in one command make a table across them.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models import command, files
from models import settings as sections
from models import weights as bundle
from models.errors import InputError
from models.reid import encoder
from models.reid.data import catalogue
from models.reid.data.samples import Dataset, counts
from models.reid.evaluation import pictures
from models.reid.evaluation.features import ONE_SCALE, Reading, weights_digest
from models.reid.evaluation.open_set import FALSE_ALARM_RATES, Point
from models.reid.evaluation.pictures import Ranked
from models.reid.evaluation.protocol import Protocol
from models.reid.evaluation.ranking import RANKS
from models.reid.evaluation.report import (
    SIMILARITIES,
    Choices,
    OpenSet,
    Report,
    Row,
    evaluate,
    shown,
)
from models.reid.evaluation.spatial_temporal import ALPHA, SMOOTH_BINS

WHO = {"protocol": "new", "split": 0, "splits": ""}
"""Options of data sets that say who trains and who tests, and what they are when nobody says."""
SCORES = ("map", *(f"rank{rank}" for rank in RANKS))
"""Scores of a row, as JSON has them."""
SCORE_HEAD = "".join(f"{name:>8}" for name in ("mAP", *(f"rank-{rank}" for rank in RANKS)))
"""The same at the head of a table."""
RATES = ", ".join(f"{100 * rate:g}" for rate in FALSE_ALARM_RATES)
MIN_SCALE = 0.25
MAX_SCALE = 4.0
EXAMPLES = """\
examples:
  with mirrored images and re-ranking, and pictures of what was found:
    python -m models.reid.evaluate --weights outputs/reid/mine/model.safetensors
      --data market1501 --root FOLDER --flip --rerank --pictures outputs/ranked
  another program's checkpoint on two data sets, as a table:
    python -m models.reid.evaluate --weights osnet_x1_0.pth --data market1501 mars --root FOLDER
  thresholds for your own people, some of whom are not in the gallery:
    python -m models.reid.evaluate --weights outputs/reid/mine/model.safetensors
      --data folder --root FOLDER --set use=test --open-set
"""
FLAGS = (
    (r"set data\.options\.any_counts", "give --set any_counts=true"),
    (r"data\.options\.(\w+)", r"--set \1=..."),
    (r"data\.options", "--set"),
    (r"data\.root", "--root"),
    (r"data\.name", "--data"),
)
"""Settings of a training in messages of the loaders, and the flags that stand for them here."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.reid.evaluate",
        description="Evaluate a ReID network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--weights",
        required=True,
        metavar="FILE",
        help="file or name of a network; {split} in it is the split's number",
    )
    add(
        "--data",
        required=True,
        nargs="+",
        metavar="NAME",
        help=f"one or more of {', '.join(catalogue.CATALOGUE)}; python -m"
        " models.reid.data.catalogue tells their options and where to get them",
    )
    add(
        "--root",
        required=True,
        nargs="+",
        metavar="DIR",
        help="the data set's folder, or the one that holds it; one for all data sets, or one each",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the data set, such as split=3; mars.gallery=without_query is for one of"
        " several",
    )
    add(
        "--all-splits",
        action="store_true",
        help="mean and deviation over all splits of the data set",
    )
    add("--metric", default="cosine", choices=("cosine", "euclidean", "squared_euclidean"))
    add(
        "--ap",
        default="precision",
        choices=("precision", "triangle"),
        help="form of the average precision",
    )
    add(
        "--over",
        default="valid",
        choices=("valid", "all"),
        help="queries that scores are averaged over",
    )
    add(
        "--clip-rule",
        default="all",
        choices=("all", "evenly", "dense", "begin_interval", "dense_interval"),
    )
    add("--clip-length", type=int, default=16, metavar="N", help="frames of a clip (default 16)")
    add("--flip", action="store_true", help="add the features of the mirrored images")
    add(
        "--scales",
        nargs="+",
        type=float,
        default=ONE_SCALE,
        metavar="S",
        help="add the features of the images at these scales, such as 1 1.1: factors of the area,"
        f" {MIN_SCALE} to {MAX_SCALE:.0f}; not for networks that take one input size",
    )
    add("--rerank", action="store_true", help="also with k-reciprocal re-ranking")
    add("--rerank-form", default="paper", choices=("paper", "torchreid", "st-reid"))
    add(
        "--spatial-temporal",
        action="store_true",
        help="also with the times that people take between cameras",
    )
    add(
        "--times",
        type=Path,
        metavar="FILE",
        help="take these times between cameras; else they are learned from the training people",
    )
    add("--save-times", type=Path, metavar="FILE", help="keep the times that were learned (.npz)")
    add(
        "--smooth",
        type=float,
        default=SMOOTH_BINS,
        metavar="BINS",
        help="standard deviation of the smoothing of times, in bins of 100 frames (default 50)",
    )
    add(
        "--alpha",
        type=float,
        default=ALPHA,
        metavar="A",
        help="slope of both factors of the joint score (default 5)",
    )
    add(
        "--open-set",
        type=float,
        nargs="?",
        default=0.0,
        const=0.5,
        metavar="SHARE",
        help="also with queries whose people are not in the gallery: this share of the people"
        " (default 0.5) leaves it; prints thresholds, and the rates of detection and"
        f" identification (DIR, TTR) at {RATES} %% of false alarms",
    )
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="draws the people who leave the gallery for --open-set (default 0)",
    )
    add("--pictures", type=Path, metavar="DIR", help="draw queries with what was found for them")
    add(
        "--n-pictures",
        type=int,
        default=20,
        metavar="N",
        help="how many queries are drawn (default 20)",
    )
    add("--top", type=int, default=10, metavar="K", help="how many results are drawn (default 10)")
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        help="keep features here and use them again, also after an interruption",
    )
    add("--json", type=Path, metavar="FILE", help="also write the scores as JSON")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    add("--batch", type=int, default=64, metavar="N", help="images in a batch (default 64)")
    add("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 2 an error in the input, 130 interrupted."""
    parsed = parse(arguments)
    again = "; the same command goes on with what --cache holds" if parsed.cache else ""
    return command.run(_run, parsed, interrupted=f"interrupted{again}")


def _run(parsed: argparse.Namespace) -> None:
    try:
        _evaluate_all(parsed)
    except InputError as error:
        raise InputError(in_flags(str(error))) from None


def _evaluate_all(parsed: argparse.Namespace) -> None:
    _check(parsed)
    given = sections.overrides(parsed.set, "split=3")
    # all of them first: a mistake in the last should not wait for the others
    splits = {name: _splits(parsed, name, given) for name in parsed.data}
    documents = [_target(parsed, name, root, splits[name]) for name, root in _targets(parsed)]
    if len(documents) > 1:
        print("\nacross data sets")
        print("\n".join(across(documents)))
    if parsed.json:
        scores = documents[0] if len(documents) == 1 else {"targets": documents}
        document = {"schema": "reid-scores/1", "weights": parsed.weights, **scores}
        files.write(parsed.json, (json.dumps(document, indent=1) + "\n").encode())


def in_flags(text: str) -> str:
    """Return a message about the settings of a training with this command's flags in their place.

    Args:
        text: One line.
    """
    for pattern, flag in FLAGS:
        text = re.sub(pattern, flag, text)
    return text


def _targets(parsed: argparse.Namespace) -> list[tuple[str, str]]:
    """Name and folder of every data set; raises InputError."""
    roots = parsed.root * len(parsed.data) if len(parsed.root) == 1 else parsed.root
    if len(roots) != len(parsed.data):
        raise InputError(
            f"--root: {len(roots)} folders for {len(parsed.data)} data sets; give one for all, or"
            " one each"
        )
    repeated = [name for name in parsed.data if parsed.data.count(name) > 1]
    if repeated:
        raise InputError(f"--data: {repeated[0]} is given twice")
    return list(zip(parsed.data, roots, strict=True))


def _splits(parsed: argparse.Namespace, name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Options of every split of a data set to evaluate; raises InputError."""
    options = _own(given, name, parsed.data)
    n_splits = catalogue.n_splits(name, options)
    if parsed.all_splits and n_splits > 1:
        return [{**options, "split": i} for i in range(n_splits)]
    return [options]


def _target(
    parsed: argparse.Namespace, name: str, root: str, splits: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Evaluate and print one data set; returns it as JSON values."""
    has_own_folder = parsed.pictures and len(parsed.data) > 1
    pictured = parsed.pictures / name if has_own_folder else parsed.pictures
    reports = []
    for each in splits:
        is_split = parsed.all_splits and "split" in each
        folder = pictured / f"split_{each['split']}" if pictured and is_split else pictured
        reports.append(one_split(parsed, name, root, each, folder))
    if len(splits) > 1:
        print(f"\nover {len(splits)} splits, mean +- deviation")
        print("\n".join(over_splits(reports)))
    return {"data": name, "splits": reports}


def _own(given: dict[str, Any], name: str, names: Sequence[str]) -> dict[str, Any]:
    """Options for one data set: those for all, and those with its name before them."""
    options: dict[str, Any] = {}
    for key, value in given.items():
        target, dot, option = key.partition(".")
        if not dot:
            options.setdefault(key, value)
        elif target == name:
            options[option] = value
        elif target not in names:
            raise InputError(f"--set {key}: {target} is not among the data sets of --data")
    return options


def one_split(
    parsed: argparse.Namespace,
    name: str,
    root: str,
    options: dict[str, Any],
    pictured: Path | None,
) -> dict[str, Any]:
    """Evaluate and print one split; returns it as JSON values."""
    data = catalogue.load(name, root, options)
    path = bundle.find(parsed.weights.replace("{split}", str(options.get("split", 0))))
    network = encoder.load(path, parsed.device, parsed.batch)
    single_shot = name == "cuhk03" and options.get("protocol") == "classic"
    reading = Reading(parsed.clip_rule, parsed.clip_length, parsed.flip, tuple(parsed.scales))
    choices = Choices(
        Protocol(parsed.metric, parsed.ap, parsed.over, single_shot),
        reading,
        parsed.rerank,
        parsed.rerank_form,
        parsed.spatial_temporal,
        parsed.cache,
        parsed.top if pictured else 0,
        parsed.times,
        parsed.smooth,
        parsed.alpha,
        parsed.open_set,
        parsed.seed,
    )
    notes = [f"note: {path}: {network.note}"] if network.note else []
    notes += leaks(network.about, path, name, options, data)
    _make_folders(parsed, pictured)
    report = evaluate(network, weights_digest(path), data, choices, not parsed.quiet)
    print("\n".join([heading(data, options), *notes, *table(report), *open_set_table(report)]))
    if pictured:
        draw(report, data, pictured, parsed.n_pictures)
    if parsed.save_times and report.times is not None:
        report.times.save(parsed.save_times)
    document = {
        "options": options,
        "counts": counts(data),
        "notes": notes,
        "feature_seconds": report.feature_seconds,
        "protocol": asdict(choices.protocol),
        "rows": [_plain(row) for row in report.rows],
    }
    if report.open_set:
        document["open_set"] = _plain_open_set(report.open_set, report.rows)
    return document


def heading(data: Dataset, options: dict[str, Any]) -> str:
    """What was evaluated, in a line."""
    found = ", ".join(
        f"{n} {name}" for name, n in counts(data).items() if n and not name.startswith("train")
    )
    chosen = " ".join(f"{key}={value}" for key, value in options.items())
    return f"{data.name} {chosen}".rstrip() + f": {found}"


def table(report: Report) -> list[str]:
    """One line a row, in percent."""
    lines = [f"{'':18}{SCORE_HEAD}{'queries':>14}{'seconds':>9}{'peak MiB':>10}"]
    for row in report.rows:
        scores = row.scores
        values = [scores.mean_ap]
        values += [scores.at(rank) for rank in RANKS]
        numbers = "".join(f"{100 * value:8.1f}" for value in values)
        valid = f"{scores.n_valid}/{scores.n_queries}"
        lines.append(f"{row.name:18}{numbers}{valid:>14}{row.seconds:9.1f}{row.peak_mib:10.0f}")
    origin = "from the cache" if report.cached else f"{report.feature_seconds:.1f} s"
    return [*lines, f"features: {origin}"]


def open_set_table(report: Report) -> list[str]:
    """Thresholds and rates of the open set, one line for each ranking and false alarm rate; nothing
    where there is no open set.
    """
    if report.open_set is None:
        return []
    left_out = report.open_set.left_out
    even = report.open_set.even
    lines = [
        f"\nopen set: {left_out.n_left_out} of {left_out.n_people} people left out of the gallery"
        f" (seed {left_out.seed}); a match is nearer than the threshold",
        f"{'':18}{'rate':>8}{'false alarms':>16}{'DIR':>8}{'TTR':>8}  threshold",
    ]
    n_none = report.open_set.matches[report.rows[0].name].has_none.sum()
    for row, rate, point in _points(report.open_set, report.rows):
        asked = f"{100 * rate:g} %"
        alarms = f"{point.n_false_alarms}/{n_none}"
        rates = f"{100 * point.dir:8.1f}{100 * point.ttr:8.1f}"
        side = "above" if row.measure in SIMILARITIES else "below"
        threshold = f"{row.measure} {side} {shown(row.measure, point.threshold):.4f}"
        lines.append(f"{row.name:18}{asked:>8}{alarms:>16}{rates}  {threshold}")
    if FALSE_ALARM_RATES[0] * n_none < 1:
        lines.append(
            f"{n_none} queries without a mate are too few to measure rates below"
            f" {100 / n_none:.2g} %"
        )
    if even:
        lines.append(
            f"pairs: even odds of one person at cosine {even.even:.3f}, {100 * even.error:.1f} % of"
            " pairs on the wrong side"
        )
    return lines


def _points(found: OpenSet, rows: Sequence[Row]) -> Iterator[tuple[Row, float, Point]]:
    """Each ranking with each of `FALSE_ALARM_RATES`, and the scores at its threshold."""
    for row in rows:
        matches = found.matches[row.name]
        for rate in FALSE_ALARM_RATES:
            yield row, rate, matches.at(matches.threshold(rate))


def over_splits(splits: Sequence[dict[str, Any]]) -> list[str]:
    """Mean and standard deviation of every row over the splits, in percent."""
    lines = []
    for rows in zip(*(split["rows"] for split in splits), strict=True):
        cells = []
        for key in SCORES:
            values = 100 * np.array([row[key] for row in rows])
            cells.append(f"{key} {values.mean():.1f} +- {values.std(ddof=1):.1f}")
        lines.append(f"{rows[0]['name']:18}{'  '.join(cells)}")
    return lines


def across(documents: Sequence[dict[str, Any]]) -> list[str]:
    """One line for every data set and ranking, in percent; over several splits the means count."""
    lines = [f"{'':16}{'':18}{SCORE_HEAD}"]
    for document in documents:
        for rows in zip(*(split["rows"] for split in document["splits"]), strict=True):
            means = [100 * np.mean([row[key] for row in rows]) for key in SCORES]
            numbers = "".join(f"{mean:8.1f}" for mean in means)
            lines.append(f"{document['data']:16}{rows[0]['name']:18}{numbers}")
    return lines


def draw(report: Report, data: Dataset, folder: Path, n_pictures: int) -> None:
    """Ranked results of queries spread over the data set, by the last row's ranking, and the
    transitions if there are any.
    """
    row = report.rows[-1]
    ranked = []
    for q in pictures.spread(range(len(data.query)), n_pictures):
        found = row.ranking.top[q]
        is_item = found >= 0
        scores = shown(row.measure, row.ranking.top_distances[q][is_item])
        items = [data.gallery[g] for g in found[is_item]]
        results = list(zip(items, scores.tolist(), strict=True))
        ranked.append(Ranked(q, data.query[q], results, row.measure))
    written = pictures.write_ranked(ranked, folder)
    if report.transitions is not None:
        pictures.plot_transitions(
            report.transitions.table, report.transitions.bin_frames, folder / "transitions.png"
        )
    print(f"{folder}: {len(written)} queries drawn, by the {row.name} ranking")


def leaks(
    about: dict[str, Any], path: Path, name: str, options: dict[str, Any], data: Dataset
) -> list[str]:
    """Note when people of this test were, or may have been, among the training people of the
    network.
    """
    trained = about.get("settings", {}).get("data", {})
    if trained.get("name") != name:
        return []
    given = {**WHO, **(trained.get("options") or {})}
    differ = [
        f"{key} {given[key]}".rstrip()
        for key, usual in WHO.items()
        if given[key] != options.get(key, usual)
    ]
    if differ:
        return [
            f"note: {path} was trained with {', '.join(differ)}: people tested here may be among"
            " its training people"
        ]
    if (
        not data.train
        and Path(trained.get("root", "")).expanduser().resolve() == data.root.resolve()
    ):
        return [
            f"note: {path} was trained on people of {data.root}: people tested here are among its"
            " training people"
        ]
    return []


def _check(parsed: argparse.Namespace) -> None:
    """Raise InputError for a number that counts nothing."""
    for name in ("clip_length", "n_pictures", "top", "batch"):
        if (value := getattr(parsed, name)) < 1:
            raise InputError(f"--{name.replace('_', '-')} {value}: give 1 or more")
    if not parsed.smooth >= 0 or not parsed.alpha > 0:
        raise InputError("--smooth takes 0 or more, --alpha more than 0")
    if not all(MIN_SCALE <= scale <= MAX_SCALE for scale in parsed.scales):
        raise InputError(f"--scales takes numbers from {MIN_SCALE} to {MAX_SCALE:.0f}")
    if not 0 <= parsed.open_set < 1:
        raise InputError(
            "--open-set takes the share of the people who leave the gallery, from 0 (none, no"
            " open-set scores) to below 1"
        )
    if parsed.seed < 0:
        raise InputError(f"--seed {parsed.seed}: give 0 or more")
    if (parsed.times or parsed.save_times) and not parsed.spatial_temporal:
        raise InputError("--times and --save-times need --spatial-temporal")
    if parsed.save_times and (len(parsed.data) > 1 or parsed.all_splits):
        raise InputError("--save-times keeps the times of one data set; evaluate it alone")


def _make_folders(parsed: argparse.Namespace, pictured: Path | None) -> None:
    """Make the folders of what will be written, before the work of an hour is lost; raises
    InputError.
    """
    written = [parsed.json, parsed.save_times]
    for folder in (pictured, *(path and path.parent for path in written)):
        try:
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: {files.failure(error)}") from None
    if parsed.json and parsed.json.is_dir():
        raise InputError(f"{parsed.json}: is a folder; --json takes the name of a file")
    if parsed.save_times and parsed.save_times.is_dir():
        raise InputError(f"{parsed.save_times}: is a folder; --save-times takes the name of a file")


def _plain(row: Row) -> dict[str, Any]:
    ranks = {f"rank{k}": row.scores.at(k) for k in RANKS}
    rest = {"valid_queries": row.scores.n_valid, "seconds": row.seconds, "peak_mib": row.peak_mib}
    return {"name": row.name, "map": row.scores.mean_ap, **ranks, **rest}


def _plain_open_set(found: OpenSet, rows: Sequence[Row]) -> dict[str, Any]:
    """The open set as JSON values."""
    points = []
    for row, rate, point in _points(found, rows):
        points.append(
            {
                "name": row.name,
                "measure": row.measure,
                "false_alarm_rate": rate,
                "false_alarms": point.n_false_alarms,
                "threshold": float(shown(row.measure, point.threshold)),
                "dir": point.dir,
                "ttr": point.ttr,
            }
        )
    any_matches = found.matches[rows[0].name]
    return {
        "share": found.left_out.share,
        "seed": found.left_out.seed,
        "people_left_out": found.left_out.n_left_out,
        "people": found.left_out.n_people,
        "queries_with_mate": int(any_matches.has_mate.sum()),
        "queries_without_mate": int(any_matches.has_none.sum()),
        "points": points,
        "even_odds": asdict(found.even) if found.even else None,
    }


if __name__ == "__main__":
    sys.exit(main())
