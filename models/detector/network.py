"""YOLO networks as safetensors: state dicts without pickle, in half precision, whose metadata say
what they are.

A class tower of ultralytics' head is as wide as the number of classes asks for: 80 channels for
COCO, 64 for one class. A network that is built for one class therefore cannot take over trained
towers, and ultralytics drops them silently. So one-class networks of ours keep COCO's towers: they
are built for 80 classes, and the last convolution is cut down to the person row.
"""

import json
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

import models.torchvision_ops  # noqa: F401 - before ultralytics
from models import device as devices
from models import documents, files
from models.errors import InputError, one_line
from models.runtimes import openvino_package

os.environ.update(
    YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false"
)  # read when ultralytics is imported
os.environ.setdefault(
    "ULTRALYTICS_SAFE_LOAD", "true"
)  # a .pt may only hold known layers, not code; "false" loads any other

SINGULAR = ("person", "pedestrian", "human", "man", "woman", "boy", "girl", "child")
PLURAL = ("persons", "people", "pedestrians", "humans", "men", "women", "boys", "girls", "children")
PEOPLE = frozenset(SINGULAR + PLURAL)
"""Names of classes that are people, in small letters."""


def disable_telemetry() -> None:
    """Tell ultralytics, and OpenVINO, which it may import, not to report their use: for this
    process, and not in the user's settings files.
    """
    openvino_package.disable_telemetry()
    from ultralytics.utils import SETTINGS

    dict.__setitem__(SETTINGS, "sync", False)


def load(path: Path, architecture: str = "") -> Any:
    """Return ultralytics' `DetectionModel` with the weights of a .safetensors file, float32, in
    evaluation mode.

    Its architecture is the file's metadata `architecture`, or the argument where the file has none:
    the name of one of ultralytics' .yaml files, or the path of one. Class names come from `names`,
    a JSON list. Raises InputError.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read as safetensors ({' '.join(str(error).split())})"
        ) from None
    architecture = architecture or metadata.get("architecture", "")
    if (
        not architecture.endswith(".yaml") or "://" in architecture
    ):  # anything else ultralytics would take for weights: download them, and unpickle
        raise InputError(f"{path}: name its architecture, for example yolo11n.yaml")
    return _with_weights(architecture, state, _read_names(metadata, path), str(path))


def _read_names(metadata: dict[str, str], path: Path) -> list[str]:
    """Class names in the metadata of a file, [] where it has none; raises InputError."""
    try:
        names = documents.from_json(metadata.get("names", "[]"))
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(
            f"{path}: its metadata `names` is no JSON list of class names; save the file again"
        )
    return names


def save(path: Path, network: Any, architecture: str, about: dict[str, str] | None = None) -> None:
    """Write a network in half precision, with its architecture, class names and `about` as
    metadata; raises InputError.
    """
    from safetensors.torch import save as to_bytes

    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }
    names = [network.names[i] for i in range(len(network.names))]
    metadata = {"architecture": architecture, "names": json.dumps(names), **(about or {})}
    files.write(
        path, to_bytes({key: value.contiguous().cpu() for key, value in state.items()}, metadata)
    )


def build(architecture: str, n_classes: int, tower: int = 0) -> Any:
    """Return an untrained network with class towers of `tower` channels (0: what ultralytics takes
    for `n_classes`).
    """
    disable_telemetry()
    from ultralytics.nn.tasks import DetectionModel

    # towers of 64 to 100 channels are those of as many classes
    network = DetectionModel(architecture, nc=max(n_classes, tower), verbose=False)
    if tower and tower != _tower(network.state_dict(), len(network.model) - 1):
        return DetectionModel(architecture, nc=n_classes, verbose=False)
    if tower > n_classes:
        _keep_rows(network, list(range(n_classes)))
    return network


def person_only(network: Any) -> Any:
    """Cut the network down, in place, to its person class; its boxes and their scores stay the
    same. Raises InputError.
    """
    row = person(network)
    if len(network.names) > 1:
        _keep_rows(network, [row])
    network.names = {0: "person"}
    return network


def person(network: Any) -> int:
    """Index of the person class; the only class of a one-class network, whatever its name. Raises
    InputError.
    """
    rows = [i for i, name in network.names.items() if name.lower() in PEOPLE]
    if not rows and len(network.names) > 1:
        raise InputError(f"none of the {len(network.names)} classes of the network is a person")
    return rows[0] if rows else 0


def optimize_for_inference(network: Any, device: torch.device) -> AbstractContextManager[object]:
    """Prepare a network, in place, for fast inference on `device`; returns the context to run it
    in, again and again.

    On a CPU that computes in bfloat16 it takes 0.6 of the time; the boxes are still decoded in
    float32, since bfloat16 rounds 600 px to 4 px. AP50-95 stayed the same to 0.002 (TownCentre,
    PennFudan). Heads of another kind run as they are.
    """
    from ultralytics.nn.modules.head import Detect

    network.to(memory_format=torch.channels_last)
    head = network.model[-1]
    if device.type != "cpu" or not isinstance(head, Detect):
        return nullcontext()
    decode = head._inference

    def precise(answers: dict[str, Any]) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            whole = {key: answers[key].float() for key in ("boxes", "scores")}
            return cast(
                torch.Tensor,
                decode(
                    {**answers, **whole, "feats": [level.float() for level in answers["feats"]]}
                ),
            )

    head._inference = precise
    return devices.autocast(device)


def _with_weights(
    architecture: str, state: dict[str, torch.Tensor], names: list[str], where: str
) -> Any:
    head = max((int(key.split(".")[1]) for key in state if key.startswith("model.")), default=-1)
    last = state.get(f"model.{head}.cv3.0.2.weight")
    if last is None:
        raise InputError(f"{where}: is not the state dict of a YOLO detector (no class head)")
    try:
        network = build(architecture, len(last), _tower(state, head))
        network.load_state_dict(state)
    except (OSError, RuntimeError, KeyError, AssertionError) as error:
        raise InputError(f"{where}: does not fit {architecture} ({one_line(error)})") from None
    if names and len(names) != len(last):
        raise InputError(f"{where}: has {len(last)} classes but {len(names)} names")
    network.names = dict(enumerate(names)) if names else _names(len(last))
    return network.eval()


def _names(n_classes: int) -> dict[int, str]:
    """COCO begins with the person."""
    return {i: "person" if i == 0 else f"class{i}" for i in range(n_classes)}


def _tower(state: dict[str, torch.Tensor], head: int) -> int:
    """Channels of the class towers."""
    return int(state[f"model.{head}.cv3.0.2.weight"].shape[1])


def _keep_rows(network: Any, rows: list[int]) -> None:
    head = network.model[-1]
    for name in ("cv3", "one2one_cv3"):
        for tower in getattr(head, name, None) or []:
            before = tower[-1]
            tower[-1] = nn.Conv2d(before.in_channels, len(rows), 1)
            tower[-1].load_state_dict(
                {key: value[rows] for key, value in before.state_dict().items()}
            )
    head.nc = len(rows)
    head.no = len(rows) + 4 * head.reg_max
    network.nc = len(rows)
    network.names = {i: network.names.get(row, f"class{row}") for i, row in enumerate(rows)}
    network.yaml["nc"] = len(rows)
