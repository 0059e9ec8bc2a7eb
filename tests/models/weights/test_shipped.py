"""What ships is what was measured, and can be opened as it is."""

import datetime
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from models import weights
from models.errors import InputError
from models.weights import shipped

ABOUT = {
    "licence": "research only",
    "data": "drawings",
    "command": "train",
    "commit": "abcdef0",
    "scores": {"map": 0.5},
}


def entry(name: str, role: str, data: bytes, **others: Any) -> dict[str, Any]:
    """One entry of weights.json."""
    digest = hashlib.sha256(data).hexdigest()
    about = {
        "name": name,
        "role": role,
        "file": f"{name}.safetensors",
        "sha256": digest,
        "bytes": len(data),
    }
    return {**ABOUT, **about, "date": "2026-11-21", **others}


def write_table(folder: Path, *entries: dict[str, Any]) -> None:
    (folder / "weights.json").write_text(json.dumps({"weights": entries}), encoding="utf-8")


def write_network(path: Path, role: str = "reid", n: int = 4) -> Path:
    """A file whose metadata say what it is."""
    about = {"reid": {"schema": "reid/1"}, "detector": {"architecture": "yolo11n.yaml"}, "": {}}[
        role
    ]
    path.write_bytes(save({"weight": np.arange(n, dtype=np.float32)}, about))
    return path


def refusal(folder: Path, role: str = "reid") -> str:
    """Message of the InputError that asking for the weights of a role raises, checked to be one
    line.
    """
    with pytest.raises(InputError) as caught:
        shipped.bundled(role, "cpu", folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_is_bundled_without_a_table_or_an_entry_of_the_role(tmp_path: Path) -> None:
    assert weights.bundled("reid", "cpu", tmp_path) is None
    (tmp_path / "people.safetensors").write_bytes(b"x")
    write_table(tmp_path, entry("people", "detector", b"x"))
    assert weights.bundled("reid", "cpu", tmp_path) is None
    assert weights.bundled("detector", "cpu", tmp_path) == tmp_path / "people.safetensors"


@pytest.mark.parametrize(
    ("devices", "on_cpu", "on_cuda"),
    [
        (["any"], 0, 0),
        (["cuda", "cpu"], 1, 0),
        (["cpu", "cuda"], 0, 1),
        (["any", "cpu"], 1, 0),
        (["cuda", "any"], 1, 0),
        (["cuda"], 0, 0),
        (["cpu"], 0, 0),
        (["any", "any"], 0, 0),
    ],
)
def test_of_several_networks_the_one_made_for_the_device_is_taken(
    tmp_path: Path, devices: list[str], on_cpu: int, on_cuda: int
) -> None:
    paths = [tmp_path / f"n{i}.safetensors" for i in range(len(devices))]
    for path in paths:
        path.write_bytes(b"x")
    write_table(
        tmp_path,
        *(entry(p.stem, "reid", b"x", device=d) for p, d in zip(paths, devices, strict=True)),
    )
    assert weights.bundled("reid", "cpu", tmp_path) == paths[on_cpu]
    assert weights.bundled("reid", "cuda", tmp_path) == paths[on_cuda]
    assert weights.bundled("reid", "mps", tmp_path) == paths[on_cuda]


def test_weights_that_are_missing_or_altered_are_not_opened_and_the_error_says_how_to_get_them_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "net.safetensors"
    write_table(tmp_path, entry("net", "reid", b"x"))
    end = f"; restore them (git checkout -- {path}) or name other weights"
    assert refusal(tmp_path) == f"{path}: the shipped weights are missing{end}"
    path.write_bytes(b"y")
    assert (
        refusal(tmp_path)
        == f"{path}: the shipped weights are not those that were measured (their sha256"
        f" differs){end}"
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"licenze": "x"}, "unknown key weights.0.licenze; did you mean weights.0.licence?"),
        ({"licence": ""}, "weights.0.licence"),
        ({"role": "tracker"}, "weights.0.role"),
        ({"file": "../net.safetensors"}, "weights.0.file"),
        ({"file": "net.pt"}, "weights.0.file"),
        ({"sha256": "12"}, "weights.0.sha256"),
        ({"bytes": 0}, "weights.0.bytes"),
        ({"commit": "yesterday"}, "weights.0.commit"),
        ({"date": "long ago"}, "weights.0.date"),
        ({"device": "abacus"}, "weights.0.device"),
    ],
)
def test_a_table_that_says_nonsense_is_an_error_that_names_the_key(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    write_table(tmp_path, {**entry("net", "reid", b"x"), **change})
    assert complaint in refusal(tmp_path)


@pytest.mark.parametrize("missing", ["sha256", "licence", "data", "command", "commit", "date"])
def test_an_entry_without_its_provenance_is_refused(tmp_path: Path, missing: str) -> None:
    about = entry("net", "reid", b"x")
    del about[missing]
    write_table(tmp_path, about)
    assert f"weights.0.{missing}: Field required" in refusal(tmp_path)


@pytest.mark.parametrize("twice", ["name", "file"])
def test_two_entries_of_one_name_or_file_are_refused(tmp_path: Path, twice: str) -> None:
    one, other = entry("one", "reid", b"x"), entry("other", "reid", b"x")
    write_table(tmp_path, one, {**other, twice: one[twice]})
    assert f"two entries have the {twice} {one[twice]}" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '"weights"', "\xff"])
