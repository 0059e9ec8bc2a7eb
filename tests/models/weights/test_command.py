"""The command as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.weights import __main__ as command
from models.weights import public, shipped
from tests.conftest import ROOT
from tests.models.weights.server import serving
from tests.models.weights.test_shipped import write_network

NAME = "person-reidentification-retail-0277"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where weights ship, and where they are cached, in this test."""
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    monkeypatch.setenv(public.CACHE, str(tmp_path / "cache"))
    return tmp_path / "shipped"


def add(source: Path, *more: str) -> int:
    about = [
        "--name",
        "net",
        "--role",
        "reid",
        "--licence",
        "research",
        "--data",
        "drawings",
        "--command",
        "train --fast",
    ]
    return command.main(["add", str(source), *about, "--commit", "abcdef0", *more])


def test_weights_are_added_listed_and_verified(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["verify"]) == 0
    assert capsys.readouterr().out == "0 files ship, 0.0 of 80 MB\n"
    source = write_network(tmp_path / "net.safetensors")
    assert add(source, "--score", "map=0.85", "--score", "rank1=94.5", "--device", "cpu") == 0
    assert capsys.readouterr().out == f"{folder / 'net.safetensors'}: ships as net, 0.0 MB\n"
    (about,) = shipped.read(folder)
    assert (about.scores, about.device, about.command) == (
        {"map": 0.85, "rank1": 94.5},
        "cpu",
        "train --fast",
    )
    assert command.main(["verify"]) == 0
    assert capsys.readouterr().out == "net: ok\n1 files ship, 0.0 of 80 MB\n"
    assert command.main(["list"]) == 0
    assert "net  reid  0.0 MB  map=0.85 rank1=94.5  cpu  research\n" in capsys.readouterr().out


def test_verify_fails_for_what_is_altered_missing_or_not_listed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(write_network(tmp_path / "net.safetensors"))
    write_network(folder / "checkpoint.safetensors")
    assert command.main(["verify"]) == 1
    (folder / "net.safetensors").write_bytes(b"altered")
    assert command.main(["verify"]) == 1
    (folder / "net.safetensors").unlink()
    (folder / "checkpoint.safetensors").unlink()
    assert command.main(["verify"]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    unlisted, total = (
        "checkpoint.safetensors: weights are not in weights.json",
        "1 files ship, 0.0 of 80 MB",
    )
    assert lines == [
        "net: ok",
        unlisted,
        total,
        "net: weights are not those that were measured (their sha256 differs)",
        unlisted,
        total,
        "net: weights are missing",
        total,
    ]
    (folder / "weights.json").write_text("{", encoding="utf-8")
    assert command.main(["verify"]) == 2


def test_a_public_model_is_fetched_from_a_mirror_and_then_listed_as_fetched(
    folder: Path, tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [f"{NAME}.xml", f"{NAME}.bin"]
    with serving() as server:
        server.contents = {
            f"/{file}": (shared_data / "baselines" / file).read_bytes() for file in files
        }
        assert command.main(["get", NAME, "--from", server.url]) == 0
        assert command.main(["get", NAME, "--from", server.url]) == 0
        assert (
            command.main(["get", NAME, "--from", server.url, "--to", str(tmp_path / "mine")]) == 0
        )
        assert len(server.asked) == 4
    cache, mine = tmp_path / "cache", tmp_path / "mine"
    assert capsys.readouterr().out.splitlines() == [
        *(f"{cache / file}: fetched, sha384 as published" for file in files),
        f"use it: --set reid.weights={NAME}",
        *(f"{cache / file}: was there, sha384 as published" for file in files),
        f"use it: --set reid.weights={NAME}",
        *(f"{mine / file}: fetched, sha384 as published" for file in files),
        f"use it: --set reid.weights={mine / files[0]}",
    ]
    assert public.find(NAME) == cache / files[0]
    assert command.main(["list"]) == 0
    (line,) = [text for text in capsys.readouterr().out.splitlines() if text.startswith(f"{NAME} ")]
    assert (
        "4.8 MB" in line
        and " fetched" in line
        and "not fetched" not in line
        and "market1501_map=0.877" in line
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["get", "nobody"],
            f"error: nobody: not a public model that is known here; known are {NAME}, ",
        ),
        (["get", "yolo11n.pt"], "error: yolo11n.pt: no checksum of it is known here; "),
        (
            ["get", NAME, "--from", "http://127.0.0.1:1"],
            f"error: {NAME}: cannot be fetched (Connection refused); fetch by hand ",
        ),
        (
            ["add", "nowhere.safetensors"],
            "error: nowhere.safetensors: cannot be read (No such file or directory)",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_two(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = add(Path(arguments[1])) if arguments[0] == "add" else command.main(arguments)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err.startswith(message) and captured.err.count("\n") == 1


def test_the_command_runs_as_a_module_and_finds_the_repository_as_it_should_be() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "models.weights", "verify"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    n_files = len(
        json.loads((ROOT / "models" / "weights" / "weights.json").read_text(encoding="utf-8"))[
            "weights"
        ]
    )
    assert done.stdout.splitlines()[-1].startswith(f"{n_files} files ship, ")
