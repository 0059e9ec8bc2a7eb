"""Which epoch becomes the model, and that only held-out training people say so."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from models.reid.data.loader import Batch
from models.reid.training import checkpoint, loop, run
from tests.models.reid import miniatures
from tests.models.reid.training.runs import rows, small

pytestmark = pytest.mark.usefixtures("small_network")


def test_selection_never_opens_query_and_gallery_of_the_data_set(tmp_path: Path) -> None:
    root = miniatures.market(tmp_path, n_train_people=6, n_cameras=2, n_images=3)
    for path in (*root.glob("query/*"), *root.glob("bounding_box_test/*")):
        path.write_bytes(b"not an image")
    changed = {
        "data__name": "market1501",
        "data__options": {"any_counts": True},
        "train__epochs": 1,
    }
    run.fit(small(tmp_path, **changed), tmp_path / "run")
    assert "map" in rows(tmp_path / "run")[0]


def test_held_out_people_are_never_in_a_training_batch(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(people)
    data = run.load_data(settings)
    trained_on: set[Path] = set()
    step = loop._step

    def watched(trainer: loop.Trainer, batch: Batch) -> dict[str, float]:
        trained_on.update(path for i in batch.indices.tolist() for path in data.train[i].paths)
        return step(trainer, batch)

    monkeypatch.setattr(loop, "_step", watched)
    run.fit(settings, tmp_path / "run")
    held = {path for sample in (*data.query, *data.gallery) for path in sample.paths}
    assert trained_on and not trained_on & held
    folders = {path.parent.parent for path in trained_on}
    assert len(folders) == 4 and not folders & {path.parent.parent for path in held}


def test_the_model_is_that_of_the_best_epoch_and_the_first_of_equals(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.2, 0.7, 0.7, 0.4])
    monkeypatch.setattr(run, "score", lambda *_: {"map": next(scores), "rank1": 0.5})
    kept: dict[int, dict[str, torch.Tensor]] = {}

    def look(row: dict[str, Any]) -> None:
        kept[row["epoch"]] = load_file(tmp_path / "run" / "model.safetensors")

    outcome = run.fit(small(people, train__epochs=4), tmp_path / "run", report=look)
    assert (outcome.best, outcome.best_epoch) == (0.7, 1)
    (best,) = (load_file(tmp_path / "run" / "model.safetensors"),)
    assert not all(torch.equal(kept[0][key], value) for key, value in best.items())
    assert all(torch.equal(kept[1][key], value) for key, value in best.items())


@pytest.mark.parametrize("select", ["map", "rank1", "reranked_map"])
def test_the_score_that_selects_is_the_one_asked_for(
    select: str, people: Path, tmp_path: Path
) -> None:
    outcome = run.fit(small(people, train__select=select, train__epochs=2), tmp_path / "run")
    log = rows(tmp_path / "run")
    assert outcome.best == max(row[select] for row in log) == log[outcome.best_epoch][select]


def test_the_model_is_the_moving_average_where_one_is_kept(people: Path, tmp_path: Path) -> None:
    run.fit(
        small(
            people, train__ema_decay=0.9, train__epochs=2, data__validation=0.0, batches__n_people=3
        ),
        tmp_path / "run",
    )
    states, _, _ = checkpoint.read(tmp_path / "run" / "checkpoint.safetensors")
    model = load_file(tmp_path / "run" / "model.safetensors")
    assert all(
        torch.equal(value, states["average"][f"module.{key}"]) for key, value in model.items()
    )
    assert not all(torch.equal(value, states["network"][key]) for key, value in model.items())
