"""Public models are fetched whole and as published, or not at all."""

import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import InputError
from models.weights import fetch
from models.weights.public import Public, PublicFile
from tests.models.weights.server import Server, serving

GRAPH, WEIGHTS = b"<net/>" * 50, b"weights" * 5000


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.contents = {"/there/graph.xml": GRAPH, "/there/w.bin": WEIGHTS}
        yield running


def model_at(url: str) -> Public:
    """Two files, published with different kinds of checksum, one under another name than here."""
    graph, weights = (
        f"sha256:{hashlib.sha256(GRAPH).hexdigest()}",
        f"sha384:{hashlib.sha384(WEIGHTS).hexdigest()}",
    )
    return Public(
        name="net",
        role="reid",
        convention="imagenet",
        licence="MIT",
        page="https://example.org",
        files=[
            PublicFile(
                file="net.xml", url=f"{url}/there/graph.xml", bytes=len(GRAPH), checksum=graph
            ),
            PublicFile(
                file="net.bin", url=f"{url}/there/w.bin", bytes=len(WEIGHTS), checksum=weights
            ),
        ],
    )


def refusal(model: Public, folder: Path, mirror: str = "", timeout_s: float = 60) -> str:
    """Message of the InputError that fetching raises: one line, and nothing was written."""
    before = {path: path.read_bytes() for path in folder.glob("*")}
    with pytest.raises(InputError) as caught:
        fetch.fetch(model, folder, mirror, timeout_s)
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in folder.glob("*")} == before
    return str(caught.value)


def test_files_are_fetched_under_their_names_here_into_a_folder_that_is_made(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "cache" / "models"
    fetched = fetch.fetch(model_at(server.url), folder)
    assert fetched == [folder / "net.xml", folder / "net.bin"]
    assert sorted(folder.iterdir()) == sorted(fetched)
    assert [path.read_bytes() for path in fetched] == [GRAPH, WEIGHTS]


def test_what_is_there_is_not_fetched_again_and_what_was_altered_is(
    server: Server, tmp_path: Path
) -> None:
    model = model_at(server.url)
    fetch.fetch(model, tmp_path)
    assert fetch.fetch(model, tmp_path) == [] and len(server.asked) == 2
    (tmp_path / "net.bin").write_bytes(b"altered")
    assert fetch.fetch(model, tmp_path) == [tmp_path / "net.bin"]
    assert (tmp_path / "net.bin").read_bytes() == WEIGHTS and len(server.asked) == 3


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_holds_the_files_under_their_names_here(
    server: Server, tmp_path: Path, slash: str
) -> None:
    server.contents = {"/mirror/net.xml": GRAPH, "/mirror/net.bin": WEIGHTS}
    fetch.fetch(model_at("https://nowhere.invalid"), tmp_path, f"{server.url}/mirror{slash}")
    assert (tmp_path / "net.xml").read_bytes() == GRAPH


def test_a_folder_on_a_disk_can_be_a_mirror(server: Server, tmp_path: Path) -> None:
    disk, folder, model = tmp_path / "disk", tmp_path / "cache", model_at(server.url)
    assert "No such file or directory" in refusal(model, folder, disk.as_uri())
    fetch.fetch(model, disk)
    assert fetch.fetch(model, folder, disk.as_uri()) == [folder / "net.xml", folder / "net.bin"]


@pytest.mark.parametrize("change", ["altered", "longer", "empty"])
def test_a_file_that_is_not_as_published_leaves_nothing(
    server: Server, tmp_path: Path, change: str
) -> None:
    altered = {"altered": WEIGHTS.swapcase(), "longer": WEIGHTS + b"!", "empty": b""}[change]
    server.contents["/there/w.bin"] = altered
    why = (
        "broke off after 0 of"
        if change == "empty"
        else "net.bin is not the file that was published"
    )
    assert why in refusal(model_at(server.url), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_altered_file_stays_as_it_is_when_its_replacement_is_wrong_too(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "net.xml").write_bytes(b"mine")
    server.contents["/there/w.bin"] = b"?" * len(WEIGHTS)
    refusal(model_at(server.url), tmp_path)
    assert (tmp_path / "net.xml").read_bytes() == b"mine"


def test_an_interrupted_transfer_says_how_far_it_came(server: Server, tmp_path: Path) -> None:
    server.broken.add("/there/w.bin")
    assert f"net.bin broke off after {len(WEIGHTS) // 2} of {len(WEIGHTS)} bytes" in refusal(
        model_at(server.url), tmp_path
    )


def test_a_file_that_is_no_longer_published_is_named_with_its_status(
    server: Server, tmp_path: Path
) -> None:
    del server.contents["/there/w.bin"]
    assert "HTTP 404" in refusal(model_at(server.url), tmp_path)


def test_a_server_that_says_nothing_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.silent.add("/there/graph.xml")
    start = time.monotonic()
    assert "timed out" in refusal(model_at(server.url), tmp_path, timeout_s=0.2)
    assert time.monotonic() - start < fetch.TIMEOUT_S


def test_without_a_network_the_message_says_which_files_to_put_where(tmp_path: Path) -> None:
    with socket.socket() as free:  # a port that nobody listens on
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        message = refusal(model_at(url), tmp_path)
    assert (
        message
        == f"net: cannot be fetched (Connection refused); fetch by hand {url}/there/graph.xml as"
        f" net.xml and {url}/there/w.bin as net.bin, into {tmp_path}; nothing was kept"
    )


def test_by_hand_what_is_there_already_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.xml").write_bytes(GRAPH)
    del server.contents["/there/w.bin"]
    assert "net.xml" not in refusal(model_at(server.url), tmp_path)


@pytest.mark.parametrize(
    "mirror",
    ["nonsense", "http://", "http://[broken", "ftp://127.0.0.1:1/x", "http://127.0.0.1:99999/"],
)
def test_a_mirror_that_is_no_address_is_an_error_of_one_line(tmp_path: Path, mirror: str) -> None:
    assert refusal(model_at("https://nowhere.invalid"), tmp_path, mirror, 1).startswith(
        "net: cannot be fetched ("
    )


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"^.*/file/net.xml: cannot be written \(.*$"):
        fetch.fetch(model_at(server.url), tmp_path / "file")
