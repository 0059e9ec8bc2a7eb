"""Device names become devices that exist."""

import pytest
import torch

from models import device as devices


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_a_device_that_is_here_is_resolved(name: str) -> None:
    device = devices.resolve(name)
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "CPU", "meta", "xpu", "cuda:-1"])
def test_a_device_that_is_not_here_is_an_error_of_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=f"^device {name}: .*cpu.*$"):
        devices.resolve(name)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="Metal is available here")
def test_metal_is_refused_where_there_is_none() -> None:
    with pytest.raises(ValueError, match="Metal is not available"):
        devices.resolve("mps")


@pytest.mark.parametrize(("name", "dtype"), [("cuda", torch.float16), ("mps", torch.float32)])
def test_other_devices_have_their_fast_precision(name: str, dtype: torch.dtype) -> None:
    assert devices.fast_dtype(torch.device(name)) == dtype


def test_networks_run_in_the_fast_precision_inside_autocast() -> None:
    cpu = torch.device("cpu")
    with devices.autocast(cpu):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == devices.fast_dtype(cpu)
    assert devices.fast_dtype(cpu) in (torch.bfloat16, torch.float32)
