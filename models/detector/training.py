"""Train a one-class YOLO with ultralytics' trainer, holding on to what the start model knows."""

import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import interpolate

from models import device as devices
from models import files, settings, torchvision_ops
from models.detector import data, loss
from models.detector import network as networks
from models.detector.settings import Settings
from models.errors import InputError

MODEL = "model.safetensors"
CONFIG = "config.yaml"


def fit(chosen: Settings, output: Path) -> Path:
    """Train, write `model.safetensors` (anew after every epoch) and `config.yaml` into `output`;
    returns the former.

    What is written is the running average of the weights, in half precision. Raises InputError.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; give a new folder with --output")
    if output.exists() and any(output.iterdir()):
        raise InputError(f"{output}: is not empty; give a new folder with --output")
    networks.disable_telemetry()
    with tempfile.TemporaryDirectory() as folder:
        n_pictures = gather(chosen, Path(folder))
        files.write(output / CONFIG, settings.dump(chosen).encode())
        about = {"start": Path(chosen.network.init).name, "pictures": str(n_pictures)}
        _trainer(chosen, Path(folder), output / MODEL, about).train()
    return output / MODEL


def gather(chosen: Settings, folder: Path) -> int:
    """Lay links to all training pictures and labels into one YOLO folder, as ultralytics wants
    them; returns how many.
    """
    parts: list[tuple[str, data.Part]] = [(name, "train") for name in chosen.data.labelled]
    parts += [(name, "all") for name in chosen.data.whole]
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    n = 0
    for name, part in parts:
        for image in data.image_files(Path(name), part):
            link = folder / "images" / f"{n:06d}{image.suffix.lower()}"
            link.symlink_to(image.resolve())
            labels = data.label_file(image)
            data.read_labels(
                labels, 1, 1
            )  # a bad line is named here; ultralytics would leave the picture out
            if labels.is_file():
                (folder / "labels" / f"{n:06d}.txt").symlink_to(labels.resolve())
            n += 1
    return n


def start(chosen: Settings) -> Any:
    """Return the one-class network that training begins with; raises InputError."""
    if chosen.network.init:
        return networks.person_only(
            networks.load(Path(chosen.network.init), chosen.network.architecture)
        )
    torch.manual_seed(chosen.train.seed)
    network = networks.build(chosen.network.architecture, 1)
    network.names = {0: "person"}
    return network


def degrade(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Return pictures (B, 3, H, W), 0 to 1, of which a share is dark, soft, or noisy, each drawn on
    its own.
    """
    images = images.clone()
    for i in range(len(images)):
        dim, soft, grain, *amounts = torch.rand(6, generator=generator).tolist()
        if dim < share:
            images[i] = images[i] ** (1 + amounts[0]) * (1 - 0.5 * amounts[0])
        if soft < share:
            size = [round(n * (1 - 0.5 * amounts[1])) for n in images.shape[2:]]
            small = interpolate(images[i][None], size=size, mode="bilinear", antialias=True)
            images[i] = interpolate(small, size=images.shape[2:], mode="bilinear")[0]
        if grain < share:
            noise = torch.randn(images[i].shape, generator=generator).to(images.device)
            images[i] = (images[i] + 0.05 * amounts[2] * noise).clamp(0, 1)
    return images


def _trainer(chosen: Settings, folder: Path, model: Path, about: dict[str, str]) -> Any:
    """Ultralytics' trainer, with our start, our loss and our file; its own files go into
    `folder`.
    """
    import torchvision  # noqa: F401 - validation suppresses with it
    from ultralytics.models.yolo.detect import DetectionTrainer

    torchvision_ops.complete()
    network = start(chosen)
    before = (
        start(chosen).requires_grad_(False).fuse(verbose=False)
        if chosen.keep.scores or chosen.keep.boxes
        else None
    )
    if before is not None:
        before.to(memory_format=torch.channels_last)
    _compute_in_bfloat16(network, devices.resolve(chosen.train.device))
    generator = torch.Generator().manual_seed(chosen.train.seed)

    class Trainer(DetectionTrainer):  # type: ignore[misc]
        def get_dataset(self) -> dict[str, Any]:
            images = str(folder / "images")
            return {
                "train": images,
                "val": images,
                "nc": 1,
                "names": {0: "person"},
                "channels": 3,
                "path": folder,
            }

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            return network

        def set_model_attributes(self) -> None:
            super().set_model_attributes()
            self.model.criterion = loss.keeping(self.model, chosen.keep)

        def _model_train(self) -> None:
            super()._model_train()
            for module in self.model.modules():
                if chosen.network.frozen_statistics and isinstance(module, nn.BatchNorm2d):
                    module.eval()

        def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
            batch = super().preprocess_batch(batch)
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
            if before is not None:
                with torch.no_grad(), _fast(self.device):
                    batch[loss.START] = before.to(self.device)(batch["img"])[1]
            batch["img"] = degrade(batch["img"], chosen.augment.degrade / 3, generator)
            return batch

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, 0.0

        def save_model(self) -> bool:
            networks.save(model, self.ema.ema, chosen.network.architecture, about)
            return True

        def final_eval(self) -> None:
            return

    return Trainer(overrides=_overrides(chosen, folder))


def _compute_in_bfloat16(network: Any, device: torch.device) -> None:
    """Let the network, but not its loss, run in bfloat16 where that is faster; ultralytics' own
    switch refuses it on a CPU.
    """

    class Fast(type(network)):  # type: ignore[misc]
        def predict(self, *arguments: Any, **named: Any) -> Any:
            with _fast(device):
                return super().predict(*arguments, **named)

    network.__class__ = Fast
    network.to(memory_format=torch.channels_last)


def _fast(device: torch.device) -> AbstractContextManager[object]:
    """Bfloat16 where the device computes in it (2.4 times faster on a CPU): no float16, whose
    gradients would need scaling.
    """
    known = devices.fast_dtype(device) != torch.float32 and (
        device.type != "cuda" or torch.cuda.is_bf16_supported()
    )
    return torch.autocast(device.type, torch.bfloat16) if known else nullcontext()


def _overrides(chosen: Settings, folder: Path) -> dict[str, Any]:
    """Our settings in ultralytics' words; what is not ours to set stays off."""
    train = chosen.train
    augment = chosen.augment
    hue, saturation, value = augment.colour
    return {
        "model": chosen.network.architecture,
        "data": "ours",
        "project": str(folder),
        "name": "run",
        "exist_ok": True,
        "epochs": train.epochs,
        "batch": train.batch,
        "nbs": train.batch,
        "imgsz": train.size_px,
        "seed": train.seed,
        "device": str(devices.resolve(train.device)),
        "workers": train.workers,
        "amp": False,
        "deterministic": False,
        "optimizer": "AdamW",
        "lr0": train.learning_rate,
        "lrf": 0.05,
        "cos_lr": True,
        "weight_decay": train.weight_decay,
        "momentum": 0.9,
        "warmup_epochs": train.warmup_epochs,
        "warmup_bias_lr": 0.0,
        "freeze": chosen.network.frozen or None,
        "mosaic": augment.mosaic,
        "close_mosaic": 0,
        "scale": augment.scale,
        "fliplr": augment.flip,
        "translate": 0.1,
        "hsv_h": hue,
        "hsv_s": saturation,
        "hsv_v": value,
        "erasing": 0.0,
        "auto_augment": None,
        "plots": False,
        "val": False,
        "save": True,
        "verbose": False,
        "pretrained": False,
        "single_cls": True,
    }
