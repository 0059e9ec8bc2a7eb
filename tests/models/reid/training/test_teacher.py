"""Learning from another network, and from more than one data set."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import InputError
from models.reid import encoder
from models.reid.evaluation import distances
from models.reid.evaluation.features import extract
from models.reid.networks import file, table
from models.reid.networks.file import Recipe
from models.reid.settings import Settings
from models.reid.training import run
from models.reid.training import teacher as teaching
from tests.models.reid import miniatures
from tests.models.reid.training.runs import StopAfter, quick, rows, same_weights, small

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A network of 16 values that nobody trained, as a file."""
    torch.manual_seed(7)
    path = tmp_path / "teacher.safetensors"
    file.save(table.build("small", {}).eval(), Recipe("small", {}, 64, 32), path)
    return path


def taught(people: Path, teacher: Path, **changed: Any) -> Settings:
    """Settings that ask for nothing but the teacher's features."""
    alone = {
        "losses__classification__weight": 0,
        "losses__triplet__weight": 0,
        "losses__teacher__weights": str(teacher),
    }
    return small(people, **{**alone, "batches__sampler": "shuffled", **changed})


def agreement(model: Path, teacher: Path, settings: Settings) -> float:
    """Mean cosine of the features of the held-out people."""
    data = run.load_data(settings)
    own, theirs = (
        distances.normalise(extract(encoder.load(path, "cpu"), data.gallery))
        for path in (model, teacher)
    )
    return float((own * theirs).sum(1).mean())


def test_a_student_comes_to_agree_with_its_teacher_about_people_it_never_saw(
    people: Path, teacher: Path, tmp_path: Path
) -> None:
    begun = taught(people, teacher, train__epochs=1, optimizer__lr=1e-6)
    settings = taught(
        people, teacher, train__epochs=40, train__evaluate_every=40, optimizer__lr=0.01
    )
    run.fit(begun, tmp_path / "begun")
    run.fit(settings, tmp_path / "run")
    before, after = (
        agreement(tmp_path / name / "model.safetensors", teacher, settings)
        for name in ("begun", "run")
    )
    assert after > max(0.8, before + 0.2)
    log = rows(tmp_path / "run")
    assert set(log[0]) == {"epoch", "lr", "embedding", "relation", "loss"}
    assert log[-1]["embedding"] < 0.5 * log[0]["embedding"]
    assert log[-1]["loss"] == pytest.approx(
        5 * log[-1]["embedding"] + 10 * log[-1]["relation"], rel=1e-5
    )


def test_the_teacher_looks_once_at_each_picture_and_the_next_run_finds_what_it_saw(
    people: Path, teacher: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    settings = taught(people, teacher, losses__teacher__cache=str(cache))
    run.fit(settings, tmp_path / "one")
    (kept,) = cache.iterdir()
    pictures = run.load_data(settings).train
    assert np.load(kept).shape == (len(pictures), 16)
    written = kept.stat().st_mtime_ns
    run.fit(settings, tmp_path / "two")
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [written]
    assert same_weights(tmp_path / "one", tmp_path / "two")
    run.fit(
        taught(people, teacher, losses__teacher__cache=str(cache), data__validation=0),
        tmp_path / "more",
    )
    assert len(list(cache.iterdir())) == 2  # other pictures


def test_features_are_of_the_picture_and_its_mirror_image_and_stay_with_their_pictures(
    people: Path, teacher: Path, tmp_path: Path
) -> None:
    settings = taught(people, teacher)
    samples = run.load_data(settings).train
    opened = teaching.load(settings)
    assert opened is not None
    found = teaching.features(opened, settings, samples, tmp_path)
    assert torch.allclose(found.norm(dim=1), torch.ones(len(samples)))
    backwards = teaching.features(opened, settings, samples[::-1], tmp_path)
    assert torch.allclose(found, backwards.flip(0), atol=1e-5)
    plain = torch.from_numpy(distances.normalise(extract(opened, samples)))
    assert not torch.allclose(found, plain, atol=1e-3) and float((found * plain).sum(1).min()) > 0.9


def test_an_interrupted_student_goes_on_to_the_same_weights(
    people: Path, teacher: Path, tmp_path: Path
) -> None:
    settings = taught(people, teacher, batches__n_people=1)
    run.fit(settings, tmp_path / "whole")
    assert run.fit(settings, tmp_path / "parts", stop=StopAfter(4)).interrupted
    run.fit(settings, tmp_path / "parts", resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


def test_a_teacher_of_another_width_is_refused_before_an_old_run_is_touched(
    people: Path, teacher: Path, tmp_path: Path
) -> None:
    run.fit(small(people), tmp_path / "run")
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    settings = quick(people, losses__teacher__weights=str(teacher))
    with pytest.raises(
        InputError,
        match=r"have 16 values and the network's 512; set network\.options\.embed_width to 16",
    ):
        run.fit(settings, tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_people_and_cameras_of_further_data_sets_are_others(people: Path, tmp_path: Path) -> None:
    more = miniatures.folder(tmp_path / "more", n_people=3, n_cameras=2, n_frames=2)
    settings = small(people, data__further=[{"name": "folder", "root": str(more)}])
    own, both = run.load_data(small(people)), run.load_data(settings)
    assert both.train[: len(own.train)] == own.train and (both.query, both.gallery) == (
        own.query,
        own.gallery,
    )
    added = both.train[len(own.train) :]
    assert len(added) == 12 and {s.camera for s in added} == {2, 3}
    assert {s.person_id for s in added} == {4, 5, 6} and both.n_train_people == 7
    run.fit(settings, tmp_path / "run")
    assert file.load(tmp_path / "run" / "model.safetensors").about["train_samples"] == len(
        both.train
    )


def test_tracklets_are_not_added_to_images(people: Path, tmp_path: Path) -> None:
    more = miniatures.folder(tmp_path / "more", n_people=3, n_cameras=2, n_frames=2)
    further = [{"name": "folder", "root": str(more), "options": {"kind": "tracklets"}}]
    with pytest.raises(InputError, match="holds tracklets"):
        run.load_data(small(people, data__further=further))
