"""Which cameras are together in one worker, and where there is room for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config import CameraConfig, GroupConfig, RayConfig

SHARE_OF_GPU = 0.25
"""Of each worker, unless the settings say otherwise: four workers of a machine share a GPU."""
ROUNDING = 1e-6
"""Shares of CPUs and GPUs are added up to this."""


@dataclass(frozen=True, slots=True)
class CameraGroup:
    """Cameras of one worker.

    Attributes:
        name: of the group in the settings; where cameras have no group, that of the first one, or
            of the first and the last. No two groups have the same.
        cameras: their names.
        needs: what the worker is given of a machine.
        on_gpu: whether networks run on a GPU, where the settings do not say what it is given.
    """

    name: str
    cameras: tuple[str, ...]
    needs: GroupConfig
    on_gpu: bool = False

    @property
    def title(self) -> str:
        """Its name and cameras, for messages."""
        return f"{self.name} ({', '.join(self.cameras)})"

    @property
    def num_gpus(self) -> float:
        """Share of a GPU, or a number of GPUs."""
        if self.needs.num_gpus == "auto":
            return SHARE_OF_GPU if self.on_gpu else 0.0
        return self.needs.num_gpus

    @property
    def resources(self) -> dict[str, float]:
        """What the worker is given, by Ray's names; only what it needs any of."""
        all_needs = {
            "CPU": self.needs.num_cpus,
            "GPU": self.num_gpus,
            **self.needs.resources,
        }
        return {name: amount for name, amount in all_needs.items() if amount > 0}

    @property
    def options(self) -> dict[str, Any]:
        """What the worker is given, as options of a Ray actor."""
        return {
            "num_cpus": self.needs.num_cpus,
            "num_gpus": self.num_gpus,
            "resources": dict(self.needs.resources),
        }

    @property
    def needs_in_words(self) -> str:
        """What the worker is given, for messages."""
        return ", ".join(f"{amount:g} {name}" for name, amount in self.resources.items())


def divide(
    cameras: Sequence[CameraConfig], config: RayConfig, on_gpu: bool = False
) -> list[CameraGroup]:
    """Divide named cameras into groups.

    Cameras without a group are divided evenly, in the order of their names, so that no worker has
    more than `cameras_per_worker` of them.

    Args:
        cameras: all cameras, with their names.
        config: settings of the cluster.
        on_gpu: whether networks run on GPUs.

    Returns:
        The groups of the settings first, in the order of their names.
    """
    names_by_group: dict[str, list[str]] = {}
    for camera in sorted(cameras, key=lambda camera: camera.name):
        names_by_group.setdefault(camera.group, []).append(camera.name)
    without_group = names_by_group.pop("", [])
    groups: list[CameraGroup] = []
    for group, names in sorted(names_by_group.items()):
        needs = config.groups.get(group, GroupConfig())
        groups.append(CameraGroup(group, tuple(names), needs, on_gpu))
    n_groups = -(-len(without_group) // config.cameras_per_worker)
    for number in range(n_groups):
        first = len(without_group) * number // n_groups
        end = len(without_group) * (number + 1) // n_groups
        part = without_group[first:end]
        name = part[0] if len(part) == 1 else f"{part[0]}..{part[-1]}"
        while name in [group.name for group in groups]:
            name += "'"
        groups.append(CameraGroup(name, tuple(part), GroupConfig(), on_gpu))
    return groups


def place(groups: Sequence[CameraGroup], nodes: Sequence[Mapping[str, float]]) -> list[CameraGroup]:
    """Return the groups that find no room, when each in turn takes the first machine that has some.

    Args:
        groups: what is to be placed.
        nodes: resources of each machine, by Ray's names.
    """
    free = [dict(node) for node in nodes]
    left: list[CameraGroup] = []
    for group in groups:
        needs = group.resources
        node = next((node for node in free if _fits(needs, node)), None)
        if node is None:
            left.append(group)
            continue
        for name, amount in needs.items():
            node[name] -= amount
    return left


def _fits(needs: Mapping[str, float], free: Mapping[str, float]) -> bool:
    return all(free.get(name, 0.0) >= amount - ROUNDING for name, amount in needs.items())
