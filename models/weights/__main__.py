"""Look after weights: `python -m models.weights verify|list|add|get`.

verify: are the shipped files those that were measured? Exit code 1 when one is not.
list:   what ships, and which public models can be fetched.
add:    ship a .safetensors file: copies it beside `weights.json` and describes it there.
get:    fetch a public model into the cache folder ($PEOPLE_TRACKER_CACHE, else
~/.cache/people-tracker).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from models import command, settings
from models.errors import InputError
from models.weights import fetch, public, shipped

Row = tuple[str, str, int, dict[str, Any], str, str]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line -> namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m models.weights", description="Look after weights."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("verify", "check the shipped files"),
        ("list", "what ships and what can be fetched"),
    ):
        commands.add_parser(name, help=text, description=text)
    add = commands.add_parser(
        "add", help="ship a file", description="Ship a .safetensors file."
    ).add_argument
    add("file", type=Path, metavar="FILE", help="the weights, .safetensors")
    add("--name", required=True, help="what they go by")
    add("--role", required=True, choices=get_args(shipped.Role))
    add("--licence", required=True, metavar="TEXT", help="under which terms they may be used")
    add("--data", required=True, metavar="TEXT", help="what they were trained on")
    add("--command", dest="trained_by", required=True, metavar="TEXT", help="what trained them")
    add(
        "--commit", metavar="HASH", help="of the code that trained them (default: of this checkout)"
    )
    add(
        "--score",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a measured value; may be repeated",
    )
    add(
        "--device",
        default="any",
        choices=get_args(shipped.Device),
        help="where auto takes them, when there is a choice",
    )
    add("--replace", action="store_true", help="in the place of the entry of that name")
    get = commands.add_parser(
        "get", help="fetch a public model", description="Fetch a public model."
    ).add_argument
    get("name", metavar="NAME", help="as `list` names it")
    get(
        "--to",
        type=Path,
        metavar="DIR",
        help=f"folder (default: the cache folder; the environment's {public.CACHE} names it)",
    )
    get(
        "--from",
        dest="mirror",
        default="",
        metavar="URL",
        help=(
            "a mirror: http, https or file URL of a folder that holds the files under the names"
            " here"
        ),
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 1 a shipped file is not what it should be, 2 an error in the
    input, 130 interrupted.
    """
    commands = {"verify": verify, "list": show, "add": add, "get": get}
    parsed = parse(arguments)
    return command.run(commands[parsed.command], parsed)


def verify(parsed: argparse.Namespace) -> int:
    """Print a line for each shipped file; 1 when one is missing, altered or not listed."""
    entries = shipped.read(shipped.FOLDER)
    faults = [(entry.name, shipped.fault(entry, shipped.FOLDER)) for entry in entries]
    faults += [
        (name, f"are not in {shipped.TABLE}") for name in shipped.unlisted(entries, shipped.FOLDER)
    ]
    for name, fault in faults:
        print(f"{name}: weights {fault}" if fault else f"{name}: ok")
    total = sum(entry.bytes for entry in entries)
    print(f"{len(entries)} files ship, {total / 1e6:.1f} of {shipped.MAX_BYTES / 1e6:.0f} MB")
    return 1 if any(fault for _, fault in faults) or total > shipped.MAX_BYTES else 0


def show(parsed: argparse.Namespace) -> int:
    """Print what ships and what can be fetched."""
    entries = shipped.read(shipped.FOLDER)
    print(
        "\n".join(
            _table(
                "ships", [(e.name, e.role, e.bytes, e.scores, e.device, e.licence) for e in entries]
            )
        )
    )
    folder = public.cache_folder()
    rows: list[Row] = []
    for m in public.catalogue().values():
        state = "not fetched" if any(public.fault(f, folder) for f in m.files) else "fetched"
        rows.append((m.name, m.role, sum(f.bytes for f in m.files), m.scores, state, m.licence))
    print("\n".join(["", *_table("public: python -m models.weights get NAME", rows)]))
    print(
        f"\nfetched models lie in {folder}; ultralytics fetches its own models when"
        " detector.weights names them"
    )
    return 0


def add(parsed: argparse.Namespace) -> int:
    """Ship a file."""
    about = {
        "name": parsed.name,
        "role": parsed.role,
        "licence": parsed.licence,
        "data": parsed.data,
        "command": parsed.trained_by,
        "commit": parsed.commit or shipped.head(shipped.FOLDER),
        "device": parsed.device,
        "scores": settings.overrides(parsed.score, "map=0.85"),
    }
    entry = shipped.add(parsed.file, about, parsed.replace, shipped.FOLDER)
    print(f"{shipped.FOLDER / entry.file}: ships as {entry.name}, {entry.bytes / 1e6:.1f} MB")
    return 0


def get(parsed: argparse.Namespace) -> int:
    """Fetch a public model."""
    model = public.catalogue().get(parsed.name)
    if model is None and parsed.name.endswith(".pt"):
        raise InputError(
            f"{parsed.name}: no checksum of it is known here; if ultralytics publishes it,"
            f" ultralytics fetches it when you name it: --set detector.weights={parsed.name}"
        )
    if model is None:
        raise InputError(
            f"{parsed.name}: not a public model that is known here; known are"
            f" {', '.join(public.catalogue())}"
        )
    folder = parsed.to or public.cache_folder()
    fetched = fetch.fetch(model, folder, parsed.mirror)
    for file in model.files:
        path = folder / file.file
        print(
            f"{path}: {'fetched' if path in fetched else 'was there'},"
            f" {file.checksum.partition(':')[0]} as published"
        )
    print(f"use it: --set reid.weights={folder / model.files[0].file if parsed.to else model.name}")
    return 0


def _table(title: str, rows: Sequence[Row]) -> list[str]:
    """A title and a line a row: name, role, size, scores, device or state, licence."""
    cells = [
        (
            name,
            role,
            f"{n_bytes / 1e6:.1f} MB",
            " ".join(f"{k}={v}" for k, v in scores.items()) or "not measured",
            state,
            licence,
        )
        for name, role, n_bytes, scores, state, licence in rows
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return [title, *(lines or ["nothing"])]


if __name__ == "__main__":
    sys.exit(main())
