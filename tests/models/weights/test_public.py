"""Public models by name: where they are looked for, and what goes into them."""

import hashlib
import typing
from pathlib import Path

import pytest

from models.errors import InputError
from models.reid.preprocess import CONVENTIONS
from models.weights import public
from models.weights.public import Public, PublicFile
from pipeline.config import ReidConfig

REAL = "person-reidentification-retail-0277"


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Public:
    """A known model of two files, fetched into a cache folder of this test."""
    files = []
    for name, data in (("net.xml", b"graph"), ("net.bin", b"weights")):
        (tmp_path / name).write_bytes(data)
        checksum = f"sha384:{hashlib.sha384(data).hexdigest()}"
        files.append(
            PublicFile(
                file=name, url=f"https://nowhere.invalid/{name}", bytes=len(data), checksum=checksum
            )
        )
    other = f"sha256:{hashlib.sha256(b'other precision').hexdigest()}"
    model = Public(
        name="net",
        role="reid",
        files=files,
        convention="rgb_0_1",
        licence="MIT",
        page="",
        alike=[other],
    )
    monkeypatch.setattr(public, "catalogue", lambda: {"net": model})
    monkeypatch.setenv(public.CACHE, str(tmp_path))
    return model


def refusal(weights: str | Path) -> str:
    """Message of the InputError, checked to be one line."""
    with pytest.raises(InputError) as caught:
        public.find(weights)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_models_of_the_issue_are_known_in_two_forms_each() -> None:
    models = public.catalogue()
    assert sorted(models) == [
        f"person-reidentification-retail-{n}{form}"
        for n in ("0277", "0286", "0287")
        for form in ("", "-onnx")
    ]
    for name, model in models.items():
        assert name == model.name and model.licence == "Apache-2.0"
        suffixes = [Path(file.file).suffix for file in model.files]
        assert suffixes == ([".onnx"] if name.endswith("-onnx") else [".xml", ".bin"])
        assert len({Path(file.file).stem for file in model.files}) == 1
        assert model.convention == ("imagenet" if name.endswith("-onnx") else "bgr_0_255")
        start = f"https://storage.openvinotoolkit.org/repositories/open_model_zoo/2023.0/models_bin/1/{name.removesuffix('-onnx')}"
        assert all(file.url.startswith(start) for file in model.files)
    names = [file.file for model in models.values() for file in model.files]
    assert len(set(names)) == len(names)


def test_every_convention_has_one_name_everywhere() -> None:
    assert {m.convention for m in public.catalogue().values()} <= set(CONVENTIONS)
    setting = typing.get_args(ReidConfig.model_fields["convention"].annotation)
    assert list(setting) == ["auto", *CONVENTIONS]


@pytest.mark.parametrize(
    "file", [f"{REAL}.xml", f"{REAL}.bin", "person-reidentification-retail-0287.onnx"]
)
def test_our_copies_of_public_models_are_those_that_are_published(
    shared_data: Path, file: str
) -> None:
    (published,) = [f for m in public.catalogue().values() for f in m.files if f.file == file]
    assert (shared_data / "baselines" / file).stat().st_size == published.bytes
    assert public.fault(published, shared_data / "baselines") == ""


def test_a_public_model_is_known_by_its_contents_whatever_it_is_called(
    net: Public, tmp_path: Path
) -> None:
    for contents, model in [
        (b"graph", net),
        (b"other precision", net),
        (b"another graph", None),
        (b"weights", None),
    ]:
        (tmp_path / "mine.onnx").write_bytes(contents)
        assert public.known(tmp_path / "mine.onnx") == model


def test_a_name_is_the_fetched_file_and_a_path_is_itself(
    net: Public, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert public.find("net") == public.find(Path("net")) == tmp_path / "net.xml"
    assert (
        public.find(tmp_path / "net.bin")
        == public.find(str(tmp_path / "net.bin"))
        == tmp_path / "net.bin"
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("net").write_bytes(b"mine")
    assert public.find("net") == Path("net")


@pytest.mark.parametrize("file", ["net.xml", "net.bin"])
def test_a_model_that_is_not_fetched_or_was_altered_is_an_error_that_says_how_to_get_it(
    net: Public, tmp_path: Path, file: str
) -> None:
    end = "; fetch it: python -m models.weights get net"
    (tmp_path / file).write_bytes(b"altered")
    assert (
        refusal("net")
        == f"net: {tmp_path / file} is not the file that was published (its checksum differs){end}"
    )
    (tmp_path / file).unlink()
    assert refusal("net") == f"net: {tmp_path / file} is not there{end}"
    (tmp_path / file).mkdir()
    assert refusal("net") == f"net: {tmp_path / file} cannot be read (Is a directory){end}"


def test_what_is_neither_a_file_nor_a_known_name_is_an_error_that_says_where_the_names_are(
    tmp_path: Path,
) -> None:
    for weights in ("nowhere.onnx", tmp_path, "."):
        message = refusal(weights)
        assert (
            message.startswith(f"{weights}: no such ReID weights")
            and "python -m models.weights list" in message
        )


def test_the_cache_folder_is_named_by_the_environment_or_is_the_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (public.CACHE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    for name, value, folder in [
        ("XDG_CACHE_HOME", "not/absolute", "/home/somebody/.cache/people-tracker"),
        ("XDG_CACHE_HOME", "/var/caches", "/var/caches/people-tracker"),
        (public.CACHE, "~/models", "/home/somebody/models"),
        (public.CACHE, "", "/var/caches/people-tracker"),
    ]:
        monkeypatch.setenv(name, value)
        assert public.cache_folder() == Path(folder)
