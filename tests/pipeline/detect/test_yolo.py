"""Ultralytics' networks, with random weights that find something everywhere."""

import json
import shutil
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file

from models import device as devices
from models.detector.inference import PersonDetector
from models.errors import one_line
from pipeline import cli
from pipeline.config import DetectorConfig
from pipeline.detect.yolo import YoloDetector
from pipeline.errors import ModelError
from pipeline.records import Array, Detections, Frame
from tests.videos import write_video

SIZE_PX = 128
SHAPES = [(90, 160), (160, 90), (90, 160), (48, 64), (300, 500)]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test here may even try to reach the network."""
    attempts: list[object] = []

    def refuse(*arguments: object, **named: object) -> None:
        attempts.append(arguments[1:])
        raise AssertionError("network access")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert attempts == []


def picture(shape: tuple[int, int], seed: int) -> Array:
    """Soft blotches of colour."""
    return cv2.resize(
        np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8), shape[::-1]
    )


def random_yolo(n_classes: int = 80) -> Any:
    """YOLO11n whose signal neither dies nor explodes: scores are spread over 0..1, boxes are a few
    strides wide.
    """
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    network = DetectionModel("yolo11n.yaml", nc=n_classes, verbose=False)
    head = network.model[-1]
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module is not head.dfl.conv:
            torch.nn.init.normal_(module.weight, std=1.5 / module.weight[0].numel() ** 0.5)
    for distances, classes in zip(head.cv2, head.cv3, strict=True):
        torch.nn.init.normal_(distances[-1].weight, std=16)
        torch.nn.init.normal_(classes[-1].weight, std=16)
        distances[-1].bias.data = -0.3 * torch.arange(16.0).repeat(4)
        torch.nn.init.zeros_(classes[-1].bias)
    return network.half().float().eval()  # .pt files are written in half precision


def export(weights: Path, name: str, kind: str = "onnx", **options: object) -> Path:
    """What ultralytics makes of a .pt file without installing anything."""
    from ultralytics import YOLO

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses torch's older exporter, which is deprecated
        return Path(
            YOLO(shutil.copy(weights, weights.with_stem(name))).export(format=kind, **options)
        )


def without_metadata(path: Path) -> Path:
    """The network as any other exporter would write it: nobody says what its classes are."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path.with_stem("nameless"))
    return path.with_stem("nameless")


