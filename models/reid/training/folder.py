"""The folder of a training run.

config.yaml              the resolved settings: `--config` of this file repeats the run
log.jsonl                one JSON object an epoch
tensorboard/             the same for TensorBoard
checkpoint.safetensors   to resume from, written after each epoch and when interrupted
model.safetensors        the network of the best held-out score; the last where nobody is held out
curves.png               loss and held-out scores over the epochs

Where the data set has frame numbers:
transitions.png          how long its training people take between cameras; also in TensorBoard
times.npz                the same for `models.reid.evaluate --spatial-temporal --times`
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models import files
from models.errors import InputError
from models.reid.data.loader import read_image

CONFIG = "config.yaml"
LOG = "log.jsonl"
BOARD = "tensorboard"
CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"
CURVES = "curves.png"
TRANSITIONS = "transitions.png"
TIMES = "times.npz"
COMPARED = ("map", "rank1", "loss", "accuracy")
"""What TensorBoard's table of runs compares."""


def check(output: Path, resume: bool, overwrite: bool) -> None:
    """Raise InputError rather than mix two runs or touch what is not ours. Changes nothing."""
    if resume:
        if not (output / CHECKPOINT).is_file() or not (output / CONFIG).is_file():
            raise InputError(
                f"{output}: there is no {CHECKPOINT} with its {CONFIG} to resume from; leave out"
                " --resume"
            )
        return
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give another --output")
    if output.is_dir() and any(output.iterdir()):
        if not (output / CONFIG).is_file():
            raise InputError(
                f"{output}: is not empty and not a training run; give another --output"
            )
        if not overwrite:
            raise InputError(
                f"{output}: holds a run; give --resume to go on with it, or --overwrite to"
                " replace it"
            )


def start(output: Path, settings: str) -> None:
    """Make the folder of a new run, without the files of an earlier one; raises InputError."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for old in (
            *(output / name for name in (LOG, CHECKPOINT, MODEL, CURVES, TRANSITIONS, TIMES)),
            *(output / BOARD).glob("events.out.*"),
        ):
            old.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{output}: {files.failure(error)}") from None
    files.write(output / CONFIG, settings.encode())


def go_on(output: Path, settings: str) -> None:
    """Keep the settings of a run that goes on, perhaps longer; raises InputError."""
    path = output / CONFIG
    if path.read_text(encoding="utf-8") != settings:
        files.write(path, settings.encode())


class Log:
    """Rows of the epochs, for people (log.jsonl, curves.png) and for TensorBoard."""

    def __init__(
        self, output: Path, epoch: int, settings: Mapping[str, bool | str | float]
    ) -> None:
        """Keep the rows before `epoch`: a run that died in an epoch does it again. `settings` go to
        TensorBoard's table of runs. Raises InputError.
        """
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        self._output = output
        self._rows = [row for row in _rows(output / LOG) if row["epoch"] < epoch]
        files.write(output / LOG, "".join(json.dumps(row) + "\n" for row in self._rows).encode())
        try:
            self._board = SummaryWriter(str(output / BOARD), purge_step=epoch)
            summaries = hparams(dict(settings), dict.fromkeys(COMPARED, 0.0))  # type: ignore[no-untyped-call]
            for summary in summaries:
                self._board.file_writer.add_summary(summary)  # type: ignore[attr-defined]
            self._board.flush()  # else its thread writes them later, perhaps on a full disk
        except OSError as error:
            raise InputError(f"{output / BOARD}: {files.failure(error)}") from None

    def write(self, row: dict[str, Any]) -> None:
        """Add one epoch; raises InputError."""
        self._rows.append(row)
        try:
            with (self._output / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            for name, value in row.items():
                if name != "epoch":
                    self._board.add_scalar(name, value, row["epoch"])
        except OSError as error:
            raise InputError(f"{self._output / LOG}: {files.failure(error)}") from None

    def show(self, picture: Path) -> None:
        """Add a picture of the folder, by the name of its file; raises InputError."""
        try:
            image = np.ascontiguousarray(read_image(picture)[:, :, ::-1])
            self._board.add_image(picture.stem, image, 0, dataformats="HWC")
        except OSError as error:
            raise InputError(f"{self._output / BOARD}: {files.failure(error)}") from None

    def draw(self) -> None:
        """Draw the curves; raises InputError."""
        from models.reid.evaluation.pictures import plot_curves

        if self._rows:
            plot_curves(self._rows, self._output / CURVES)

    def close(self) -> None:
        """Write what TensorBoard has not written yet; raises InputError."""
        try:
            self._board.close()
        except OSError as error:
            raise InputError(f"{self._output / BOARD}: {files.failure(error)}") from None


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a log; one that was cut short, by a power failure, is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
