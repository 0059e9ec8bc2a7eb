"""Files of tensors that other programs wrote."""

import argparse
import io
import pickletools
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.errors import InputError
from models.reid.networks.state_dicts import read


def trained() -> tuple[nn.Module, dict[str, object]]:
    """A network after a step, and what torchreid keeps beside its state dict."""
    network = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3])
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule.step()
    beside = {
        "epoch": 60,
        "rank1": np.float32(0.9),
        "cmc": np.arange(3.0),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
    }
    return network, beside


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapper", ["", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_a_checkpoint_of_either_format_gives_its_tensors(
    tmp_path: Path, is_zip: bool, wrapper: str, prefix: str
) -> None:
    network, beside = trained()
    state = {prefix + key: tensor for key, tensor in network.state_dict().items()}
    saved = {wrapper: state, **beside} if wrapper else state
    path = tmp_path / "model.pth.tar-60"
    torch.save(saved, path, _use_new_zipfile_serialization=is_zip)
    found = read(path)
    assert list(found) == ["weight", "bias"]
    assert torch.equal(found["weight"], network.weight)  # type: ignore[arg-type]


def scores_of_python_2() -> bytes:
    """Two items of a pickled dictionary, a numpy number and an array, as Python 2 wrote them."""
    kind = b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
    kind += b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    value = b"U\x08" + struct.pack("<d", 0.9)
    number = b"cnumpy.core.multiarray\nscalar\n" + kind + value + b"\x86R"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    array += b"(K\x01K\x01\x85" + kind + b"\x89" + value + b"tb"
    return b"U\x05rank1" + number + b"sU\x03cmc" + array + b"s"


def add_to_zip(path: Path, items: bytes) -> None:
    """Put items into the dictionary that a checkpoint holds."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in files if name.endswith("data.pkl"))
    assert files[name].endswith(b"s.")
    files[name] = files[name][:-1] + items + b"."
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)


def add_to_legacy_file(path: Path, items: bytes) -> None:
    """The same for the legacy format, whose fourth pickle is the dictionary."""
    content = path.read_bytes()
    file = io.BytesIO(content)
    for _ in range(4):
        list(pickletools.genops(file))
    end = file.tell() - 1
    assert content[end - 1 : end + 1] == b"s."
    path.write_bytes(content[:end] + items + content[end:])


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_numbers_of_python_2_beside_the_tensors_are_read(tmp_path: Path, is_zip: bool) -> None:
    path = tmp_path / "model.pth.tar"
    torch.save({"weight": torch.ones(3)}, path, _use_new_zipfile_serialization=is_zip)
    add = add_to_zip if is_zip else add_to_legacy_file
    add(path, scores_of_python_2())
    pickled = torch.load(path, weights_only=False, encoding="latin1")
    assert pickled["rank1"] == 0.9 and pickled["cmc"].tolist() == [0.9]
    assert read(path)["weight"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_code_beside_numbers_of_python_2_is_not_run(tmp_path: Path, is_zip: bool) -> None:
    path = tmp_path / "model.pth.tar"
    torch.save({"weight": torch.ones(3)}, path, _use_new_zipfile_serialization=is_zip)
    add = add_to_zip if is_zip else add_to_legacy_file
    code = b"U\x04hookcbuiltins\nexec\nU\x17raise SystemExit('ran')\x85Rs"
    add(path, scores_of_python_2() + code)
    with pytest.raises(InputError, match=r"it holds an object of exec, and opening"):
        read(path)


def test_a_safetensors_file_gives_its_tensors(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(3)}, tmp_path / "model.safetensors")
    assert read(tmp_path / "model.safetensors")["weight"].tolist() == [1, 1, 1]


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('ran')",))


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("saved", "named"),
    [
        (Evil(), "exec"),
        ({"state_dict": {"a": torch.ones(1)}, "hook": Evil()}, "exec"),
        (nn.Linear(3, 2), "torch.nn.modules.linear.Linear"),
        ({"model": {"a": torch.ones(1)}, "args": argparse.Namespace(b=1)}, "argparse.Namespace"),
    ],
    ids=["code", "code beside tensors", "a whole network", "its arguments"],
)
def test_a_file_that_holds_objects_is_refused_by_name_and_runs_nothing(
    tmp_path: Path, is_zip: bool, saved: object, named: str
) -> None:
    path = tmp_path / "model.pth"
    torch.save(saved, path, _use_new_zipfile_serialization=is_zip)
    expected = rf"^{path}: is not a plain state dict \(it holds an object of {named}, .*FILE\)\)$"
    with pytest.raises(InputError, match=expected):
        read(path)


def test_a_whole_network_is_refused_also_after_another_library_has_allowed_its_classes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.pth"
    torch.save(nn.Linear(3, 2), path)
    with torch.serialization.safe_globals([nn.Linear, nn.Parameter]):
        with pytest.raises(InputError, match=r"it holds an object of torch\.nn\.modules"):
            read(path)
        assert nn.Linear in torch.serialization.get_safe_globals()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as weights"),
        (b"just text", r"cannot be read as weights \(no PyTorch checkpoint\)"),
        (b"x", r"is not a plain state dict \(no PyTorch checkpoint: Unsupported operand 120\)"),
        (b"PK\x03\x04 cut short", "cannot be read as weights"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_an_error_of_one_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: {reason}.*$"):
        read(path)


@pytest.mark.parametrize("saved", [{"epoch": 3}, [torch.ones(1)], torch.ones(1)])
def test_a_checkpoint_without_tensors_by_name_is_an_error(tmp_path: Path, saved: object) -> None:
    torch.save(saved, tmp_path / "model.pth")
    with pytest.raises(InputError, match="holds no tensors by name"):
        read(tmp_path / "model.pth")