def write_state(path: Path, network: torch.nn.Module, **metadata: str) -> Path:
    save_file(
        {key: value.contiguous() for key, value in network.state_dict().items()}, path, metadata
    )
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same weights in every format."""
    from ultralytics import YOLO

    folder, network = tmp_path_factory.mktemp("yolo"), random_yolo()
    yolo, weights = YOLO("yolo11n.yaml"), folder / "random.pt"
    yolo.model.load_state_dict(network.state_dict())
    yolo.save(weights)
    dynamic = export(weights, "dynamic", imgsz=64, dynamic=True, simplify=False)
    return {
        "pt": weights,
        "safetensors": write_state(
            folder / "random.safetensors", network, architecture="yolo11n.yaml"
        ),
        "onnx": dynamic,
        "onnx without names": without_metadata(dynamic),
        "onnx fixed": export(weights, "fixed", imgsz=(96, 128), simplify=False),
        "onnx fixed batch": export(weights, "fixed4", imgsz=(96, 128), batch=4, simplify=False),
        "torchscript": export(weights, "script", "torchscript", imgsz=(96, 128)),
    }


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [Frame("cam", i, 0.0, picture(shape, 10 + i)) for i, shape in enumerate(SHAPES)]


def detector(path: Path | str, **config: Any) -> YoloDetector:
    return YoloDetector(
        str(path), DetectorConfig(**{"size_px": SIZE_PX, "min_score": 0.6} | config), "cpu"
    )


def assert_same(found: list[Detections], expected: list[Detections]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a.boxes, b.boxes, atol=0.05)
        assert_allclose(a.scores, b.scores, atol=1e-3)


@pytest.mark.parametrize("kind", ["pt", "safetensors", "onnx", "onnx without names"])
def test_every_format_gives_the_same_boxes_inside_the_image(
    files: dict[str, Path], frames: list[Frame], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        devices, "fast_dtype", lambda device: torch.float32
    )  # as exported networks compute
    found = detector(files[kind]).detect(frames)
    assert_same(found, detector(files["pt"]).detect(frames))
    for frame, detections in zip(frames, found, strict=True):
        height, width = frame.image.shape[:2]
        assert len(detections) > 0 and detections.scores.min() >= 0.6
        assert (detections.boxes >= 0).all() and (
            detections.boxes <= [width, height, width, height]
        ).all()


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.load` is deprecated:DeprecationWarning"
)  # by ultralytics
@pytest.mark.parametrize("kind", ["pt", "onnx fixed", "onnx fixed batch", "torchscript"])
def test_the_boxes_of_a_frame_do_not_depend_on_the_frames_beside_it(
    files: dict[str, Path], frames: list[Frame], kind: str
) -> None:
    yolo = detector(files[kind])
    together = yolo.detect(frames)
    assert min(map(len, together)) > 0
    assert_same(together, [yolo.detect([frame])[0] for frame in frames])
    assert_same(yolo.detect(frames[::-1])[::-1], together)
    assert yolo.detect([]) == []


@pytest.mark.parametrize("n_frames", [17, 33])
def test_more_frames_than_a_batch_are_all_answered(
    files: dict[str, Path], frames: list[Frame], n_frames: int
) -> None:
    yolo = detector(files["pt"], size_px=64)
    assert_same(yolo.detect(frames[3:4] * n_frames), yolo.detect(frames[3:4]) * n_frames)


@pytest.mark.parametrize(
    ("names", "n_people"),
    [(["person", "dog"], True), (["dog", "Person"], False), (["dog", "cat"], None)],
)
def test_only_people_are_returned_and_a_network_without_them_is_an_error(
    tmp_path: Path, frames: list[Frame], names: list[str], n_people: bool | None
) -> None:
    network = random_yolo(n_classes=2)
    for branch in network.model[-1].cv3:
        torch.nn.init.zeros_(branch[-1].weight)
        branch[-1].bias.data = torch.tensor([3.0, -20.0])  # only the first class is ever seen
    path = write_state(
        tmp_path / "two.safetensors", network, architecture="yolo11n.yaml", names=json.dumps(names)
    )
    if n_people is None:
        with pytest.raises(
            ModelError, match=r"two.safetensors: .*none of its 2 classes is a person"
        ):
            detector(path)
    else:
        assert (len(detector(path).detect(frames[:1])[0]) > 0) is n_people


def two_classes(path: Path, names: list[str], both: bool = True) -> Path:
    """A network that sees its second class everywhere, and its first one if `both`."""
    network = random_yolo(n_classes=2)
    for branch in network.model[-1].cv3:
        torch.nn.init.zeros_(branch[-1].weight)
        branch[-1].bias.data = torch.tensor([3.0 if both else -20.0, 2.5])
    return write_state(path, network, architecture="yolo11n.yaml", names=json.dumps(names))


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["car", "People"], []),
        (["car", "human"], []),
        (["car", "hard-hat_worker"], ["Hard hat worker"]),
        (["car", "head"], ["head"]),
        (["car", "head"], [1]),
        (["pedestrian", "people"], []),
    ],
)
def test_every_class_of_people_counts_and_any_class_can_be_named(
    tmp_path: Path, frames: list[Frame], names: list[str], classes: list[str | int]
) -> None:
    path = two_classes(tmp_path / "two.safetensors", names, both=False)
    assert len(detector(path, classes=classes).detect(frames[:1])[0]) > 0


def test_one_person_of_two_classes_of_people_is_one_box(
    tmp_path: Path, frames: list[Frame]
) -> None:
    two = two_classes(tmp_path / "two.safetensors", ["pedestrian", "people"])
    one = two_classes(tmp_path / "one.safetensors", ["pedestrian", "car"])
    assert_same(detector(two).detect(frames), detector(one).detect(frames))


@pytest.mark.parametrize(
    ("names", "classes", "reason"),
    [
        (["car", "head"], [], r"none of its 2 classes is a person, but car, head; .*classes="),
        (["car", "head"], ["heads"], "there is no class heads; the network has car, head"),
        (["car", "head"], [2], "there is no class 2; the network has car, head"),
    ],
)
def test_a_class_that_is_not_there_is_an_error_that_lists_those_that_are(
    tmp_path: Path, names: list[str], classes: list[str | int], reason: str
) -> None:
    path = two_classes(tmp_path / "two.safetensors", names)
    with pytest.raises(ModelError, match=f"^{path}: .*{reason}.*$"):
        detector(path, classes=classes)


@pytest.mark.parametrize("task", ["cls", "obb", "seg", "pose"])
def test_weights_of_another_task_are_an_error_unless_they_give_boxes(
    tmp_path: Path, frames: list[Frame], task: str
) -> None:
    from ultralytics import YOLO

    path = tmp_path / f"{task}.pt"
    YOLO(f"yolo11n-{task}.yaml").save(path)
    if task in ("seg", "pose"):
        assert len(detector(path, min_score=0.0).detect(frames[:1])) == 1
        return
    reason = "network for the task '.*', not a detector"
    with pytest.raises(ModelError, match=f"^{path}: .*{reason}.*$"):
        detector(path)


def test_an_exported_network_that_gives_no_boxes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "features.onnx"
    pixels = onnx.helper.make_tensor_value_info("images", 1, [1, 3, SIZE_PX, SIZE_PX])
    logits = onnx.helper.make_tensor_value_info("logits", 1, [1, 3])
    mean = onnx.helper.make_node("ReduceMean", ["images"], ["logits"], axes=[2, 3], keepdims=0)
    graph = onnx.helper.make_graph([mean], "classifier", [pixels], [logits])
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    with pytest.raises(ModelError, match=rf"^{path}: .*its output is \(1, 3\), not boxes.*$"):
        detector(path)


def test_an_exported_network_with_places_before_classes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "yolox.onnx"
    n_places = sum((SIZE_PX // stride) ** 2 for stride in (8, 16, 32))
    pixels = onnx.helper.make_tensor_value_info("images", 1, [1, 3, SIZE_PX, SIZE_PX])
    answer = onnx.helper.make_tensor_value_info("output", 1, [1, n_places, 85])
    shape = onnx.numpy_helper.from_array(np.array([1, n_places, 85]), "shape")
    nodes = [
        onnx.helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        onnx.helper.make_node("Unsqueeze", ["mean", "axes"], ["point"]),
        onnx.helper.make_node("Expand", ["point", "shape"], ["output"]),
    ]
    axes = onnx.numpy_helper.from_array(np.array([1, 2]), "axes")
    graph = onnx.helper.make_graph(nodes, "yolox", [pixels], [answer], [shape, axes])
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    with pytest.raises(ModelError, match=rf"^{path}: .*\(1, {n_places}, 85\), places before .*$"):
        detector(path)


def test_weights_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    network = random_yolo()
    network.model[0].conv.weight.data[0] = torch.nan
    path = write_state(tmp_path / "nan.safetensors", network, architecture="yolo11n.yaml")
    with pytest.raises(ModelError, match=f"^{path}: .*it gives NaN or infinite boxes.*$"):
        detector(path)


def test_weights_for_another_purpose_leave_no_output_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ultralytics import YOLO

    video = write_video(tmp_path / "cam.mp4", 3)
    YOLO("yolo11n-cls.yaml").save(tmp_path / "cls.pt")
    given = ["--videos", str(video), "--set", f"detector.weights={tmp_path / 'cls.pt'}"]
    assert cli.main([*given, "--output", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_long_reasons_end_with_a_whole_word() -> None:
    text = one_line(ValueError("expected tensor(float16)\n" * 50))
    assert len(text) <= 240
    assert text.endswith("tensor(float16) ...") or text.endswith("expected ...")
    assert one_line(ValueError("x" * 500), 20) == "x" * 16 + " ..."
    assert one_line(ValueError("")) == "ValueError"


ARCHITECTURES = {
    "other.safetensors": "yolo11n.yaml",
    "nameless.safetensors": "",
    "a url.safetensors": "https://example.com/yolo11n.yaml",
    "weights.safetensors": "yolo11x.pt",
    "unknown.safetensors": "resnet50.yaml",
}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.pt", "no such file"),
        ("missing.safetensors", "no such file"),
        ("text.pt", "cannot be loaded"),
        ("text.onnx", "cannot be used|cannot be loaded"),
        ("text.safetensors", "cannot be loaded"),
        ("a folder", "cannot be loaded|cannot be used"),
        ("text.txt", "cannot be loaded|cannot be used"),
        ("other.safetensors", "cannot be loaded"),
        ("nameless.safetensors", "detector.architecture=yolo11n.yaml"),
        ("a url.safetensors", "cannot be loaded"),
        ("weights.safetensors", "detector.architecture=yolo11n.yaml"),
        ("unknown.safetensors", "cannot be loaded"),
    ],
)
def test_weights_that_cannot_be_used_are_an_error_of_one_line_that_names_them(
    tmp_path: Path, name: str, reason: str
) -> None:
    path = tmp_path / name
    if name == "a folder":
        path.mkdir()
    elif name.startswith("text"):
        path.write_text("just text", encoding="utf-8")
    elif name in ARCHITECTURES:
        save_file({"weight": torch.zeros(3)}, path, {"architecture": ARCHITECTURES[name]})
    with pytest.raises(ModelError, match=f"^{path}: .*({reason}).*$") as caught:
        detector(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["yolo11n", "yolo99z.pt", "https://example.com/yolo11n.pt", "people"]
)
def test_only_names_that_ultralytics_publishes_are_ever_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ModelError, match=f"^{name}: no such file, nor a name that ultralytics publishes.*$"
    ):
        detector(name)
    assert list(tmp_path.iterdir()) == []


def test_the_architecture_may_come_from_the_settings(
    tmp_path: Path, files: dict[str, Path], frames: list[Frame]
) -> None:
    path = write_state(tmp_path / "plain.safetensors", random_yolo())
    found = detector(path, architecture="yolo11n.yaml").detect(frames[:1])
    assert_same(found, detector(files["pt"]).detect(frames[:1]))


def test_a_trained_network_finds_the_people_of_a_shop(shared_data: Path) -> None:
    video = cv2.VideoCapture(str(shared_data / "clips" / "mmptrack_retail" / "cam1.mp4"))
    video.set(cv2.CAP_PROP_POS_MSEC, 13_000)
    weights = shared_data / "baselines" / "yolo11n_coco.safetensors"
    (found,) = detector(weights, architecture="yolo11n.yaml", size_px=640).detect(
        [Frame("cam1", 0, 13.0, video.read()[1])]
    )
    assert (found.scores > 0.5).sum() >= 3


def test_the_product_finds_what_the_model_card_judges(
    files: dict[str, Path], frames: list[Frame]
) -> None:
    judged = PersonDetector(str(files["safetensors"]), size_px=SIZE_PX, min_score=0.6, device="cpu")
    product = detector(files["safetensors"]).detect(frames)
    for frame, found in zip(frames, product, strict=True):
        boxes, scores = judged(frame.image)
        assert_same([Detections(boxes, scores)], [found])
