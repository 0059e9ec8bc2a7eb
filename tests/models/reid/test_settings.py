"""Settings of a training, and the files that ship with them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from models import settings as sections
from models.errors import InputError
from models.reid import settings as training_settings
from models.reid.data.catalogue import CATALOGUE
from models.reid.networks import table
from models.reid.settings import EXAMPLE, Settings
from tests.conftest import ROOT

WITHOUT_SELECTION = {"distilled", "shipped"}
"""Configs that learn from a teacher for a fixed number of epochs and hold nobody out."""
CONFIGS = sorted((ROOT / "configs" / "reid").glob("*.yaml"))


def plain(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_the_example_is_exactly_the_defaults_and_has_every_key() -> None:
    path = ROOT / EXAMPLE
    assert training_settings.load(str(path)) == Settings()
    assert plain(path) == Settings().model_dump(mode="json")
    assert list(sections.keys(Settings)) == list(written(plain(path)))


def written(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of a YAML; `options` are a value."""
    found = []
    for key, value in values.items():
        nested = isinstance(value, dict) and key != "options"
        found += written(value, f"{prefix}{key}.") if nested else [prefix + key]
    return found


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_loads_and_names_a_data_set_and_a_network_that_are_there(
    path: Path,
) -> None:
    settings = training_settings.load(str(path))
    assert settings.data.name in CATALOGUE
    row = table.architecture(settings.network.architecture)
    if row.fixed_size:
        assert (settings.data.height_px, settings.data.width_px) == (row.height_px, row.width_px)
    if settings.network.init == "imagenet":
        assert row.imagenet
    else:
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert settings.network.init or "from random weights" in first
    assert settings.data.validation > 0 or path.stem in WITHOUT_SELECTION


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_command_above_a_shipped_config_names_the_file_itself(path: Path) -> None:
    comment = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    ]
    command = "tune" if path.stem == "search" else "train"
    given = f"models.reid.{command} --config configs/reid/{path.name} "
    assert any(given in line for line in comment)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_settings_survive_being_written(path: Path, tmp_path: Path) -> None:
    settings = training_settings.load(
        str(path), ("data.options={split: 3}", "augment.jitter=[0.1, 0.2, 0]")
    )
    (tmp_path / "config.yaml").write_text(sections.dump(settings), encoding="utf-8")
    assert training_settings.load(str(tmp_path / "config.yaml")) == settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trian: {}", "unknown key trian; did you mean train?"),
        (
            "losses: {triplet: {margn: 1}}",
            "unknown key losses.triplet.margn; did you mean losses.triplet.margin?",
        ),
        ("lr: 1", "unknown key lr; did you mean optimizer.lr?"),
        ("qqq: 1", f"unknown key qqq; {EXAMPLE} lists all keys"),
        ("train: {seed: -1}", "train.seed: "),
        ("train: {seed: 4294967296}", "train.seed: "),
        ("train: {precision: 8}", "train.precision: "),
        ("optimizer: {lr: 0}", "optimizer.lr: "),
        ("optimizer: {lr: .inf}", "optimizer.lr: "),
        ("schedule: {milestones: [0]}", "schedule.milestones.0: "),
        (
            "augment: {erase_area: [0.4, 0.02]}",
            "augment: erase_area needs the smaller number first",
        ),
        ("batches: {n_each: 1}", "triplet and OSM losses compare people"),
        ("batches: {sampler: shuffled}", "triplet and OSM losses compare people"),
        ("losses: {attention: 1}", "losses.attention needs augment.whole_clip: false"),
        (
            "losses: {osm: {weight: 1, vectors: centers}}",
            "losses.osm.vectors: centers needs losses.center.weight above 0",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_key(
    text: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        training_settings.load(str(path))
    assert str(caught.value).startswith(f"{path}: {expected}") and "\n" not in str(caught.value)


def test_set_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("train: {epochs: 3, seed: 7}", encoding="utf-8")
    settings = training_settings.load(
        str(path), ("train.epochs=4", "data.options={kind: tracklets}")
    )
    assert (settings.train.epochs, settings.train.seed, settings.data.options) == (
        4,
        7,
        {"kind": "tracklets"},
    )


@pytest.mark.parametrize("text", ["16", "'16'", "32", "bf16", "auto"])
def test_a_precision_needs_no_quotes(text: str) -> None:
    assert training_settings.load("", (f"train.precision={text}",)).train.precision == text.strip(
        "'"
    )