def test_a_table_that_is_no_mapping_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "weights.json").write_text(text, encoding="latin-1")
    assert refusal(tmp_path).startswith(f"{tmp_path}/weights.json: ")


@pytest.mark.parametrize("role", ["reid", "detector"])
def test_added_weights_ship_with_what_was_found_out_about_them(tmp_path: Path, role: str) -> None:
    source = write_network(tmp_path / "net.safetensors", role)
    folder = tmp_path / "shipped"
    added = shipped.add(source, {"name": "net", "role": role, **ABOUT}, folder=folder)
    data = source.read_bytes()
    assert (folder / "net.safetensors").read_bytes() == data
    assert (added.sha256, added.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert abs((added.date - datetime.datetime.now(datetime.UTC).date()).days) <= 1
    assert {key: getattr(added, key) for key in ABOUT} == ABOUT
    assert shipped.read(folder) == [added]
    assert weights.bundled(role, "cpu", folder) == folder / "net.safetensors"


def test_a_name_that_ships_is_replaced_only_when_told_so_and_its_old_file_goes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "shipped"
    about = {"role": "reid", **ABOUT}
    for name in ("one", "two"):
        shipped.add(
            write_network(tmp_path / f"{name}.safetensors"), {"name": name, **about}, folder=folder
        )
    better = write_network(tmp_path / "better.safetensors", n=5)
    with pytest.raises(
        InputError,
        match=r"^one ships already, as one\.safetensors; give another --name or --replace$",
    ):
        shipped.add(better, {"name": "one", **about}, folder=folder)
    assert not (folder / "better.safetensors").exists()
    shipped.add(better, {"name": "one", **about}, replace=True, folder=folder)
    assert [e.file for e in shipped.read(folder)] == ["better.safetensors", "two.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "better.safetensors",
        "two.safetensors",
        "weights.json",
    ]
    assert shipped.unlisted(shipped.read(folder), folder) == []
    again = write_network(tmp_path / "better.safetensors", n=6)
    shipped.add(again, {"name": "one", **about}, replace=True, folder=folder)
    assert weights.bundled("reid", "cpu", folder) == folder / "better.safetensors"


def test_a_new_name_does_not_overwrite_the_file_of_another(tmp_path: Path) -> None:
    source, folder = write_network(tmp_path / "net.safetensors"), tmp_path / "shipped"
    shipped.add(source, {"name": "one", "role": "reid", **ABOUT}, folder=folder)
    before = (folder / "net.safetensors").read_bytes()
    write_network(source, n=9)
    with pytest.raises(InputError, match=r"two entries have the file net\.safetensors"):
        shipped.add(source, {"name": "two", "role": "reid", **ABOUT}, folder=folder)
    assert (folder / "net.safetensors").read_bytes() == before


def test_more_than_eighty_megabytes_in_all_do_not_ship(tmp_path: Path) -> None:
    source = write_network(tmp_path / "net.safetensors")
    room = shipped.MAX_BYTES - source.stat().st_size
    about = {"name": "net", "role": "reid", **ABOUT}
    for n_bytes in (room + 1, room):
        write_table(tmp_path, entry("large", "reid", b"x", bytes=n_bytes))
        if n_bytes > room:
            with pytest.raises(InputError, match=r"80\.0 MB would ship in all, more than 80 MB"):
                shipped.add(source, about, folder=tmp_path)
            assert len(shipped.read(tmp_path)) == 1
        else:
            shipped.add(source, about, folder=tmp_path)
            assert len(shipped.read(tmp_path)) == 2


@pytest.mark.parametrize("role", ["reid", "detector"])
def test_only_safetensors_that_say_what_they_are_ship(tmp_path: Path, role: str) -> None:
    about = {"name": "net", "role": role, **ABOUT}
    folder = tmp_path / "shipped"
    (tmp_path / "text.safetensors").write_text("just text", encoding="utf-8")
    other = write_network(
        tmp_path / "other.safetensors", {"reid": "detector", "detector": "reid"}[role]
    )
    plain = write_network(tmp_path / "plain.safetensors", "")
    older = tmp_path / "older.safetensors"
    older.write_bytes(save({"weight": np.zeros(1, np.float32)}, {"schema": "reid/0"}))
    renamed = write_network(tmp_path / "net.bin", role)
    for source, why in [
        (tmp_path / "text.safetensors", "only .safetensors files ship"),
        (other, "does not say what it is"),
        (plain, "does not say what it is"),
        (older, "does not say what it is"),
        (renamed, "file: "),
        (tmp_path / "missing.safetensors", "cannot be read"),
        (tmp_path, "cannot be read"),
    ]:
        with pytest.raises(InputError, match=why) as caught:
            shipped.add(source, about, folder=folder)
        assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_the_commit_is_that_of_the_checkout_and_says_when_files_differ_from_it(
    tmp_path: Path,
) -> None:
    def git(*arguments: str) -> str:
        command = [
            "git",
            "-C",
            str(tmp_path),
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@x",
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with pytest.raises(InputError, match=r"is in no git checkout; .*--commit$"):
        shipped.head(tmp_path)
    git("init", "-q")
    (tmp_path / "code.py").write_text("1", encoding="utf-8")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("tag", "-a", "v1", "-m", "a tag")
    assert shipped.head(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "code.py").write_text("2", encoding="utf-8")
    assert shipped.head(tmp_path) == git("rev-parse", "HEAD") + "-dirty"
    assert shipped.Shipped.model_validate(
        {**entry("net", "reid", b"x"), "commit": shipped.head(tmp_path)}
    )


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("role", ["detector", "reid"])
def test_what_the_repository_ships_is_what_its_table_says(role: str, device: str) -> None:
    path = weights.bundled(role, device)
    if path is None:
        pytest.skip(f"no {role} weights are bundled")
    (about,) = [e for e in shipped.read() if e.file == path.name]
    assert weights.sha256(path) == about.sha256 and path.stat().st_size == about.bytes


def test_the_repository_ships_nothing_that_its_table_does_not_name() -> None:
    entries = shipped.read()
    assert shipped.unlisted(entries) == []
    assert sum(e.bytes for e in entries) <= shipped.MAX_BYTES
    assert [(e.name, wrong) for e in entries if (wrong := shipped.fault(e))] == []
