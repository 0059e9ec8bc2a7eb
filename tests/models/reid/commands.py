"""The command `evaluate` on the miniatures, in this process."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.reid import evaluate
from tests.models.reid import miniatures


@dataclass(frozen=True)
class Ran:
    """What a run of the command gave."""

    code: int
    out: list[str]
    error: list[str]
    document: dict[str, Any]

    @property
    def splits(self) -> list[dict[str, Any]]:
        return self.document["splits"]

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.splits[0]["rows"]}


class Command:
    """Runs the command. `root` holds the data sets, `weights` is a network, and scores go to
    `output`.
    """

    def __init__(
        self, root: Path, weights: Path, output: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root, self.weights, self.output, self.capsys = root, weights, output, capsys

    def __call__(
        self,
        data: str,
        *arguments: object,
        weights: object = "",
        root: object = "",
        json_file: str = "s.json",
    ) -> Ran:
        """Run it, quietly, with scores as JSON; of a published data set a part will do."""
        path = self.output / json_file
        fixed = [
            "--weights",
            weights or self.weights,
            "--data",
            data,
            "--root",
            root or self.root,
            "--json",
            path,
        ]
        partial = ["--set", "any_counts=true"] if data in miniatures.BUILDERS else []
        code = evaluate.main([*map(str, fixed), *partial, "--quiet", *map(str, arguments)])
        printed = self.capsys.readouterr()
        document = json.loads(path.read_text()) if code == 0 else {}
        return Ran(code, printed.out.splitlines(), printed.err.splitlines(), document)
